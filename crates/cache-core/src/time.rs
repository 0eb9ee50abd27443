//! Time as the protocol knows it: a node's own monotonic clock, and the shared store's clock.
//!
//! No wall clock orders anything here; wall time appears only in events, for people to read.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// An instant of one node's monotonic clock, in nanoseconds since an arbitrary start.
///
/// Moments of two nodes must never be compared; nothing in the protocol does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// Before every other moment: a lease with this deadline has never been granted.
    pub const NEVER: Self = Self(0);

    /// After every other moment.
    pub const FOREVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` earlier, or the clock's start.
    pub fn back(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// An instant of the shared store's clock, in milliseconds since the Unix epoch.
///
/// Expiry is absolute in this clock, so that every node agrees on it whatever its own clock says.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct ServerTime(pub u64);

impl ServerTime {
    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for ServerTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for ServerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Port: where a node reads its own time.
///
/// ```
/// use cache_core::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.now();
/// // The ceiling is cheap and never earlier than the precise time.
/// assert!(clock.ceiling() >= before);
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The precise monotonic time.
    fn now(&self) -> Moment;

    /// A cheap moment that is never before [`Clock::now`] and little after it (100 ms for [`SystemClock`]).
    ///
    /// Every deadline on the hit path is compared with this one: a lease may end that much early, never late. It
    /// must come from the operating system at the instant of the call. A value that a background task keeps
    /// up to date is wrong: after a process was frozen, a reader may run before that task does.
    fn ceiling(&self) -> Moment;

    /// Milliseconds since the Unix epoch, for the time shown in events. Never used to order anything.
    fn unix_millis(&self) -> u64;
}

/// The operating system's clocks: `CLOCK_MONOTONIC`, and its coarse variant for the ceiling.
///
/// The coarse clock is advanced by the kernel's tick (1 to 10 ms) and costs a few nanoseconds to read. On a busy virtual
/// machine the tick itself comes late, so a lag of up to 100 ms is added, and more is not expected. On systems without
/// a coarse clock, the ceiling is the precise one.
///
/// These clocks do not count the time a whole machine sleeps (suspend). A node that was suspended may therefore
/// believe in a lease for what was left of it.
#[derive(Clone, Debug)]
pub struct SystemClock {
    start: u64,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        // Starts one second in, so that no reading equals `Moment::NEVER`.
        Self {
            start: monotonic().saturating_sub(1_000_000_000),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(monotonic() - self.start)
    }

    fn ceiling(&self) -> Moment {
        Moment(coarse() + COARSE_LAG - self.start)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the system's wall clock"
    )]
    fn unix_millis(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }
}

fn monotonic() -> u64 {
    in_nanos(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

#[cfg(target_os = "linux")]
fn coarse() -> u64 {
    in_nanos(rustix::time::clock_gettime(
        rustix::time::ClockId::MonotonicCoarse,
    ))
}

/// How far the coarse clock may be behind: 25 ticks of the usual 4 ms.
#[cfg(target_os = "linux")]
const COARSE_LAG: u64 = 100_000_000;

#[cfg(not(target_os = "linux"))]
fn coarse() -> u64 {
    monotonic()
}

#[cfg(not(target_os = "linux"))]
const COARSE_LAG: u64 = 0;

fn in_nanos(time: rustix::time::Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A clock that moves only when told.
///
/// ```
/// # use cache_core::{Clock, ManualClock};
/// # use std::time::Duration;
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now().since(before), Duration::from_secs(3));
/// ```
#[cfg(any(test, feature = "test-util"))]
#[derive(Clone, Debug)]
pub struct ManualClock(std::sync::Arc<std::sync::atomic::AtomicU64>);

#[cfg(any(test, feature = "test-util"))]
impl ManualClock {
    /// A clock that stands one second after its start.
    pub fn new() -> Self {
        Self(std::sync::Arc::new(std::sync::atomic::AtomicU64::new(
            1_000_000_000,
        )))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(nanos(span), std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn ceiling(&self) -> Moment {
        self.now()
    }

    fn unix_millis(&self) -> u64 {
        self.now().as_nanos() / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_never_before_a_precise_reading_taken_earlier() {
        let clock = SystemClock::new();
        for _ in 0..10_000 {
            let precise = clock.now();
            assert!(clock.ceiling() >= precise);
        }
    }

    #[test]
    fn a_moment_saturates_instead_of_wrapping() {
        assert_eq!(Moment::FOREVER + Duration::from_secs(1), Moment::FOREVER);
        assert_eq!(Moment::NEVER.back(Duration::from_secs(1)), Moment::NEVER);
    }
}
