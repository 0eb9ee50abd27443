//! What a stored record is worth to a fetch: good, expired, dead by a barrier, or unreadable.
//!
//! It loads nothing itself.

use std::sync::Arc;

use cache_core::{CacheKey, Coherence, Entry, Head, Moment, ReadFrom, Record, Seq, Shard, Version};
use event_bus::{Probe, Standing, barrier_keys};

use super::{Fill, Step};
use crate::Tier;
use crate::entries::{Basis, make_entry, open_body};
use crate::fetched::{Answer, Promise};
use crate::stats::Count;

/// What a record is worth.
pub(super) enum Worth {
    Good(Arc<Entry>),
    /// Expired, but may be served when nothing better comes.
    Expired(Arc<Entry>, Seq),
    /// Dead by a barrier, or unreadable; counted as such.
    Useless(Seq, Count),
    /// That hangs on these barriers, which this node must read first.
    Unclear(Vec<CacheKey>),
}

/// What this node knows of barriers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Barriers {
    /// What it heard by events: all of it, while it holds a lease on them.
    AsHeard,
    /// What it has just read.
    Read,
}

impl Fill {
    /// A record was found, current as of this head.
    pub(super) async fn weigh(
        &mut self,
        record: Record,
        head: &Head,
        probe: &Probe,
        deadline: Moment,
    ) -> Step {
        if record.version <= self.newer_than {
            return self.load_under_lease(self.newer_than, deadline).await;
        }
        let mut worth = self.worth(&record, head, probe, Barriers::AsHeard);
        if let Worth::Unclear(barriers) = &worth
            && self
                .engine
                .learn(self.call.shard, barriers, self.answer_by(deadline))
                .await
        {
            worth = self.worth(&record, head, probe, Barriers::Read);
        }
        match worth {
            Worth::Good(entry) => {
                self.namespace().counters.add(Count::L2Hit);
                Step::Install(entry, Tier::L2)
            }
            Worth::Expired(entry, version) => {
                self.stale = Some(Answer {
                    tier: Tier::L1,
                    at: self.engine.ports.clock.now(),
                    promise: Promise::Stale,
                    since: self.proven(probe).min(entry.fresh_until),
                    entry,
                });
                self.load_under_lease(version, deadline).await
            }
            Worth::Useless(version, why) => {
                self.namespace().counters.add(why);
                self.load_under_lease(version, deadline).await
            }
            Worth::Unclear(_unread) => Step::Again(ReadFrom::Primary),
        }
    }

    /// Judges a record by what this node knows.
    pub(super) fn worth(&self, record: &Record, head: &Head, probe: &Probe, known: Barriers) -> Worth {
        let (namespace, engine) = (self.namespace(), &self.engine);
        let lane = engine.lane(self.call.shard);
        let Some(opened) = open_body(namespace, &engine.ports, &record.body) else {
            return Worth::Useless(record.version, Count::Unusable);
        };
        let barriers = barrier_keys(&namespace.barrier, &opened.envelope.tags);
        let standing = lane.judge(opened.envelope.stamp, &barriers);
        // Without a lease on the barriers, one may have been raised that this node has not heard of.
        let current = || lane.leased(Shard::barriers(self.call.shard.lane()));
        let unclear = standing == Standing::Unknown || (standing == Standing::Valid && !current());
        if unclear && known == Barriers::AsHeard {
            return Worth::Unclear(barriers);
        }
        if standing != Standing::Valid || engine.owes_barrier(self.call.shard, &barriers) {
            return Worth::Useless(record.version, Count::Barred);
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
            namespace,
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

    /// Up to when a record is known to be current whose answer was asked for at this probe: a copy that lags may have given
    /// it, though never by more than a lease. What only the TTL bounds is current until it expires.
    fn proven(&self, probe: &Probe) -> Moment {
        match self.call.policy.coherence {
            Coherence::EventDriven => {
                let timing = self.engine.lane(self.call.shard).timing();
                probe.sent.back(timing.lease)
            }
            Coherence::TtlOnly => Moment::FOREVER,
        }
    }
}
