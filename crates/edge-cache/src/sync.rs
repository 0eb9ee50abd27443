//! What fetches are synchronized with: the standard library's and tokio's; in this crate's unit tests `shuttle`'s, which tries
//! interleavings.
//!
//! Nothing here is a type of its own outside of tests: in every other build these are names.

#[cfg(test)]
pub(crate) mod explored;

use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;

#[cfg(test)]
pub(crate) use explored::{AbortHandle, AtomicBool, AtomicUsize, Mutex, MutexGuard, Notify, OnceLock};
#[cfg(not(test))]
pub(crate) use {
    std::sync::atomic::{AtomicBool, AtomicUsize},
    std::sync::{Mutex, MutexGuard, OnceLock},
    tokio::sync::Notify,
    tokio::task::AbortHandle,
};

/// Where work becomes a task.
pub(crate) trait Tasks {
    /// Starts a task.
    fn start(&self, work: BoxFuture<'static, ()>) -> AbortHandle;
}

impl Tasks for TaskTracker {
    #[cfg(not(test))]
    #[inline]
    fn start(&self, work: BoxFuture<'static, ()>) -> AbortHandle {
        self.spawn(work).abort_handle()
    }

    #[cfg(test)]
    fn start(&self, work: BoxFuture<'static, ()>) -> AbortHandle {
        let (work, handle) = futures_util::future::abortable(work);
        self.spawn(work);
        handle
    }
}
