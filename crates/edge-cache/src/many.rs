//! Reads of many keys at once: what memory lacks is asked of the shared store together.
//!
//! Each key keeps its own fetch, with all of its promises; whoever wants one of the keys alone joins it.

use std::sync::Arc;

use cache_core::{Begun, CacheKey, Seq};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::CacheError;
use crate::engine::Engine;
use crate::fetched::Answer;
use crate::fill::{Fill, run_together};
use crate::load::ErasedLoader;
use crate::reading::{Call, PATIENCE, given_up};
use crate::rendezvous::Rendezvous;
use crate::stats::Count;
use crate::work::Work;

type Answered = Result<Option<Answer>, CacheError>;

impl Engine {
    /// Answers reads that memory could not answer, in the order given. A loader is made for each key that gets a fetch of
    /// its own: calls come without one.
    pub(crate) async fn fetch_many(
        self: &Arc<Self>,
        mut calls: Vec<Call>,
        loader: impl Fn(&CacheKey) -> Option<ErasedLoader>,
    ) -> Vec<Answered> {
        if self.stop.is_cancelled() {
            return calls.iter().map(|_| Err(CacheError::Closed)).collect();
        }
        let started = self.ports.clock.now();
        let limit = calls
            .iter()
            .map(|call| self.limit(call))
            .max()
            .unwrap_or_default();
        let end = Instant::now() + limit * PATIENCE;
        let led = self.lead_many(&calls, &loader);
        // Held to the end: a fetch that nobody else wants is dropped with this reader.
        let _places: Vec<_> = led.iter().flatten().map(Rendezvous::place).collect();
        let mut answers = Vec::with_capacity(calls.len());
        for (call, rendezvous) in calls.iter().zip(&led) {
            let Some(rendezvous) = rendezvous else {
                answers.push(None);
                continue;
            };
            answers.push(match timeout_at(end, rendezvous.wait(&self.tasks)).await {
                Ok(outcome) => self.answered(call, outcome, started, false),
                Err(_elapsed) => Some(Err(given_up(call))),
            });
        }
        // What others are fetching, and what was dropped before its end.
        let alone = calls
            .iter_mut()
            .zip(&mut answers)
            .filter(|(_, answer)| answer.is_none());
        join_all(alone.map(async |(call, answer)| {
            call.loader = loader(&call.key);
            *answer = Some(self.outcome(call, None).await);
        }))
        .await;
        answers.into_iter().flatten().collect()
    }

    /// Leads the fetches of all keys that nobody is fetching.
    fn lead_many(
        self: &Arc<Self>,
        calls: &[Call],
        loader: impl Fn(&CacheKey) -> Option<ErasedLoader>,
    ) -> Vec<Option<Arc<Rendezvous>>> {
        let (work, mut fills) = (Arc::new(Work::default()), Vec::with_capacity(calls.len()));
        let mut lead = |call: &Call| {
            self.memory.namespaces[call.namespace].counters.add(Count::L1Miss);
            let rendezvous = Arc::new(Rendezvous::of(&work));
            let Begun::Lead(ticket) = self.begin_with(call, &rendezvous) else {
                return None;
            };
            let loader = loader(&call.key);
            if loader.is_some() {
                rendezvous.has_a_loader();
            }
            fills.push(Fill {
                engine: Arc::clone(self),
                call: Call {
                    loader,
                    ..call.clone()
                },
                ticket,
                rendezvous: Arc::clone(&rendezvous),
                begun: self.ports.clock.now(),
                stale: None,
                newer_than: Seq::ZERO,
                cause: None,
            });
            Some(rendezvous)
        };
        let led = calls.iter().map(&mut lead).collect();
        let together = run_together(Arc::clone(self), fills);
        work.begin(self.holding.of(together), &self.tasks);
        led
    }
}
