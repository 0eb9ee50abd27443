//! The nodes' clocks: monotonic as they should be, and a wall clock that may show anything.
//!
//! Nothing but the time shown in events may depend on the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cache_core::{Clock, Moment};
use testkit::VirtualClock;

/// A clock whose wall time can be set.
#[derive(Debug)]
pub(super) struct WallClock {
    inner: Arc<VirtualClock>,
    ahead: AtomicI64,
}

impl WallClock {
    pub(super) const fn over(inner: Arc<VirtualClock>) -> Self {
        Self {
            inner,
            ahead: AtomicI64::new(0),
        }
    }

    /// Shows so many milliseconds more than is right.
    pub(super) fn set_ahead(&self, millis: i64) {
        self.ahead.store(millis, Ordering::Relaxed);
    }
}

impl Clock for WallClock {
    fn now(&self) -> Moment {
        self.inner.now()
    }

    fn ceiling(&self, deadline: Moment) -> Moment {
        self.inner.ceiling(deadline)
    }

    fn unix_millis(&self) -> u64 {
        let ahead = self.ahead.load(Ordering::Relaxed);
        self.inner.unix_millis().saturating_add_signed(ahead)
    }
}
