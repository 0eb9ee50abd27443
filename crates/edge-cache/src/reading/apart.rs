//! What memory answers while the shared store is away, where the policy allows it.
//!
//! What was loaded meanwhile is kept apart from what the store has: it carries a generation that no other entry can have, so that
//! no read takes it for current, whatever comes back when.

use std::sync::Arc;

use cache_core::{CacheKey, Coherence as Kind, Entry, Moment, OutageReads, Policy, Shard};

use super::Look;
use crate::engine::Engine;
use crate::fetched::{Answer, Promise, Tier};
use crate::memory::NamespaceState;
use crate::stats::Count;

/// Marks the generation of what was loaded past the shared store. Generations count flushes: they never get here.
const APART: u64 = 1 << 63;

impl Engine {
    /// Whether a value that nothing proves current is served within its TTL now.
    #[cold]
    pub(super) fn serves_unproven(&self, policy: &Policy, shard: Shard) -> bool {
        policy.coherence == Kind::EventDriven
            && policy.outage_reads == OutageReads::WithinTtl
            && self.lane(shard).is_away()
    }

    /// Whether what is loaded past the shared store may be kept in memory now, within its TTL.
    pub(crate) fn keeps_apart(&self, policy: &Policy, shard: Shard) -> bool {
        policy.coherence == Kind::TtlOnly || self.serves_unproven(policy, shard)
    }

    /// The generation of what is loaded past the shared store from now on.
    pub(crate) fn generation_apart(&self, shard: Shard) -> u64 {
        self.lane(shard).generation(shard) | APART
    }

    /// Memory may hold what was loaded past the shared store, since an own invalidation that is still owed.
    #[cold]
    pub(super) fn look_apart(&self, namespace: &NamespaceState, key: &CacheKey, shard: Shard) -> Look {
        if !self.keeps_apart(&namespace.policy, shard) {
            return Look::Miss;
        }
        let apart = self.generation_apart(shard);
        let resident = namespace.local.read(key);
        let Some(entry) = resident.filter(|entry| entry.generation == apart) else {
            return Look::Miss;
        };
        let barred = self.owes_barrier_of(namespace, shard, &entry)
            || !self.lane(shard).barriers_allow(&entry, &namespace.barrier);
        let now = self.ports.clock.ceiling(entry.fresh_until);
        if barred || now >= entry.fresh_until {
            return Look::Miss;
        }
        match namespace.policy.coherence {
            Kind::EventDriven => {
                let since = entry.born;
                self.unproven(namespace, entry, now, since)
            }
            Kind::TtlOnly => {
                namespace.counters.l1_hit();
                Look::Hit(Answer {
                    tier: Tier::L1,
                    at: now,
                    promise: Promise::WithinTtl,
                    since: entry.born,
                    entry,
                })
            }
        }
    }

    /// A hit that nothing proves current.
    #[cold]
    pub(super) fn unproven(
        &self,
        namespace: &NamespaceState,
        entry: Arc<Entry>,
        now: Moment,
        since: Moment,
    ) -> Look {
        namespace.counters.l1_hit();
        namespace.counters.add(Count::Unproven);
        Look::Hit(Answer {
            entry,
            tier: Tier::L1,
            at: now,
            promise: Promise::Unproven,
            since,
        })
    }
}
