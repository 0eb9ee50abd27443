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
/// use cache_core::Moment;
/// let clock = SystemClock::new();
/// let lease = clock.now() + std::time::Duration::from_secs(3);
/// // Far from the deadline this costs a few nanoseconds; near it, a precise reading.
/// assert!(clock.ceiling(lease) < lease);
/// assert!(clock.ceiling(Moment::NEVER) > Moment::NEVER);
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The precise monotonic time.
    fn now(&self) -> Moment;

    /// The time for comparing with `deadline`: on the same side of it as [`Clock::now`], and otherwise rounded up by
    /// little (100 ms for [`SystemClock`]).
    ///
    /// Every deadline on the hit path is compared with this one, so it may be cheap while the deadline is far and must
    /// be precise when it is near. It must come from the operating system at the instant of the call. A value that a
    /// background task keeps up to date is wrong: after a process was frozen, a reader may run before that task does.
    fn ceiling(&self, deadline: Moment) -> Moment;

    /// Milliseconds since the Unix epoch, for the time shown in events. Never used to order anything.
    fn unix_millis(&self) -> u64;
}

/// The operating system's clocks: `CLOCK_MONOTONIC`, and its coarse variant while a deadline is more than a second away.
///
/// The coarse clock is advanced by the kernel's tick (1 to 10 ms) and costs a few nanoseconds to read. On a busy virtual
/// machine the tick itself comes late, by tens of milliseconds. A tick that is late by up to a second cannot move a
/// reading past its deadline. On systems without a coarse clock, only the precise one is read.
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

    #[inline]
    fn ceiling(&self, deadline: Moment) -> Moment {
        match coarse() {
            Some(coarse) if coarse - self.start + COARSE_LAG_AT_MOST < deadline.0 => {
                Moment(coarse - self.start + COARSE_LAG)
            }
            _near_or_none => self.now(),
        }
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
fn coarse() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Some(in_nanos(time))
}

#[cfg(not(target_os = "linux"))]
fn coarse() -> Option<u64> {
    None
}

/// How far the coarse clock is behind on a busy machine: 25 ticks of the usual 4 ms. Added to what is shown.
const COARSE_LAG: u64 = 100_000_000;

/// How far it may be behind before a deadline would be missed: nearer than this, the precise clock is read. A third of
/// the default lease, so that a node whose heartbeats are answered hardly ever reads it.
const COARSE_LAG_AT_MOST: u64 = 1_000_000_000;

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

    fn ceiling(&self, _deadline: Moment) -> Moment {
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
    fn near_a_deadline_the_ceiling_is_on_the_same_side_as_the_precise_time() {
        let clock = SystemClock::new();
        let deadline = clock.now() + Duration::from_millis(2);
        loop {
            let (before, ceiling) = (clock.now(), clock.ceiling(deadline));
            assert!(before < deadline || ceiling >= deadline, "served too long");
            assert!(ceiling < deadline || clock.now() >= deadline, "refused too early");
            if ceiling >= deadline {
                break;
            }
        }
    }

    #[test]
    fn far_from_a_deadline_the_ceiling_is_little_after_the_precise_time() {
        let clock = SystemClock::new();
        let ceiling = clock.ceiling(Moment::FOREVER);
        assert!(ceiling.since(clock.now()) <= Duration::from_nanos(COARSE_LAG));
        assert!(ceiling < Moment::FOREVER);
    }

    #[test]
    fn a_moment_saturates_instead_of_wrapping() {
        assert_eq!(Moment::FOREVER + Duration::from_secs(1), Moment::FOREVER);
        assert_eq!(Moment::NEVER.back(Duration::from_secs(1)), Moment::NEVER);
    }
}
