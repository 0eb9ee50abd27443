//! Time as a booking store counts it, and half-open spans of it.
//!
//! Nothing here reads a clock: an instant comes from a store's own [`StoreClock`](crate::StoreClock).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant in whole milliseconds by the store's clock, since whatever epoch that clock has.
///
/// ```
/// use marketplace::StoreTime;
/// let noon = StoreTime::from_millis(43_200_000);
/// assert_eq!(noon.plus(std::time::Duration::from_secs(1)).as_millis(), 43_201_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreTime(i64);

impl StoreTime {
    /// The last instant there is.
    pub const END: Self = Self(i64::MAX);

    /// The instant this many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant `span` later, at most [`END`](Self::END).
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add_unsigned(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The instant `span` earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub_unsigned(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(if self > earlier {
            self.0.abs_diff(earlier.0)
        } else {
            0
        })
    }
}

/// A span `[start, end)`: it holds its start and not its end, so `[a, b)` and `[b, c)` do not overlap.
///
/// ```
/// use marketplace::{Interval, StoreTime};
/// let at = StoreTime::from_millis;
/// let morning = Interval::new(at(0), at(10))?;
/// let noon = Interval::new(at(10), at(20))?;
/// assert!(!morning.overlaps(&noon));
/// assert!(Interval::new(at(10), at(10)).is_err());
/// # Ok::<(), marketplace::EmptyInterval>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(StoreTime, StoreTime)", into = "(StoreTime, StoreTime)")]
pub struct Interval {
    start: StoreTime,
    end: StoreTime,
}

impl Interval {
    /// The span from `start` up to `end`.
    ///
    /// # Errors
    /// When `end` is not after `start`.
    pub fn new(start: StoreTime, end: StoreTime) -> Result<Self, EmptyInterval> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(EmptyInterval { start, end })
        }
    }

    /// Its first instant.
    #[must_use]
    pub fn start(&self) -> StoreTime {
        self.start
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(&self) -> StoreTime {
        self.end
    }

    /// Its length in milliseconds, at least one.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.end.0.abs_diff(self.start.0)
    }

    /// Whether both hold a common instant.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `at` is inside.
    #[must_use]
    pub fn holds(&self, at: StoreTime) -> bool {
        self.start <= at && at < self.end
    }

    /// The span of the same length that begins at `start`; `None` when it would end after time does.
    #[must_use]
    pub fn moved_to(&self, start: StoreTime) -> Option<Self> {
        let end = start.0.checked_add_unsigned(self.millis())?;
        Some(Self {
            start,
            end: StoreTime(end),
        })
    }
}

impl From<Interval> for (StoreTime, StoreTime) {
    fn from(interval: Interval) -> Self {
        (interval.start, interval.end)
    }
}

impl TryFrom<(StoreTime, StoreTime)> for Interval {
    type Error = EmptyInterval;

    fn try_from((start, end): (StoreTime, StoreTime)) -> Result<Self, EmptyInterval> {
        Self::new(start, end)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start.0, self.end.0)
    }
}

/// The end of a span was not after its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyInterval {
    /// The start as given.
    pub start: StoreTime,
    /// The end as given.
    pub end: StoreTime,
}

impl fmt::Display for EmptyInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "interval ends at {} ms, which is not after its start at {} ms",
            self.end.0, self.start.0
        )
    }
}

impl std::error::Error for EmptyInterval {}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64) -> Interval {
        Interval::new(StoreTime(start), StoreTime(end)).unwrap()
    }

    #[test]
    fn contained_equal_and_partial_spans_overlap_and_touching_ones_do_not() {
        let middle = span(10, 20);
        for other in [span(10, 20), span(12, 15), span(0, 30), span(5, 11), span(19, 25)] {
            assert!(middle.overlaps(&other) && other.overlaps(&middle), "{other}");
        }
        for other in [span(0, 10), span(20, 30)] {
            assert!(!middle.overlaps(&other) && !other.overlaps(&middle), "{other}");
        }
    }

    #[test]
    fn the_longest_span_has_a_length_and_nowhere_to_move() {
        let all = span(i64::MIN, i64::MAX);
        assert_eq!(all.millis(), u64::MAX);
        assert_eq!(all.moved_to(StoreTime(0)), None);
    }

    #[test]
    fn an_empty_span_is_refused_on_its_way_in_from_bytes() {
        let json = serde_json::to_string(&span(1, 2)).unwrap();
        assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), span(1, 2));
        assert!(serde_json::from_str::<Interval>("[2,2]").is_err());
    }
}
