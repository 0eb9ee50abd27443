//! One fetch of one key: from the shared store, or from the loader under a fill lease.
//!
//! It runs in its only reader, or as a task when there are more, so that readers come and go; when all have gone it is
//! dropped, and its slot is free.

mod direct;
mod loading;
mod together;
mod weighing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{
    Begun, Entry, Finished, Head, Moment, ReadFrom, Record, Replacement, Reply, Seq, Shard, Ticket, Version,
};
use event_bus::{Coherence, Probe, Rule, Rules, Verdict};
use tokio::time::timeout;

use crate::engine::{Engine, source_of};
use crate::fetched::Answer;
use crate::memory::NamespaceState;
use crate::reading::Call;
use crate::rendezvous::{FillOutcome, Rendezvous};
use crate::{CacheError, Tier};

use self::direct::Reason;
pub(crate) use self::together::run_together;

/// Times a fetch starts over within its deadline before it returns what it has without keeping it. A key that is
/// invalidated faster than it can be loaded would never end otherwise.
const ATTEMPTS: u32 = 12;
/// How long a read waits for a debt that is being paid, before it asks the source.
const PATIENCE: Duration = Duration::from_millis(100);
/// Shortest and longest pause while another node loads; the longest is a hundredth of the hard timeout where that is more.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

pub(crate) struct Fill {
    pub(crate) engine: Arc<Engine>,
    pub(crate) call: Call,
    pub(crate) ticket: Ticket,
    pub(crate) rendezvous: Arc<Rendezvous>,
    /// When it was begun: its deadline counts from here.
    pub(crate) begun: Moment,
    /// What may stand in when the load fails.
    pub(crate) stale: Option<Answer>,
    pub(crate) newer_than: Seq,
    /// Why the shared store did not answer, if it did not.
    pub(crate) cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
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

/// What the shared store answered to the question for a key.
#[derive(Clone)]
enum Said {
    /// There is no answer, or its history is under repair.
    Nothing,
    /// The answer means nothing any more, or the copy lags: ask this one.
    Again(ReadFrom),
    /// It has no live record.
    Missing,
    /// This one, as of this head; asked for at this probe.
    Found(Record, Head, Probe),
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
    pub(crate) async fn run(self) {
        self.go_on(None).await;
    }

    /// Fetches; `said` is the answer to the first question, where that was asked together with others.
    async fn go_on(mut self, said: Option<Said>) {
        let engine = Arc::clone(&self.engine);
        let outcome = tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            outcome = self.fetch(said) => outcome,
        };
        self.rendezvous.complete(outcome);
    }

    fn namespace(&self) -> &NamespaceState {
        &self.engine.memory.namespaces[self.call.namespace]
    }

    async fn fetch(&mut self, mut said: Option<Said>) -> FillOutcome {
        let deadline = self.deadline();
        let copy = self.engine.lane(self.call.shard).copy_to_ask(self.call.shard);
        let (mut from, mut attempts, mut pause) = (copy, 0, POLL.0);
        let longest_pause = POLL.1.max(self.limit() / 100);
        loop {
            attempts += 1;
            let last = attempts > ATTEMPTS || self.engine.ports.clock.now() >= deadline;
            let step = if last {
                self.direct(deadline, Reason::Restless).await
            } else if let Some(said) = said.take() {
                self.hear(said, deadline).await
            } else {
                self.attempt(from, deadline).await
            };
            match step {
                Step::Again(copy) => from = copy,
                Step::Wait(longest) => {
                    if let Some(loader) = &self.call.loader {
                        loader.waits();
                    }
                    tokio::time::sleep(pause.min(longest)).await;
                    pause = (pause * 2).min(longest_pause);
                    attempts -= 1;
                    // A long wait outlives the lease under which a copy that may lag could be asked.
                    if from == ReadFrom::Any {
                        from = self.engine.lane(self.call.shard).copy_to_ask(self.call.shard);
                    }
                }
                Step::Done(outcome) => {
                    self.shown(&outcome);
                    self.namespace().local.finish(&self.call.key, self.ticket, None);
                    return outcome;
                }
                // A load changes the version without an event, so a copy that lags may be asked and be none the wiser.
                Step::Install(entry, _) if from == ReadFrom::Any && self.holds_newer_than(&entry) => {
                    from = ReadFrom::Primary;
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
            self.pass_by(entry);
            return Kept::End;
        }
        match local.finish(&key, self.ticket, Some(entry)) {
            Finished::Installed => Kept::End,
            Finished::Superseded { floor } => {
                // As a stand-in it would be superseded again, after asking the broken source again.
                self.stale = self.stale.take().filter(|stale| stale.entry.version.seq >= floor);
                Kept::Again
            }
            Finished::NotYours if self.call.options.is_private() => {
                self.evict(version);
                Kept::End
            }
            Finished::NotYours => match self.engine.begin_with(&self.call, &self.rendezvous) {
                Begun::Lead(ticket) => {
                    self.ticket = ticket;
                    // Others had the place meanwhile, and may have shown something newer to those who join from now on.
                    let stale = self.stale.take();
                    self.stale = stale.filter(|stale| self.engine.still_stands(&self.call, &stale.entry));
                    Kept::Again
                }
                Begun::Join(other) => {
                    let other = self.engine.join(&other);
                    match other.wait(&self.engine.tasks).await {
                        // That one had no loader to ask; this one has.
                        FillOutcome::Absent | FillOutcome::Failed(CacheError::Unavailable(_))
                            if self.call.loader.is_some() =>
                        {
                            Kept::Again
                        }
                        // It failed at what this one does not do.
                        FillOutcome::Failed(CacheError::Load(_)) if self.call.loader.is_none() => Kept::Again,
                        outcome => Kept::Other(outcome),
                    }
                }
            },
        }
    }

    /// Frees the key's slot without keeping what was found. What memory holds may be older than what this reader is shown, and
    /// nobody here may be shown it after that: it is replaced, or goes.
    fn pass_by(&self, entry: Arc<Entry>) {
        let (local, key, version) = (&self.namespace().local, &self.call.key, entry.version.seq);
        let resident = local.read(key);
        let stands_in = |resident| {
            let stale = self.stale.as_ref();
            stale.is_some_and(|stale| Arc::ptr_eq(&stale.entry, resident))
        };
        if !resident.as_ref().is_some_and(stands_in) {
            let replaced = resident.is_some()
                && self.call.options.policy.is_none()
                && self.rules().hold(Rule::MemoryYields)
                && local.finish(key, self.ticket, Some(entry)) == Finished::Installed;
            if !replaced {
                self.evict(version);
            }
        }
        local.finish(key, self.ticket, None);
    }

    /// Takes out of memory what may be older than this version, which somebody is shown.
    fn evict(&self, version: Seq) {
        let (local, key) = (&self.namespace().local, &self.call.key);
        if self.rules().hold(Rule::MemoryYields) {
            local.supersede(key, version, Replacement::Evict);
        } else if local.read(key).is_none_or(|resident| resident.as_of < version) {
            local.supersede(key, version, Replacement::None);
        }
    }

    fn rules(&self) -> Rules {
        self.engine.lane(self.call.shard).rules()
    }

    /// Somebody is shown what the source said and has no version. Which is newer, that or what memory holds, cannot be told.
    fn shown(&self, outcome: &FillOutcome) {
        let unversioned =
            matches!(outcome, FillOutcome::Found(entry, Tier::Source) if entry.version == Version::default());
        // What is kept apart is what is shown.
        let apart = self.engine.generation_apart(self.call.shard);
        let resident = self.namespace().local.read(&self.call.key);
        let kept = !self.call.options.is_private() && resident.is_some_and(|entry| entry.generation == apart);
        if unversioned && !kept && self.rules().hold(Rule::MemoryYields) {
            self.evict(Seq(u64::MAX));
        }
    }

    /// Whether memory holds a newer version: this node may not be shown an older one after that.
    fn holds_newer_than(&self, entry: &Entry) -> bool {
        let resident = self.namespace().local.read(&self.call.key);
        resident.is_some_and(|resident| {
            resident.generation == entry.generation && resident.version.seq > entry.version.seq
        })
    }

    fn deadline(&self) -> Moment {
        self.begun + self.limit()
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
            let patient = engine.ports.clock.now() < self.begun + PATIENCE;
            if patient && engine.paying.load(Ordering::Acquire) > 0 {
                return Step::Wait(POLL.1);
            }
            return self.direct(deadline, Reason::Owed).await;
        }
        let lane = engine.lane(shard);
        let Some(probe) = ready_probe(lane, shard) else {
            return self.direct(deadline, Reason::Unavailable).await;
        };
        if !self.call.options.l2.reads() {
            return self.load_under_lease(Seq(u64::MAX), deadline).await;
        }
        let keys = [self.call.key.clone()];
        let read = engine.ports.shared.read(shard, &keys, from);
        let said = match timeout(self.patience(deadline), read).await {
            Ok(Ok(reply)) => heard(lane, shard, &probe, from, reply, 1).pop(),
            Ok(Err(error)) => {
                self.cause = Some(Arc::new(error));
                None
            }
            Err(_elapsed) => None,
        };
        self.hear(said.unwrap_or(Said::Nothing), deadline).await
    }

    /// Does what the shared store's answer asks for.
    async fn hear(&mut self, said: Said, deadline: Moment) -> Step {
        match said {
            Said::Nothing => self.direct(deadline, Reason::Unavailable).await,
            Said::Again(from) => Step::Again(from),
            Said::Missing => self.load_under_lease(self.newer_than, deadline).await,
            Said::Found(record, head, probe) => self.weigh(record, &head, &probe, deadline).await,
        }
    }

    /// How long the shared store may take to answer: with a loader at hand, half of what is left, so that a store that
    /// hangs leaves the loader its turn. Never longer than an answer is worth anything.
    fn patience(&self, deadline: Moment) -> Duration {
        let left = self.answer_by(deadline);
        if self.call.loader.is_some() {
            left / 2
        } else {
            left
        }
    }

    /// How long an answer of the shared store may take that this fetch cannot do without.
    fn answer_by(&self, deadline: Moment) -> Duration {
        let longest = self.engine.lane(self.call.shard).timing().deadline;
        self.left(deadline).min(longest)
    }

    fn left(&self, deadline: Moment) -> Duration {
        deadline
            .since(self.engine.ports.clock.now())
            .max(Duration::from_millis(1))
    }
}

/// What to remember while the shared store is asked; `None` while it should not be: the shard's history, or the barriers',
/// is not known.
fn ready_probe(lane: &Coherence, shard: Shard) -> Option<Probe> {
    let probe = lane.probe(shard);
    let barriers = lane.probe(Shard::barriers(shard.lane()));
    (probe.lineage.is_some() && barriers.lineage.is_some()).then_some(probe)
}

/// What a reply says of each of the keys that were asked for.
fn heard(
    lane: &Coherence,
    shard: Shard,
    probe: &Probe,
    from: ReadFrom,
    reply: Reply<Vec<Option<Record>>>,
    keys: usize,
) -> Vec<Said> {
    let all = |said| vec![said; keys];
    match lane.observe(shard, probe, source_of(from), reply.server, reply.head) {
        Verdict::Restart => all(Said::Again(from)),
        Verdict::AskPrimary => all(Said::Again(ReadFrom::Primary)),
        Verdict::Down => all(Said::Nothing),
        Verdict::Admit { .. } => match (reply.head, reply.answer) {
            (Some(head), Some(records)) => records
                .into_iter()
                .map(|record| record.map_or(Said::Missing, |record| Said::Found(record, head, *probe)))
                .collect(),
            _no_history => all(Said::Missing),
        },
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
