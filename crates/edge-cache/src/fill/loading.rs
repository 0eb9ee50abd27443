//! Loading under a fill lease, and storing what was loaded unless a write came in between.
//!
//! Loads without a lease are in `direct`.

use std::sync::Arc;

use cache_core::{BarrierStamp, Entry, FillBegun, FillCommitted, FillToken, Moment, ReadFrom, Seq, Version};
use event_bus::{Source, Verdict};
use tokio::time::timeout;

use super::direct::Reason;
use super::{Fill, Step};
use crate::engine::Engine;
use crate::entries::{Basis, Opened, Sealing, make_entry, seal_value};
use crate::load::{ErasedLoad, ErasedLoader, ErasedOutcome};
use crate::reading::Call;
use crate::rendezvous::FillOutcome;
use crate::stats::Count;
use crate::{LoadError, Tier};

impl Fill {
    /// Asks for the right to load, loads, and stores what was loaded unless a write came in between.
    pub(super) async fn load_under_lease(&mut self, newer_than: Seq, deadline: Moment) -> Step {
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
        // It counts as held from before it is asked for: whatever becomes of the answer, this node must not wait for it.
        let mut lease = Lease {
            engine: Arc::clone(&engine),
            call: self.call.clone(),
            token: FillToken(engine.ports.entropy.draw()),
            stamp,
            lineage,
            held: true,
        };
        let begin = engine.ports.shared.begin_fill(
            shard,
            &self.call.key,
            newer_than,
            lineage,
            lease.token,
            self.left(deadline),
        );
        let reply = match timeout(self.patience(deadline), begin).await {
            Ok(Ok(reply)) => reply,
            failed_or_late => {
                self.cause = failed_or_late
                    .ok()
                    .and_then(Result::err)
                    .map(|error| Arc::new(error) as _);
                drop(lease);
                return self.direct(deadline, Reason::Unavailable).await;
            }
        };
        lease.held = matches!(reply.answer, Some(FillBegun::Lease));
        match lane.observe(shard, &probe, Source::Primary, reply.server, reply.head) {
            Verdict::Admit { .. } => {}
            Verdict::Restart | Verdict::AskPrimary => {
                lease.release().await;
                return Step::Again(ReadFrom::Primary);
            }
            Verdict::Down => {
                drop(lease);
                return self.direct(deadline, Reason::Unavailable).await;
            }
        }
        match reply.answer {
            // Somebody has filled it since it was read: read it again.
            None | Some(FillBegun::Found(_)) => Step::Again(ReadFrom::Primary),
            Some(FillBegun::Wait(longest)) => Step::Wait(longest),
            Some(FillBegun::Lease) => {
                self.namespace().counters.add(Count::L2Miss);
                self.load_and_commit(&loader, &mut lease, deadline).await
            }
        }
    }

    async fn load_and_commit(&mut self, loader: &ErasedLoader, lease: &mut Lease, deadline: Moment) -> Step {
        let asked = self.engine.ports.clock.now();
        let load = match self.load(loader, deadline).await {
            Ok(load) => load,
            Err(error) => return self.failed(error),
        };
        let policy = self.call.policy;
        // What is not modified keeps its tags as well, unless the loader names others.
        let tags = match (&load.outcome, self.previous()) {
            (ErasedOutcome::NotModified, Some(previous)) if load.tags.is_empty() => {
                Arc::clone(&previous.tags)
            }
            _changed_or_tagged_anew => load.tags,
        };
        let value = match load.outcome.value(self.previous()) {
            Ok(value) => value,
            Err(error) => return self.failed(error),
        };
        let ttl = match &value {
            Some(_) => Some(load.ttl.unwrap_or(policy.l2_ttl)),
            None => load.ttl.or(policy.negative_ttl),
        };
        let Some(ttl) = ttl.filter(|_| self.call.options.l2.writes()) else {
            return Step::Done(self.uncached(value, tags, lease.stamp, asked));
        };
        let sealed = seal_value(
            self.namespace(),
            &self.engine.ports,
            &policy,
            Sealing {
                value,
                ttl,
                age: self.engine.ports.clock.now().since(asked),
                tags,
                stamp: lease.stamp,
            },
        );
        match sealed {
            Ok((record, opened)) => self.commit(lease, record, opened, asked, deadline).await,
            Err(error) => Step::Done(FillOutcome::Failed(error)),
        }
    }

    async fn commit(
        &self,
        lease: &mut Lease,
        record: cache_core::NewRecord,
        opened: Opened,
        asked: Moment,
        deadline: Moment,
    ) -> Step {
        let (shard, engine) = (self.call.shard, &self.engine);
        let lane = engine.lane(shard);
        let probe = lane.probe(shard);
        let life = record.ttl;
        let sent = engine.ports.clock.now();
        let commit =
            engine
                .ports
                .shared
                .commit_fill(shard, &self.call.key, lease.lineage, lease.token, Some(record));
        let reply = timeout(self.answer_by(deadline), commit).await;
        let Ok(Ok(reply)) = reply else {
            let (value, tags, ttl) = (opened.value, opened.envelope.tags, life - opened.envelope.grace);
            return Step::Done(match self.lasts(&value, Some(ttl)) {
                Some(ttl) => self.kept_apart(value, ttl, tags, lease.stamp, asked),
                None => self.unsaved(value, tags, lease.stamp, asked),
            });
        };
        lease.held = false;
        let verdict = lane.observe(shard, &probe, Source::Primary, reply.server, reply.head);
        match (reply.answer, verdict) {
            (Some(FillCommitted::Stored(stored)), Verdict::Admit { as_of }) => {
                let basis = Basis {
                    now: sent,
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
                        self.namespace(),
                        &engine.ports,
                        &self.call.policy,
                        length,
                        opened,
                        &basis,
                    )),
                    Tier::Source,
                )
            }
            // An invalidation won: what was loaded may be older than it. It is loaded once more where there is time for that.
            (Some(FillCommitted::Rejected) | None, _)
                if engine.ports.clock.now() + sent.since(asked) < deadline =>
            {
                Step::Again(ReadFrom::Primary)
            }
            _unknown_or_too_late => {
                Step::Done(self.unsaved(opened.value, opened.envelope.tags, lease.stamp, asked))
            }
        }
    }

    /// The value that may stand in: a loader may say that it is still right.
    pub(super) fn previous(&self) -> Option<&Arc<Entry>> {
        self.stale.as_ref().map(|stale| &stale.entry)
    }

    pub(super) async fn load(
        &self,
        loader: &ErasedLoader,
        deadline: Moment,
    ) -> Result<ErasedLoad, LoadError> {
        let (previous, limit) = (self.previous().cloned(), self.left(deadline));
        self.engine.ask_source(&self.call, loader, previous, limit).await
    }
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
        if self.held {
            give_back(&self.engine, &self.call, self.lineage, self.token).await;
            self.held = false;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime the process is about to end; the lease runs out by itself.
        if let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) {
            let (engine, call) = (Arc::clone(&self.engine), self.call.clone());
            let (lineage, token) = (self.lineage, self.token);
            let giving = async move { give_back(&engine, &call, lineage, token).await };
            self.engine
                .tasks
                .spawn_on(self.engine.holding.of(giving), &runtime);
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
