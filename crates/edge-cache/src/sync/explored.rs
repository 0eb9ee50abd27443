//! The explorer's forms of what fetches are synchronized with, and its tasks.
//!
//! They work only inside of an exploration.

use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, abortable};
use shuttle::thread::{self, JoinHandle};

use super::Tasks;

pub(crate) use futures_util::future::AbortHandle;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// A cell that is written once, with a step before every use at which others may come in between.
pub(crate) struct OnceLock<T> {
    cell: std::sync::OnceLock<T>,
    steps: AtomicUsize,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self {
            cell: std::sync::OnceLock::new(),
            steps: AtomicUsize::new(0),
        }
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        self.next().get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.next().set(value)
    }

    fn next(&self) -> &std::sync::OnceLock<T> {
        self.steps.fetch_add(1, Ordering::SeqCst);
        &self.cell
    }
}

/// Wakes whoever listens, with a step before each call.
#[derive(Default)]
pub(crate) struct Notify {
    notify: tokio::sync::Notify,
    steps: AtomicUsize,
}

impl Notify {
    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.next().notified()
    }

    pub(crate) fn notify_waiters(&self) {
        self.next().notify_waiters();
    }

    fn next(&self) -> &tokio::sync::Notify {
        self.steps.fetch_add(1, Ordering::SeqCst);
        &self.notify
    }
}

/// Tasks that are threads of the exploration.
#[derive(Default)]
pub(crate) struct Threads(std::sync::Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    /// Waits until all tasks have ended.
    pub(crate) fn join(&self) {
        loop {
            let next = self.0.lock().expect("not poisoned").pop();
            let Some(thread) = next else { return };
            thread.join().expect("no task panics");
        }
    }
}

impl Tasks for Threads {
    fn start(&self, work: BoxFuture<'static, ()>) -> AbortHandle {
        let (work, handle) = abortable(work);
        let thread = thread::spawn(move || {
            // Whether it was aborted is no matter here.
            let _ = shuttle::future::block_on(work);
        });
        self.0.lock().expect("not poisoned").push(thread);
        handle
    }
}
