//! The task that follows one lane: subscribes, applies events, beats the heart, reads logs, starts lineages.
//!
//! It moves messages between the bus and the followers; it judges none of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{
    Adoption, BusError, BusLink, Entropy, EventBus, EventId, Heads, Lineage, Replay, Reply, Shard,
    SharedStore, StoreError,
};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, Pause};
use crate::coherence::{Asked, Chore, Coherence};
use crate::follower::{Probe, Source};
use crate::inbox::LaneInbox;
use crate::spot_checks::Check;

/// Shortest and longest pause before subscribing again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// So many refusals of one shard in a row are worth an operator's attention: by then its gap is about a second old.
const COMPLAINT: u32 = 6;

/// What a lane's task needs.
pub struct Driver {
    /// The lane's state.
    pub coherence: Arc<Coherence>,
    /// Where events come from.
    pub bus: Arc<dyn EventBus>,
    /// Where lineages are started.
    pub store: Arc<dyn SharedStore>,
    /// Where ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// Events that may wait; more, and their shards are flushed.
    pub queue: usize,
    /// Ends the task.
    pub stop: CancellationToken,
}

enum Done {
    Heads(Asked, Result<Heads, BusError>),
    Replay(Shard, Probe, Result<Replay, BusError>),
    Adopt(Shard, Probe, Result<Reply<cache_core::Adopted>, StoreError>),
    Check(Check, Result<Replay, BusError>),
}

type Pending = FuturesUnordered<BoxFuture<'static, Done>>;

impl Driver {
    /// Follows the lane until told to stop. Dropping the future stops it as well; nothing outlives it. A panic, which would
    /// be a mistake in the protocol's own code, costs the lane's entries and not its life.
    pub async fn run(self) {
        while AssertUnwindSafe(self.follow_until_told())
            .catch_unwind()
            .await
            .is_err()
        {
            tracing::error!(lane = ?self.coherence.lane(), "following a lane panicked; it is flushed and starts over");
            self.coherence.broke_down();
            let _ = timeout(RETRY.1, self.stop.cancelled()).await;
        }
    }

    async fn follow_until_told(&self) {
        let mut pause = RETRY.0;
        while !self.stop.is_cancelled() {
            let inbox = Arc::new(LaneInbox::new(self.queue, self.coherence.rules()));
            let limit = self.coherence.timing().lease;
            let subscribed = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                answer = timeout(limit, self.bus.subscribe(self.coherence.lane(), Arc::clone(&inbox) as _)) => answer,
            };
            match subscribed {
                Ok(Ok(link)) => {
                    pause = RETRY.0;
                    self.coherence.resubscribed();
                    self.coherence.reached(true);
                    self.follow(&inbox, &link).await;
                    self.coherence.connected.store(false, Ordering::Relaxed);
                }
                Ok(Err(error)) => {
                    tracing::debug!(lane = ?self.coherence.lane(), %error, "cannot subscribe; will try again");
                    self.coherence.failed(error);
                    self.coherence.reached(false);
                }
                Err(_elapsed) => {
                    tracing::debug!(lane = ?self.coherence.lane(), "subscribing took too long; will try again");
                    self.coherence
                        .failed(format!("subscribing took longer than {limit:?}"));
                    self.coherence.reached(false);
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Follows one subscription until it is lost or unresponsive.
    async fn follow(&self, inbox: &LaneInbox, link: &Arc<dyn BusLink>) {
        let heartbeat = self.coherence.timing().heartbeat();
        let mut pending = Pending::new();
        // The next heartbeat finds a gap anyway: resting for longer than one would only hide that it is still there.
        let mut backoff = Backoff::new(RETRY.0, heartbeat);
        let mut unanswered = 0_u32;
        let mut next_beat = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(done) = pending.next(), if !pending.is_empty() => {
                    // What was delivered before this answer must be applied before it.
                    if self.drain(inbox) {
                        return;
                    }
                    match done {
                        Done::Heads(_, Err(error)) => {
                            tracing::debug!(%error, "heartbeat failed");
                            self.coherence.failed(error);
                        }
                        Done::Heads(asked, Ok(heads)) => {
                            unanswered = 0;
                            self.coherence.on_heads(&asked, &heads);
                        }
                        done => self.settle(done, &mut backoff),
                    }
                }
                () = tokio::time::sleep_until(next_beat) => {
                    next_beat = Instant::now() + heartbeat;
                    if unanswered >= 3 {
                        tracing::debug!(lane = ?self.coherence.lane(), "the bus connection does not answer; subscribing anew");
                        self.coherence.failed("three questions over the bus's connection were not answered");
                        return;
                    }
                    if unanswered > 0 && self.coherence.cause().is_none() {
                        self.coherence.failed(BusError::new(
                            cache_core::ErrorKind::Unavailable,
                            format!("no answer to the last heartbeats, {unanswered} in all"),
                        ));
                    }
                    unanswered += 1;
                    pending.push(self.beat(link));
                    pending.extend(self.coherence.due_checks().into_iter().map(|check| self.check(link, check)));
                }
                () = self.coherence.chores_came() => {}
                // Last, since it may always be ready: a flood of events must not keep answers and heartbeats waiting.
                () = inbox.arrived() => {}
            }
            if self.drain(inbox) {
                return;
            }
            for chore in self.coherence.take_chores() {
                pending.push(match chore {
                    Chore::Ask => self.beat(link),
                    Chore::Replay { shard, from } => self.replay(link, shard, from, backoff.pause(shard)),
                    Chore::Adopt { shard, from, hint } => self.adopt(shard, from, hint, backoff.pause(shard)),
                });
            }
        }
    }

    /// Applies what has arrived; tells whether the subscription is lost.
    fn drain(&self, inbox: &LaneInbox) -> bool {
        let batch = inbox.drain();
        self.coherence.queued.store(inbox.len(), Ordering::Relaxed);
        self.coherence.on_events(batch.events);
        for shard in batch.lagged {
            self.coherence.on_lagged(shard);
        }
        batch.lost
    }

    fn settle(&self, done: Done, backoff: &mut Backoff) {
        match done {
            Done::Replay(shard, probe, Ok(replay)) => {
                backoff.answered(shard);
                self.coherence.replayed(shard, &probe, replay);
            }
            Done::Adopt(shard, probe, Ok(reply)) => {
                backoff.answered(shard);
                self.coherence.adoption_ended(shard);
                self.coherence
                    .observe(shard, &probe, Source::Bus, reply.server, reply.head);
            }
            Done::Replay(shard, probe, Err(error)) => {
                complain(shard, backoff.refused(shard), &error, "reading its log");
                self.coherence.replay_failed(shard, &probe);
            }
            Done::Adopt(shard, _, Err(error)) => {
                complain(shard, backoff.refused(shard), &error, "starting its lineage");
                self.coherence.adoption_ended(shard);
            }
            Done::Check(check, log) => self.coherence.checked(check, log),
            Done::Heads(..) => {}
        }
    }

    fn beat(&self, link: &Arc<dyn BusLink>) -> BoxFuture<'static, Done> {
        let (link, asked, limit) = (
            Arc::clone(link),
            self.coherence.ask_all(),
            self.coherence.timing().lease,
        );
        Box::pin(async move {
            let heads = within(limit, link.heads(), || too_late("heads")).await;
            Done::Heads(asked, heads)
        })
    }

    fn replay(
        &self,
        link: &Arc<dyn BusLink>,
        shard: Shard,
        from: cache_core::Seq,
        pause: Pause,
    ) -> BoxFuture<'static, Done> {
        let (link, probe, limit) = (
            Arc::clone(link),
            self.coherence.probe(shard),
            self.coherence.timing().deadline,
        );
        let entropy = Arc::clone(&self.entropy);
        Box::pin(async move {
            let replay = within(limit, link.replay(shard, from), || too_late("log")).await;
            rest_if_refused(&replay, pause, &*entropy).await;
            Done::Replay(shard, probe, replay)
        })
    }

    fn check(&self, link: &Arc<dyn BusLink>, check: Check) -> BoxFuture<'static, Done> {
        let (link, limit) = (Arc::clone(link), self.coherence.timing().deadline);
        Box::pin(async move {
            let log = within(limit, link.replay(check.shard, check.from), || too_late("log")).await;
            Done::Check(check, log)
        })
    }

    fn adopt(
        &self,
        shard: Shard,
        from: Option<Lineage>,
        hint: cache_core::Seq,
        pause: Pause,
    ) -> BoxFuture<'static, Done> {
        let to = Lineage(self.entropy.draw());
        let adoption = Adoption {
            shard,
            from,
            to,
            hint,
            id: EventId(self.entropy.draw()),
        };
        let (store, probe, limit) = (
            Arc::clone(&self.store),
            self.coherence.probe(shard),
            self.coherence.timing().deadline,
        );
        let entropy = Arc::clone(&self.entropy);
        Box::pin(async move {
            let late = || StoreError::new(cache_core::ErrorKind::Uncertain, "adopting took too long");
            let reply = within(limit, store.adopt(adoption), late).await;
            rest_if_refused(&reply, pause, &*entropy).await;
            Done::Adopt(shard, probe, reply)
        })
    }
}

/// As long as a refused question counts as under way, its shard asks for no other: a server that refuses is not asked in a
/// circle.
async fn rest_if_refused<T, E>(answer: &Result<T, E>, pause: Pause, entropy: &dyn Entropy) {
    if answer.is_err() {
        tokio::time::sleep(pause.shortened(entropy.draw())).await;
    }
}

fn complain(shard: Shard, refusals: u32, error: &dyn std::error::Error, what: &str) {
    if refusals == COMPLAINT {
        tracing::warn!(%shard, %error, refusals, "{what} is refused again and again; will go on trying");
    } else {
        tracing::debug!(%shard, %error, refusals, "{what} was refused; will try again");
    }
}

async fn within<T, E>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
    late: impl FnOnce() -> E,
) -> Result<T, E> {
    timeout(limit, answer)
        .await
        .unwrap_or_else(|_elapsed| Err(late()))
}

fn too_late(what: &str) -> BusError {
    BusError::new(
        cache_core::ErrorKind::Unavailable,
        format!("reading the {what} took too long"),
    )
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("coherence", &self.coherence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
