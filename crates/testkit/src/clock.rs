//! A node's clock that follows the runtime's time, so that paused time stops it and advanced time moves it.
//!
//! Whether time is paused is the test's choice (`start_paused`, or [`virtual_time`]).

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock, Moment, SystemClock};
use tokio::time::Instant;

/// Where the clock starts: late enough that a moment a few leases back is not cut off at [`Moment::NEVER`].
const START: Duration = Duration::from_secs(60);

/// The wall time at the start, 14 November 2023: any date would do, a fixed one makes events comparable.
const UNIX_START: Duration = Duration::from_secs(1_700_000_000);

/// A [`Clock`] over [`tokio::time::Instant`].
///
/// Stands still under paused time and moves with `tokio::time::advance` and with timers that the runtime skips to.
/// Its readings are all exact. Under paused time it must be read within the runtime: elsewhere there is no paused time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use cache_core::Clock;
/// use std::time::Duration;
/// use testkit::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let before = clock.now();
/// tokio::time::advance(Duration::from_secs(3)).await;
/// assert_eq!(clock.now().since(before), Duration::from_secs(3));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock {
    created: Instant,
}

impl VirtualClock {
    /// A clock that reads one minute now.
    pub fn new() -> Self {
        Self {
            created: Instant::now(),
        }
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Moment {
        Moment::NEVER + START + self.created.elapsed()
    }

    fn ceiling(&self, _deadline: Moment) -> Moment {
        self.now()
    }

    fn unix_millis(&self) -> u64 {
        let wall = UNIX_START + self.created.elapsed();
        u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Virtual time in one call: stops the runtime's time, unless it stands already, and returns a clock that follows it. Hand it
/// to whatever reads a clock: the cache, and the embedded backend.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use cache_core::Clock;
/// use std::time::Duration;
///
/// let clock = testkit::virtual_time();
/// let before = clock.now();
/// // An hour passes at once: nothing else has anything to do.
/// tokio::time::sleep(Duration::from_secs(3_600)).await;
/// assert!(clock.now().since(before) >= Duration::from_secs(3_600));
/// # }
/// ```
///
/// # Panics
/// Outside a Tokio runtime of one thread: only there can time be stopped.
pub fn virtual_time() -> Arc<VirtualClock> {
    if !stands_still() {
        tokio::time::pause();
    }
    Arc::new(VirtualClock::new())
}

/// Whether the runtime's time stands still, told by the system's clock.
fn stands_still() -> bool {
    let (timers, system) = (Instant::now(), SystemClock::new());
    let start = system.now();
    while system.now().since(start) < Duration::from_micros(10) {
        std::hint::spin_loop();
    }
    Instant::now() == timers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn virtual_time_stops_the_runtime_and_may_be_asked_for_again() {
        let (first, second) = (virtual_time(), virtual_time());
        let before = (first.now(), second.now());
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        // Timers have a grain of a millisecond.
        let day = Duration::from_secs(86_400)..=Duration::from_millis(86_400_001);
        assert!(day.contains(&first.now().since(before.0)));
        assert!(day.contains(&second.now().since(before.1)));
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_stands_still_and_advanced_time_is_exact() {
        let clock = VirtualClock::new();
        let before = clock.now();
        tokio::task::yield_now().await;
        assert_eq!(clock.now(), before);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now().since(before), Duration::from_millis(1_500));
        assert_eq!(clock.ceiling(clock.now()), clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_starts_later_than_a_second_so_that_it_never_reads_never() {
        assert!(VirtualClock::new().now() > Moment::NEVER + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn wall_time_moves_with_the_clock_and_starts_at_a_fixed_date() {
        let clock = VirtualClock::new();
        assert_eq!(clock.unix_millis(), 1_700_000_000_000);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.unix_millis(), 1_700_000_002_000);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_read_the_same_time() {
        let clock = VirtualClock::new();
        let twin = clock.clone();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), twin.now());
    }
}
