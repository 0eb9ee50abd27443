//! The one clock of a run, as the nodes, the servers and the systems of record each want to read it.
//!
//! Real nodes have a clock each and never compare them; the demonstration's judge may, because it gave them one.

use cache_core::{Clock, Moment, SystemClock};
use marketplace::{StoreClock, StoreTime};

/// The system's clock, told in the stores' time.
#[derive(Debug, Clone)]
pub struct MarketClock {
    clock: SystemClock,
    /// Milliseconds since the Unix epoch at the clock's start.
    epoch: i64,
}

impl MarketClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        let clock = SystemClock::new();
        let unix = i64::try_from(clock.unix_millis()).unwrap_or(0);
        let epoch = unix - millis(clock.now());
        Self { clock, epoch }
    }

    /// The clock as the nodes and servers read it.
    #[must_use]
    pub fn shared(&self) -> SystemClock {
        self.clock.clone()
    }

    /// The instant in the nodes' time, by the stores' grain of a millisecond rounded down.
    #[must_use]
    pub fn moment(&self, at: StoreTime) -> Moment {
        let millis = at.as_millis().saturating_sub(self.epoch).max(0).unsigned_abs();
        Moment::from_nanos(millis.saturating_mul(1_000_000))
    }
}

impl StoreClock for MarketClock {
    fn now(&self) -> StoreTime {
        StoreTime::from_millis(self.epoch.saturating_add(millis(self.clock.now())))
    }
}

fn millis(moment: Moment) -> i64 {
    i64::try_from(moment.as_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_stores_is_at_most_a_millisecond_before_the_moment_it_was_read_at() {
        let clock = MarketClock::start();
        let before = clock.shared().now();
        let told = clock.moment(clock.now());
        assert!(told + std::time::Duration::from_millis(1) > before);
        assert!(told <= clock.shared().now());
    }
}
