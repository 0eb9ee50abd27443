//! One fetch of one key: from the shared store, or from the loader under a fill lease.
//!
//! It runs as a task of its own, so that readers come and go; when all have gone it is dropped, and its slot is free.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{
    BarrierStamp, Begun, Entry, EntryValue, FillBegun, FillCommitted, FillToken, Finished, Head, Moment,
    ReadFrom, Record, Seq, Shard, Ticket, Version,
};
use event_bus::{Probe, Source, Standing, Verdict, barrier_keys};
use tokio::time::timeout;

use crate::engine::{Engine, source_of};
use crate::entries::{Basis, Opened, make_entry, open_body, seal_value, throttled};
use crate::load::{ErasedLoad, ErasedLoader};
use crate::memory::NamespaceState;
use crate::reading::Call;
use crate::rendezvous::{FillOutcome, Rendezvous};
use crate::stats::Count;
use crate::{CacheError, LoadError, Tier};

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
    pub(crate) stale: Option<Arc<Entry>>,
    pub(crate) newer_than: Seq,
}

/// What one attempt came to.
enum Step {
    /// This is the end.
    Done(FillOutcome),
    /// Install this, and end with it.
    Install(Arc<Entry>, Tier),
    /// Start over, reading from this copy.
    Again(ReadFrom),
    /// Another node loads: wait, then start over.
    Wait(Duration),
}

/// What a record is worth.
enum Worth {
    Good(Arc<Entry>),
    /// Expired, but may be served when nothing better comes.
    Expired(Arc<Entry>, Seq),
    /// Dead by a barrier, or unreadable.
    Useless(Seq),
    /// Its barriers could not be read.
    Unclear,
}

impl Fill {
    pub(crate) async fn run(mut self) {
        // However this ends, by a panic or by being dropped, the slot is freed and everybody is told.
        let mut guard = SlotGuard(Some((
            Arc::clone(&self.engine),
            self.call.clone(),
            self.ticket,
            Arc::clone(&self.rendezvous),
        )));
        let engine = Arc::clone(&self.engine);
        let outcome = tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            outcome = self.fetch(&mut guard) => outcome,
        };
        guard.0 = None;
        self.rendezvous.complete(outcome);
    }

    fn namespace(&self) -> &NamespaceState {
        &self.engine.memory.namespaces[self.call.namespace]
    }

    async fn fetch(&mut self, guard: &mut SlotGuard) -> FillOutcome {
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
                Step::Install(entry, tier) if last || !self.call.options.l1.writes() => {
                    self.namespace().local.finish(&self.call.key, self.ticket, None);
                    return FillOutcome::Found(entry, tier);
                }
                Step::Install(entry, tier) => {
                    match self
                        .namespace()
                        .local
                        .finish(&self.call.key, self.ticket, Some(Arc::clone(&entry)))
                    {
                        Finished::Installed => return FillOutcome::Found(entry, tier),
                        Finished::Superseded { .. } => from = ReadFrom::Primary,
                        Finished::NotYours if self.call.options.is_private() => {
                            return FillOutcome::Found(entry, tier);
                        }
                        Finished::NotYours => match self.engine.begin_with(&self.call, &self.rendezvous) {
                            Begun::Lead(ticket) => {
                                self.ticket = ticket;
                                if let Some((_, _, held, _)) = &mut guard.0 {
                                    *held = ticket;
                                }
                            }
                            Begun::Join(other) => {
                                let Ok(other) = other.downcast::<Rendezvous>() else {
                                    return FillOutcome::Dropped;
                                };
                                match other.wait().await {
                                    // That one had no loader to ask; this one has.
                                    FillOutcome::Absent if self.call.loader.is_some() => {
                                        from = ReadFrom::Primary;
                                    }
                                    outcome => return outcome,
                                }
                            }
                        },
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Moment {
        self.engine.ports.clock.now() + self.limit()
    }

    fn started(&self, deadline: Moment) -> Moment {
        deadline.back(self.limit())
    }

    fn limit(&self) -> Duration {
        self.call
            .policy
            .hard_timeout
            .min(self.engine.lane(self.call.shard).timing().deadline)
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

    /// A record was found, current as of this head.
    async fn weigh(&mut self, record: Record, head: &Head, probe: &Probe, deadline: Moment) -> Step {
        if record.version <= self.newer_than {
            return self.load_under_lease(self.newer_than, deadline).await;
        }
        match self.worth(&record, head, probe).await {
            Worth::Good(entry) => {
                self.namespace().counters.add(Count::L2Hit);
                Step::Install(entry, Tier::L2)
            }
            Worth::Expired(entry, version) => {
                self.stale.get_or_insert(entry);
                self.load_under_lease(version, deadline).await
            }
            Worth::Useless(version) => self.load_under_lease(version, deadline).await,
            Worth::Unclear => Step::Again(ReadFrom::Primary),
        }
    }

    async fn worth(&self, record: &Record, head: &Head, probe: &Probe) -> Worth {
        let (namespace, engine) = (self.namespace(), &self.engine);
        let lane = engine.lane(self.call.shard);
        let Some(opened) = open_body(namespace, &engine.ports, &record.body) else {
            namespace.counters.add(Count::Unusable);
            return Worth::Useless(record.version);
        };
        let barriers = barrier_keys(&namespace.barrier, &opened.envelope.tags);
        let mut standing = lane.judge(opened.envelope.stamp, &barriers);
        // Without a lease on the barriers, one may have been raised that this node has not heard of.
        let barriers_are_current = lane.leased(
            Shard::barriers(self.call.shard.lane()),
            engine.ports.clock.ceiling(),
        );
        if standing == Standing::Unknown || (standing == Standing::Valid && !barriers_are_current) {
            if !self.learn(&barriers).await {
                return Worth::Unclear;
            }
            standing = lane.judge(opened.envelope.stamp, &barriers);
        }
        if standing != Standing::Valid || engine.owes_barrier(self.call.shard, || barriers) {
            namespace.counters.add(Count::Barred);
            return Worth::Useless(record.version);
        }
        let now = engine.ports.clock.now();
        let remaining = lane.remaining(record.expires, now);
        let expired = remaining <= opened.envelope.grace;
        let basis = Basis {
            now,
            version: Version {
                lineage: head.lineage,
                seq: record.version,
            },
            as_of: head.seq,
            generation: probe.generation,
            remaining,
        };
        let entry = make_entry(
            &engine.ports,
            &self.call.policy,
            self.call.key.as_str().len(),
            opened,
            &basis,
        );
        if expired {
            Worth::Expired(Arc::new(entry), record.version)
        } else {
            Worth::Good(Arc::new(entry))
        }
    }

    /// Reads the records of barriers that are older than what this node knows.
    async fn learn(&self, barriers: &[cache_core::CacheKey]) -> bool {
        let shard = Shard::barriers(self.call.shard.lane());
        let lane = self.engine.lane(shard);
        let probe = lane.probe(shard);
        let limit = lane.timing().deadline;
        let reply = timeout(
            limit,
            self.engine.ports.shared.read(shard, barriers, ReadFrom::Primary),
        )
        .await;
        let Ok(Ok(reply)) = reply else { return false };
        let verdict = lane.observe(shard, &probe, Source::Primary, reply.server, reply.head);
        let (Verdict::Admit { .. }, Some(head), Some(records)) = (verdict, reply.head, reply.answer) else {
            return false;
        };
        lane.learn_barriers(barriers.iter().zip(records).map(|(key, record)| {
            (
                key.clone(),
                record.map_or(head.floor, |record| record.version.max(head.floor)),
            )
        }));
        true
    }

    /// Asks for the right to load, loads, and stores what was loaded unless a write came in between.
    async fn load_under_lease(&mut self, newer_than: Seq, deadline: Moment) -> Step {
        let Some(loader) = self.call.loader.clone() else {
            self.namespace().counters.add(Count::L2Miss);
            return Step::Done(FillOutcome::Absent);
        };
        let (shard, engine) = (self.call.shard, Arc::clone(&self.engine));
        let lane = engine.lane(shard);
        // Barriers raised after this point must kill what is loaded.
        let stamp = lane.stamp();
        let probe = lane.probe(shard);
        let Some(lineage) = probe.lineage else {
            return Step::Again(ReadFrom::Primary);
        };
        let token = FillToken(engine.ports.entropy.draw());
        let left = self.left(deadline);
        let reply = timeout(
            self.patience(deadline),
            engine
                .ports
                .shared
                .begin_fill(shard, &self.call.key, newer_than, lineage, token, left),
        )
        .await;
        let Ok(Ok(reply)) = reply else {
            return self.direct(deadline, Reason::Unavailable).await;
        };
        match lane.observe(shard, &probe, Source::Primary, reply.server, reply.head) {
            Verdict::Restart | Verdict::AskPrimary => return Step::Again(ReadFrom::Primary),
            Verdict::Down => return self.direct(deadline, Reason::Unavailable).await,
            Verdict::Admit { .. } => {}
        }
        match (reply.answer, reply.head) {
            // Somebody has filled it since it was read: read it again.
            (None | Some(FillBegun::Found(_)), _) | (_, None) => Step::Again(ReadFrom::Primary),
            (Some(FillBegun::Wait(longest)), _) => Step::Wait(longest),
            (Some(FillBegun::Lease), Some(_)) => {
                self.namespace().counters.add(Count::L2Miss);
                let mut lease = Lease {
                    engine,
                    call: self.call.clone(),
                    token,
                    stamp,
                    lineage,
                    held: true,
                };
                self.load_and_commit(&loader, &mut lease, deadline).await
            }
        }
    }

    async fn load_and_commit(&mut self, loader: &ErasedLoader, lease: &mut Lease, deadline: Moment) -> Step {
        let load = match self.load(loader, deadline).await {
            Ok(load) => load,
            Err(error) => {
                lease.release().await;
                return self.failed(error);
            }
        };
        let policy = self.call.policy;
        let value = match load.outcome.value(self.stale.as_ref()) {
            Ok(value) => value,
            Err(error) => {
                lease.release().await;
                return self.failed(error);
            }
        };
        let ttl = match &value {
            Some(_) => Some(load.ttl.unwrap_or(policy.l2_ttl)),
            None => policy.negative_ttl,
        };
        let Some(ttl) = ttl.filter(|_| self.call.options.l2.writes()) else {
            lease.release().await;
            return Step::Done(self.uncached(value, load.tags, lease.stamp));
        };
        let sealed = seal_value(
            self.namespace(),
            &self.engine.ports,
            &policy,
            value,
            ttl,
            load.tags,
            lease.stamp,
        );
        match sealed {
            Ok((record, opened)) => self.commit(lease, record, opened, deadline).await,
            Err(error) => {
                lease.release().await;
                Step::Done(FillOutcome::Failed(error))
            }
        }
    }

    async fn commit(
        &self,
        lease: &mut Lease,
        record: cache_core::NewRecord,
        opened: Opened,
        deadline: Moment,
    ) -> Step {
        let (shard, engine) = (self.call.shard, &self.engine);
        let lane = engine.lane(shard);
        let probe = lane.probe(shard);
        let life = record.ttl;
        let commit =
            engine
                .ports
                .shared
                .commit_fill(shard, &self.call.key, lease.lineage, lease.token, Some(record));
        let reply = timeout(lane.timing().deadline, commit).await;
        let Ok(Ok(reply)) = reply else {
            return Step::Done(self.unsaved(opened.value, opened.envelope.tags, lease.stamp));
        };
        lease.held = false;
        let verdict = lane.observe(shard, &probe, Source::Primary, reply.server, reply.head);
        match (reply.answer, verdict) {
            (Some(FillCommitted::Stored(stored)), Verdict::Admit { as_of }) => {
                let basis = Basis {
                    now: engine.ports.clock.now(),
                    version: Version {
                        lineage: lease.lineage,
                        seq: stored.version,
                    },
                    as_of,
                    generation: probe.generation,
                    remaining: life,
                };
                let length = self.call.key.as_str().len();
                Step::Install(
                    Arc::new(make_entry(
                        &engine.ports,
                        &self.call.policy,
                        length,
                        opened,
                        &basis,
                    )),
                    Tier::Source,
                )
            }
            // An invalidation won: what was loaded may be older than it.
            (Some(FillCommitted::Rejected) | None, _) if engine.ports.clock.now() < deadline => {
                Step::Again(ReadFrom::Primary)
            }
            _unknown_or_too_late => Step::Done(self.unsaved(opened.value, opened.envelope.tags, lease.stamp)),
        }
    }

    /// The shared store cannot be used for this key: the source of truth answers, and nothing is kept.
    async fn direct(&mut self, deadline: Moment, reason: Reason) -> Step {
        let Some(loader) = self.call.loader.clone() else {
            return Step::Done(match reason {
                Reason::Owed | Reason::AskedFor => FillOutcome::Absent,
                Reason::Unavailable | Reason::Restless => self.failed_store(),
            });
        };
        let deadline = if reason == Reason::Restless {
            self.deadline()
        } else {
            deadline
        };
        let stamp = self.engine.lane(self.call.shard).stamp();
        let load = match self.load(&loader, deadline).await {
            Ok(load) => load,
            Err(error) => return self.failed(error),
        };
        let value = match load.outcome.value(self.stale.as_ref()) {
            Ok(value) => value,
            Err(error) => return self.failed(error),
        };
        Step::Done(match reason {
            Reason::AskedFor => self.uncached(value, load.tags, stamp),
            Reason::Owed | Reason::Unavailable | Reason::Restless => self.unsaved(value, load.tags, stamp),
        })
    }

    async fn load(&self, loader: &ErasedLoader, deadline: Moment) -> Result<ErasedLoad, LoadError> {
        let (previous, limit) = (self.stale.clone(), self.left(deadline));
        self.engine.ask_source(&self.call, loader, previous, limit).await
    }

    /// What was loaded could not be stored, and may be newer than what the store holds or will be given by a slower
    /// node: nobody here may be shown that older value later. So the key is owed an invalidation.
    fn unsaved(&self, value: EntryValue, tags: Arc<[cache_core::Tag]>, stamp: BarrierStamp) -> FillOutcome {
        if self.call.policy.coherence == cache_core::Coherence::EventDriven {
            self.engine.owe_keys(self.call.shard, vec![self.call.key.clone()]);
        }
        self.uncached(value, tags, stamp)
    }

    fn uncached(&self, value: EntryValue, tags: Arc<[cache_core::Tag]>, stamp: BarrierStamp) -> FillOutcome {
        self.namespace().counters.add(Count::Uncached);
        let now = self.engine.ports.clock.now();
        FillOutcome::Found(
            Arc::new(Entry {
                value,
                version: Version::default(),
                as_of: Seq::ZERO,
                generation: 0,
                born: now,
                fresh_until: now,
                usable_until: now,
                refresh_from: Moment::FOREVER,
                tags,
                stamp,
                checked_epoch: 0.into(),
                refreshing: false.into(),
                weight: 0,
            }),
            Tier::Source,
        )
    }

    fn failed_store(&self) -> FillOutcome {
        FillOutcome::Failed(CacheError::unavailable(
            "the shared store does not answer, and there is no loader",
        ))
    }

    /// The load failed: a stale value stands in where the policy allows, and the loader is left alone for a while.
    fn failed(&self, error: LoadError) -> Step {
        let failure = FillOutcome::Failed(CacheError::Load(Arc::new(error)));
        let (Some(fail_safe), Some(stale)) = (self.call.policy.fail_safe, &self.stale) else {
            return Step::Done(failure);
        };
        let now = self.engine.ports.clock.now();
        if now >= stale.usable_until || now.since(stale.fresh_until) > fail_safe.max_stale {
            return Step::Done(failure);
        }
        // What is unproven counts as expired from now on: it could not be told from a hit that is to be refreshed.
        let leased = now < self.engine.lease(self.namespace(), self.call.shard);
        let fresh_until = if leased {
            stale.fresh_until
        } else {
            stale.fresh_until.min(now)
        };
        let stand_in = throttled(stale, fresh_until, now + fail_safe.throttle);
        Step::Install(Arc::new(stand_in), Tier::L1)
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

/// Why the source of truth is asked directly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The call skips the shared store.
    AskedFor,
    /// This node owes the store an invalidation of the key.
    Owed,
    /// The store does not answer, or its history is under repair.
    Unavailable,
    /// The key changes faster than it can be read.
    Restless,
}

/// The right to fill a key, and what was known when it was given. Given back when it is dropped: all nodes would
/// wait for a load that nobody runs any more, until the lease's time is up.
struct Lease {
    engine: Arc<Engine>,
    call: Call,
    token: FillToken,
    stamp: BarrierStamp,
    lineage: cache_core::Lineage,
    held: bool,
}

impl Lease {
    async fn release(&mut self) {
        give_back(&self.engine, &self.call, self.lineage, self.token).await;
        self.held = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime the process is about to end; the lease runs out by itself.
        if let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) {
            let (engine, call) = (Arc::clone(&self.engine), self.call.clone());
            let (lineage, token) = (self.lineage, self.token);
            let giving = async move { give_back(&engine, &call, lineage, token).await };
            self.engine.tasks.spawn_on(giving, &runtime);
        }
    }
}

async fn give_back(engine: &Engine, call: &Call, lineage: cache_core::Lineage, token: FillToken) {
    let limit = engine.lane(call.shard).timing().heartbeat();
    let released = engine
        .ports
        .shared
        .commit_fill(call.shard, &call.key, lineage, token, None);
    // If this fails, the lease runs out by itself.
    let _ = timeout(limit, released).await;
}

/// Frees the slot and tells everybody when a fetch ends before its end.
struct SlotGuard(Option<(Arc<Engine>, Call, Ticket, Arc<Rendezvous>)>);

impl Drop for SlotGuard {
    fn drop(&mut self) {
        if let Some((engine, call, ticket, rendezvous)) = self.0.take() {
            engine.memory.namespaces[call.namespace]
                .local
                .finish(&call.key, ticket, None);
            rendezvous.complete(FillOutcome::Dropped);
        }
    }
}
