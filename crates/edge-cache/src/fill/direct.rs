//! What a fetch answers when the shared store cannot be used for its key, or the loader has failed.
//!
//! Nothing that was loaded is kept, here or elsewhere, unless the policy has memory serve what is within its TTL.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{BarrierStamp, Entry, EntryValue, Moment, Seq, Version};
use event_bus::Rule;

use super::{Fill, Step};
use crate::entries::{Basis, Sealing, make_entry, seal_value, throttled};
use crate::fetched::{Answer, Promise};
use crate::rendezvous::FillOutcome;
use crate::stats::Count;
use crate::{CacheError, LoadError, Tier};

/// Why the source of truth is asked directly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The call skips the shared store.
    AskedFor,
    /// This node owes the store an invalidation of the key.
    Owed,
    /// The store does not answer, or its history is under repair.
    Unavailable,
    /// The key changes faster than it can be read.
    Restless,
}

impl Fill {
    /// The shared store cannot be used for this key: the source of truth answers, and nothing is kept.
    pub(super) async fn direct(&mut self, deadline: Moment, reason: Reason) -> Step {
        let Some(loader) = self.call.loader.clone() else {
            return Step::Done(match reason {
                Reason::Owed | Reason::AskedFor => FillOutcome::Absent,
                Reason::Unavailable | Reason::Restless => self.failed_store(),
            });
        };
        let deadline = if reason == Reason::Restless {
            self.engine.ports.clock.now() + self.limit()
        } else {
            deadline
        };
        let stamp = self.engine.lane(self.call.shard).stamp();
        let asked = self.engine.ports.clock.now();
        let load = match self.load(&loader, deadline).await {
            Ok(load) => load,
            Err(error) => return self.failed(error),
        };
        let value = match load.outcome.value(self.previous()) {
            Ok(value) => value,
            Err(error) => return self.failed(error),
        };
        Step::Done(match reason {
            Reason::AskedFor => self.uncached(value, load.tags, stamp, asked),
            Reason::Restless => self.unsaved(value, load.tags, stamp, asked),
            Reason::Owed | Reason::Unavailable => match self.lasts(&value, load.ttl) {
                Some(ttl) => self.kept_apart(value, ttl, load.tags, stamp, asked),
                None => self.unsaved(value, load.tags, stamp, asked),
            },
        })
    }

    /// How long memory may serve what was loaded past the shared store, if it may.
    pub(super) fn lasts(&self, value: &EntryValue, ttl: Option<Duration>) -> Option<Duration> {
        let policy = &self.call.policy;
        let ttl = match value {
            Some(_) => ttl.unwrap_or(policy.l2_ttl),
            None => ttl.or(policy.negative_ttl)?,
        };
        let options = &self.call.options;
        let kept =
            options.l1.writes() && !options.is_private() && self.engine.keeps_apart(policy, self.call.shard);
        kept.then_some(ttl)
    }

    /// What was loaded past the shared store, kept in this node's memory within its TTL and apart from what the store has.
    pub(super) fn kept_apart(
        &self,
        value: EntryValue,
        ttl: Duration,
        tags: Arc<[cache_core::Tag]>,
        stamp: BarrierStamp,
        asked: Moment,
    ) -> FillOutcome {
        let (engine, shard) = (&self.engine, self.call.shard);
        // Taken before the debt: its payment may flush the shard.
        let (now, generation) = (engine.ports.clock.now(), engine.generation_apart(shard));
        let sealing = Sealing {
            value: value.clone(),
            ttl,
            age: now.since(asked),
            tags: Arc::clone(&tags),
            stamp,
        };
        let sealed = seal_value(self.namespace(), &engine.ports, &self.call.policy, sealing);
        let outcome = self.unsaved(value, tags, stamp, asked);
        let Ok((record, opened)) = sealed else {
            return outcome;
        };
        let basis = Basis {
            now,
            version: Version::default(),
            as_of: Seq::ZERO,
            generation,
            remaining: record.ttl,
        };
        let key = &self.call.key;
        let entry = make_entry(
            self.namespace(),
            &engine.ports,
            &self.call.policy,
            key.as_str().len(),
            opened,
            &basis,
        );
        // Whatever superseded the key meanwhile keeps it out.
        self.namespace()
            .local
            .finish(key, self.ticket, Some(Arc::new(entry)));
        outcome
    }

    /// What was loaded could not be stored, and may be newer than what the store holds or will be given by a slower
    /// node: nobody here may be shown that older value later. So the key is owed an invalidation.
    pub(super) fn unsaved(
        &self,
        value: EntryValue,
        tags: Arc<[cache_core::Tag]>,
        stamp: BarrierStamp,
        asked: Moment,
    ) -> FillOutcome {
        let owed = self
            .engine
            .lane(self.call.shard)
            .rules()
            .hold(Rule::UnsavedLoadsAreOwed);
        if owed && self.call.policy.coherence == cache_core::Coherence::EventDriven {
            self.engine.owe_load(self.call.shard, &self.call.key);
        }
        self.uncached(value, tags, stamp, asked)
    }

    pub(super) fn uncached(
        &self,
        value: EntryValue,
        tags: Arc<[cache_core::Tag]>,
        stamp: BarrierStamp,
        asked: Moment,
    ) -> FillOutcome {
        self.namespace().counters.add(Count::Uncached);
        let now = self.engine.ports.clock.now();
        FillOutcome::Found(
            Arc::new(Entry {
                value,
                version: Version::default(),
                as_of: Seq::ZERO,
                generation: 0,
                born: asked,
                fresh_until: now,
                usable_until: now,
                refresh_from: Moment::FOREVER,
                tags,
                stamp,
                checked_epoch: 0.into(),
                refreshing: false.into(),
                weight: 0,
                encoded: 0,
            }),
            Tier::Source,
        )
    }

    fn failed_store(&self) -> FillOutcome {
        let lane = self.engine.lane(self.call.shard);
        FillOutcome::Failed(CacheError::unavailable_since(
            "the shared store does not answer, and there is no loader",
            self.cause.clone().or_else(|| lane.cause()),
        ))
    }

    /// The load failed: a stale value stands in where the policy allows, and the loader is left alone for a while.
    pub(super) fn failed(&self, error: LoadError) -> Step {
        let failure = FillOutcome::Failed(CacheError::Load(Arc::new(error)));
        let (Some(fail_safe), Some(stale)) = (self.call.policy.fail_safe, &self.stale) else {
            return Step::Done(failure);
        };
        let now = self.engine.ports.clock.now();
        let entry = &stale.entry;
        if now >= entry.usable_until || now.since(stale.since) > fail_safe.max_stale {
            return Step::Done(failure);
        }
        // What is unproven counts as expired from now on: it could not be told from a hit that is to be refreshed.
        let leased = now < self.engine.lease(self.namespace(), self.call.shard);
        let fresh_until = if leased {
            entry.fresh_until
        } else {
            entry.fresh_until.min(now)
        };
        let throttled = throttled(entry, fresh_until, now + fail_safe.throttle);
        Step::StandIn(Answer {
            entry: Arc::new(throttled),
            tier: Tier::L1,
            promise: Promise::Stale,
            ..stale.clone()
        })
    }
}
