//! Where everybody who wants the same value waits for the one who fetches it.
//!
//! A fetch that one reader wants runs in that reader, who then waits for nobody: no task is made, and no thread is woken
//! but the reader's own. As soon as a second one wants it, it is a task of its own: it goes on whether or not its first
//! reader is polled or stays. When the last one who waits goes away, it is dropped, unless somebody asked that it be finished.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context;

use cache_core::Entry;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::fetched::Answer;
use crate::{CacheError, Tier};

/// How a fetch ended.
#[derive(Clone, Debug)]
pub(crate) enum FillOutcome {
    /// There is an entry; it may say that there is no value.
    Found(Arc<Entry>, Tier),
    /// It failed, and this stands in.
    StandIn(Answer),
    /// Neither tier has it and there was no loader.
    Absent,
    /// It failed.
    Failed(CacheError),
    /// It was dropped before its end; whoever still wants the value starts over.
    Dropped,
}

#[derive(Default)]
pub(crate) struct Rendezvous {
    outcome: OnceLock<FillOutcome>,
    ended: Notify,
    waiting: AtomicUsize,
    wanted_anyway: AtomicBool,
    work: Mutex<Work>,
}

/// Who does the work of a fetch.
#[derive(Default)]
enum Work {
    /// Nobody: it has ended, or not begun.
    #[default]
    None,
    /// The one reader who wants it, whenever it is polled.
    Reader(BoxFuture<'static, ()>),
    /// That reader, at this very moment; then it becomes a task, if somebody asked for that meanwhile.
    Polled { task_wanted: bool },
    /// A task.
    Task(AbortHandle),
}

impl Rendezvous {
    /// Ends the fetch for all who wait. Only the first end counts.
    pub(crate) fn complete(&self, outcome: FillOutcome) {
        // A later outcome is dropped on purpose: the first one may have been seen already.
        let _ = self.outcome.set(outcome);
        self.ended.notify_waiters();
    }

    /// Gives it the work that ends in [`Rendezvous::complete`]. A panic in it is the end of the work, not of the reader.
    pub(crate) fn work_is(&self, work: impl Future<Output = ()> + Send + 'static) {
        let guarded = AssertUnwindSafe(work).catch_unwind().map(drop);
        *self.work() = Work::Reader(guarded.boxed());
    }

    /// Lets the fetch end even when nobody waits any more.
    pub(crate) fn want_anyway(&self, tasks: &TaskTracker) {
        self.wanted_anyway.store(true, Ordering::Release);
        self.become_task(tasks);
    }

    /// More than its first reader depend on it: it goes on without being polled by that one.
    pub(crate) fn become_task(&self, tasks: &TaskTracker) {
        let mut work = self.work();
        match std::mem::take(&mut *work) {
            Work::Reader(future) => *work = Work::Task(tasks.spawn(future).abort_handle()),
            Work::Polled { .. } => *work = Work::Polled { task_wanted: true },
            done_or_a_task => *work = done_or_a_task,
        }
    }

    /// Waits for the end, and works for it as long as nobody else depends on it. Cancel-safe: dropping the future stops waiting.
    pub(crate) async fn wait(self: &Arc<Self>, tasks: &TaskTracker) -> FillOutcome {
        let _place = Place::take(self);
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            poll_fn(|context| {
                self.work_on(context, tasks);
                ended.as_mut().poll(context)
            })
            .await;
        }
    }

    fn work_on(&self, context: &mut Context<'_>, tasks: &TaskTracker) {
        let mut future = {
            let mut work = self.work();
            match std::mem::take(&mut *work) {
                Work::Reader(future) => {
                    *work = Work::Polled { task_wanted: false };
                    future
                }
                others => {
                    *work = others;
                    return;
                }
            }
        };
        // Not under the lock: what runs here may read the same key.
        let done = Pin::new(&mut future).poll(context).is_ready();
        let mut work = self.work();
        *work = match std::mem::take(&mut *work) {
            _ if done => Work::None,
            Work::Polled { task_wanted: true } => Work::Task(tasks.spawn(future).abort_handle()),
            _ => Work::Reader(future),
        };
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
struct Place(Arc<Rendezvous>);

impl Place {
    fn take(rendezvous: &Arc<Rendezvous>) -> Self {
        rendezvous.waiting.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(rendezvous))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let last = self.0.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.0.outcome.get().is_none() && !self.0.wanted_anyway.load(Ordering::Acquire) {
            let work = std::mem::take(&mut *self.0.work());
            // Dropped after the lock is free: that completes the fetch.
            match work {
                Work::Task(task) => task.abort(),
                Work::Reader(future) => drop(future),
                Work::Polled { .. } | Work::None => {}
            }
        }
    }
}
