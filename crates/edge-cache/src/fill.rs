//! One fetch of one key: from the shared store, or from the loader under a fill lease.
//!
//! It runs in its only reader, or as a task when there are more, so that readers come and go; when all have gone it is
//! dropped, and its slot is free.

mod direct;
mod loading;
mod weighing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{Begun, Entry, Finished, Moment, ReadFrom, Replacement, Seq, Shard, Ticket};
use event_bus::Verdict;
use tokio::time::timeout;

use crate::Tier;
use crate::engine::{Engine, source_of};
use crate::fetched::Answer;
use crate::memory::NamespaceState;
use crate::reading::Call;
use crate::rendezvous::{FillOutcome, Rendezvous};

use self::direct::Reason;

/// Times a fetch starts over within its deadline before it returns what it has without keeping it. A key that is
/// invalidated faster than it can be loaded would never end otherwise.
const ATTEMPTS: u32 = 12;
/// How long a read waits for a debt that is being paid, before it asks the source.
const PATIENCE: Duration = Duration::from_millis(100);
/// Shortest and longest pause while another node loads.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

pub(crate) struct Fill {
    pub(crate) engine: Arc<Engine>,
    pub(crate) call: Call,
    pub(crate) ticket: Ticket,
    pub(crate) rendezvous: Arc<Rendezvous>,
    /// What may stand in when the load fails.
    pub(crate) stale: Option<Answer>,
    pub(crate) newer_than: Seq,
}

/// What one attempt came to.
enum Step {
    /// This is the end.
    Done(FillOutcome),
    /// Install this, and end with it.
    Install(Arc<Entry>, Tier),
    /// The load failed: install this, which stands in, and end with it.
    StandIn(Answer),
    /// Start over, reading from this copy.
    Again(ReadFrom),
    /// Another node loads: wait, then start over.
    Wait(Duration),
}

/// What became of an attempt to keep something.
enum Kept {
    /// The fetch ends with it.
    End,
    /// Another fetch has taken the place of this one, and ended so.
    Other(FillOutcome),
    /// It is outdated: read again.
    Again,
}

impl Fill {
    pub(crate) async fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        let outcome = tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            outcome = self.fetch() => outcome,
        };
        self.rendezvous.complete(outcome);
    }

    fn namespace(&self) -> &NamespaceState {
        &self.engine.memory.namespaces[self.call.namespace]
    }

    async fn fetch(&mut self) -> FillOutcome {
        let deadline = self.deadline();
        let copy = self.engine.lane(self.call.shard).copy_to_ask(self.call.shard);
        let (mut from, mut attempts, mut pause) = (copy, 0, POLL.0);
        loop {
            attempts += 1;
            let last = attempts > ATTEMPTS || self.engine.ports.clock.now() >= deadline;
            let step = if last {
                self.direct(deadline, Reason::Restless).await
            } else {
                self.attempt(from, deadline).await
            };
            match step {
                Step::Again(copy) => from = copy,
                Step::Wait(longest) => {
                    tokio::time::sleep(pause.min(longest)).await;
                    pause = (pause * 2).min(POLL.1);
                    attempts -= 1;
                }
                Step::Done(outcome) => {
                    self.namespace().local.finish(&self.call.key, self.ticket, None);
                    return outcome;
                }
                Step::Install(entry, tier) => {
                    let found = FillOutcome::Found(Arc::clone(&entry), tier);
                    match self.keep(entry, last).await {
                        Kept::End => return found,
                        Kept::Other(outcome) => return outcome,
                        Kept::Again => from = ReadFrom::Primary,
                    }
                }
                Step::StandIn(answer) => {
                    let entry = Arc::clone(&answer.entry);
                    match self.keep(entry, last).await {
                        Kept::End => return FillOutcome::StandIn(answer),
                        Kept::Other(outcome) => return outcome,
                        Kept::Again => from = ReadFrom::Primary,
                    }
                }
            }
        }
    }

    /// Puts what was found into memory, and frees the key's slot.
    async fn keep(&mut self, entry: Arc<Entry>, last: bool) -> Kept {
        let local = Arc::clone(&self.namespace().local);
        let (key, version) = (self.call.key.clone(), entry.version.seq);
        if last || !self.call.options.l1.writes() {
            // What memory holds may be older than what this reader is shown; nobody here may be shown it after that.
            local.supersede(&key, version, Replacement::None);
            local.finish(&key, self.ticket, None);
            return Kept::End;
        }
        match local.finish(&key, self.ticket, Some(entry)) {
            Finished::Installed => Kept::End,
            Finished::Superseded { floor } => {
                // As a stand-in it would be superseded again, after asking the broken source again.
                self.stale = self.stale.take().filter(|stale| stale.entry.as_of >= floor);
                Kept::Again
            }
            Finished::NotYours if self.call.options.is_private() => {
                local.supersede(&key, version, Replacement::None);
                Kept::End
            }
            Finished::NotYours => match self.engine.begin_with(&self.call, &self.rendezvous) {
                Begun::Lead(ticket) => {
                    self.ticket = ticket;
                    Kept::Again
                }
                Begun::Join(other) => {
                    let Ok(other) = other.downcast::<Rendezvous>() else {
                        return Kept::Other(FillOutcome::Dropped);
                    };
                    other.join(&self.engine.tasks);
                    match other.wait(&self.engine.tasks).await {
                        // That one had no loader to ask; this one has.
                        FillOutcome::Absent if self.call.loader.is_some() => Kept::Again,
                        outcome => Kept::Other(outcome),
                    }
                }
            },
        }
    }

    fn deadline(&self) -> Moment {
        self.engine.ports.clock.now() + self.limit()
    }

    fn started(&self, deadline: Moment) -> Moment {
        deadline.back(self.limit())
    }

    fn limit(&self) -> Duration {
        self.engine.limit(&self.call)
    }

    async fn attempt(&mut self, from: ReadFrom, deadline: Moment) -> Step {
        let (shard, engine) = (self.call.shard, Arc::clone(&self.engine));
        if self.call.options.l2 == crate::TierUse::Skip {
            return self.direct(deadline, Reason::AskedFor).await;
        }
        if engine.owes(shard, &self.call.key) {
            // What is loaded while a debt is being paid may be newer than what others fill right after it, so it would
            // have to be owed again: a short wait spares that round.
            let patient = engine.ports.clock.now() < self.started(deadline) + PATIENCE;
            if patient && engine.paying.load(Ordering::Acquire) > 0 {
                return Step::Wait(POLL.1);
            }
            return self.direct(deadline, Reason::Owed).await;
        }
        let lane = engine.lane(shard);
        let probe = lane.probe(shard);
        let barriers_are_known = lane.probe(Shard::barriers(shard.lane())).lineage.is_some();
        if probe.lineage.is_none() || !barriers_are_known {
            return self.direct(deadline, Reason::Unavailable).await;
        }
        if !self.call.options.l2.reads() {
            return self.load_under_lease(Seq(u64::MAX), deadline).await;
        }
        let keys = [self.call.key.clone()];
        let reply = timeout(
            self.patience(deadline),
            engine.ports.shared.read(shard, &keys, from),
        )
        .await;
        let Ok(Ok(reply)) = reply else {
            return self.direct(deadline, Reason::Unavailable).await;
        };
        let head = match lane.observe(shard, &probe, source_of(from), reply.server, reply.head) {
            Verdict::Restart => return Step::Again(from),
            Verdict::AskPrimary => return Step::Again(ReadFrom::Primary),
            Verdict::Down => return self.direct(deadline, Reason::Unavailable).await,
            Verdict::Admit { .. } => reply.head,
        };
        let record = reply.answer.and_then(|mut records| records.pop()).flatten();
        let (Some(head), Some(record)) = (head, record) else {
            return self.load_under_lease(self.newer_than, deadline).await;
        };
        self.weigh(record, &head, &probe, deadline).await
    }

    /// How long the shared store may take to answer: with a loader at hand, half of what is left, so that a store that
    /// hangs leaves the loader its turn.
    fn patience(&self, deadline: Moment) -> Duration {
        let left = self.left(deadline);
        if self.call.loader.is_some() {
            left / 2
        } else {
            left
        }
    }

    fn left(&self, deadline: Moment) -> Duration {
        deadline
            .since(self.engine.ports.clock.now())
            .max(Duration::from_millis(1))
    }
}

/// However a fetch ends, by a panic, by being dropped at any point or even before it was first polled: its slot is freed
/// and everybody who waits is told.
impl Drop for Fill {
    fn drop(&mut self) {
        // Of a fetch that came to its end, neither changes anything.
        self.namespace().local.finish(&self.call.key, self.ticket, None);
        self.rendezvous.complete(FillOutcome::Dropped);
    }
}
