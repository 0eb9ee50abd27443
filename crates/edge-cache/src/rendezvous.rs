//! Where everybody who wants the same value waits for the one who fetches it.
//!
//! When the last one who waits goes away, the fetch is dropped, unless somebody asked that it be finished.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cache_core::Entry;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

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

#[derive(Debug, Default)]
pub(crate) struct Rendezvous {
    outcome: OnceLock<FillOutcome>,
    ended: Notify,
    waiting: AtomicUsize,
    wanted_anyway: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Rendezvous {
    /// Ends the fetch for all who wait. Only the first end counts.
    pub(crate) fn complete(&self, outcome: FillOutcome) {
        // A later outcome is dropped on purpose: the first one may have been seen already.
        let _ = self.outcome.set(outcome);
        self.ended.notify_waiters();
    }

    /// Lets the fetch end even when nobody waits any more.
    pub(crate) fn want_anyway(&self) {
        self.wanted_anyway.store(true, Ordering::Release);
    }

    pub(crate) fn set_task(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Waits for the end. Cancel-safe: dropping the future stops waiting.
    pub(crate) async fn wait(self: &Arc<Self>) -> FillOutcome {
        let _place = Place::take(self);
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            ended.await;
        }
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
            let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}
