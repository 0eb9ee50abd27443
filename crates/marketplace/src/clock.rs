//! The clock of a system of record: the only time that decides anything about a booking.
//!
//! It does not wait and does not measure: an edge node's own clock is a different thing and decides nothing here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::StoreTime;

/// Tells a store what time it is. It must not run backwards.
///
/// ```
/// use marketplace::{ManualClock, StoreClock, StoreTime};
/// let clock: &dyn StoreClock = &ManualClock::at(StoreTime::from_millis(5));
/// assert_eq!(clock.now().as_millis(), 5);
/// ```
pub trait StoreClock: Send + Sync {
    /// The current instant.
    fn now(&self) -> StoreTime;
}

/// A clock that moves only when told: for tests, replays and simulations.
///
/// ```
/// use std::time::Duration;
/// use marketplace::{ManualClock, StoreClock, StoreTime};
/// let clock = ManualClock::at(StoreTime::from_millis(0));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().as_millis(), 60_000);
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `start`.
    #[must_use]
    pub fn at(start: StoreTime) -> Self {
        Self(AtomicI64::new(start.as_millis()))
    }

    /// Moves on by `span`.
    pub fn advance(&self, span: Duration) {
        self.advance_to(self.now().plus(span));
    }

    /// Moves on to `instant`; stays where it is when that has passed already.
    pub fn advance_to(&self, instant: StoreTime) {
        self.0.fetch_max(instant.as_millis(), Ordering::SeqCst);
    }
}

impl StoreClock for ManualClock {
    fn now(&self) -> StoreTime {
        StoreTime::from_millis(self.0.load(Ordering::SeqCst))
    }
}
