//! A histogram of spans of time: each task records into one of its own, and they are merged at the end.
//!
//! It keeps three digits and cuts off at ten minutes, which is longer than anything here may take.

use std::time::Duration;

use hdrhistogram::Histogram;

const LONGEST_NANOS: u64 = 600_000_000_000;

/// Recorded spans.
#[derive(Debug, Clone)]
pub struct Spans {
    histogram: Histogram<u64>,
    /// Exact, since it is held against bounds; a histogram's own is the upper end of the longest one's bucket (hdrhistogram 7.6.0).
    longest: Duration,
}

impl Spans {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants.
    #[must_use]
    pub fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, LONGEST_NANOS, 3).expect("the bounds are in order"),
            longest: Duration::ZERO,
        }
    }

    /// Adds one.
    pub fn record(&mut self, span: Duration) {
        self.longest = self.longest.max(span);
        self.histogram
            .saturating_record(u64::try_from(span.as_nanos()).unwrap_or(LONGEST_NANOS));
    }

    /// Adds all of `other`.
    ///
    /// # Panics
    /// Never: all have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.longest = self.longest.max(other.longest);
        self.histogram
            .add(&other.histogram)
            .expect("all have the same bounds");
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The span that this many of a hundred do not exceed; zero when there are none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(percent / 100.0))
    }

    /// The longest, exactly; zero when there are none.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_spans_count_as_if_recorded_together() {
        let (mut one, mut other) = (Spans::new(), Spans::new());
        (1..=99).for_each(|millis| one.record(Duration::from_millis(millis)));
        other.record(Duration::from_secs(5));
        one.merge(&other);
        assert_eq!(one.count(), 100);
        assert!(one.percentile(50.0).as_millis().abs_diff(50) <= 1);
        assert_eq!(one.longest(), Duration::from_secs(5));
        assert_eq!(Spans::new().percentile(99.0), Duration::ZERO);
    }
}
