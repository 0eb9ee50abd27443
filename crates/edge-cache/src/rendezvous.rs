//! Where everybody who wants the same value waits for the one who fetches it.
//!
//! When the last one who waits goes away, the fetch is dropped, unless somebody asked that it be finished. Where it runs is
//! decided in `work`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_core::Entry;

use crate::fetched::Answer;
use crate::sync::{AtomicBool, AtomicUsize, Notify, OnceLock, Tasks};
use crate::work::Work;
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
    loads: AtomicBool,
    /// Shared by fetches of many keys that ask the shared store together.
    work: Arc<Work>,
}

impl Rendezvous {
    /// Of a fetch that this work does, with others.
    pub(crate) fn of(work: &Arc<Work>) -> Self {
        Self {
            work: Arc::clone(work),
            ..Self::default()
        }
    }

    /// Ends the fetch for all who wait. Only the first end counts.
    pub(crate) fn complete(&self, outcome: FillOutcome) {
        // A later outcome is dropped on purpose: the first one may have been seen already.
        let _ = self.outcome.set(outcome);
        self.ended.notify_waiters();
    }

    /// Begins the work that ends in [`Rendezvous::complete`].
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static, tasks: &impl Tasks) {
        self.work.begin(work, tasks);
    }

    /// The fetch asks a loader when neither tier has the value.
    pub(crate) fn has_a_loader(&self) {
        self.loads.store(true, Ordering::Release);
    }

    /// Whether it does. Who joins one that does otherwise than itself may be told what is no answer to its own question.
    pub(crate) fn loads(&self) -> bool {
        self.loads.load(Ordering::Acquire)
    }

    /// Somebody else joins the one who leads.
    pub(crate) fn join(&self, tasks: &impl Tasks) {
        self.work.become_task(tasks);
    }

    /// Lets the fetch end even when nobody waits any more.
    pub(crate) fn want_anyway(&self, tasks: &impl Tasks) {
        self.wanted_anyway.store(true, Ordering::Release);
        self.work.become_task(tasks);
    }

    /// Waits for the end, and works for it as long as nobody else depends on it. Cancel-safe: dropping the future stops waiting.
    pub(crate) async fn wait(self: &Arc<Self>, tasks: &impl Tasks) -> FillOutcome {
        let _place = self.place();
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            poll_fn(|context| {
                self.work.advance(context, tasks);
                ended.as_mut().poll(context)
            })
            .await;
        }
    }

    /// Counts as one who waits, until it is dropped.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(self))
    }
}

/// One who waits.
pub(crate) struct Place(Arc<Rendezvous>);

impl Drop for Place {
    fn drop(&mut self) {
        let last = self.0.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.0.outcome.get().is_none() && !self.0.wanted_anyway.load(Ordering::Acquire) {
            self.0.work.give_up();
        }
    }
}

#[cfg(test)]
mod tests;
