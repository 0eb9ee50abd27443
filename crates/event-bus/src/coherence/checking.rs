//! What a lane adds to its spot checks and canaries, and what it does about a value that should not have been served.
//!
//! It judges nothing; [`SpotChecks`] does.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{BusError, CacheKey, Entry, Moment, Replay, Seq, Shard, Version};

use super::{Coherence, barrier_keys};
use crate::spot_checks::{Check, Served, SpotCheckTally, SpotChecks};

/// Events before its fetch to which a value is held, at most: it may be much older than that, and logs are long.
const LOOK_BACK: u64 = 256;

impl Coherence {
    /// A value was served from memory under this lease: it is compared with the log later. `namespace` is the key of its
    /// namespace's barrier.
    #[cold]
    pub fn spot_check(
        &self,
        shard: Shard,
        key: &CacheKey,
        namespace: &CacheKey,
        entry: &Entry,
        lease: Moment,
    ) {
        let (at, current_at) = (self.clock.now(), lease.back(self.timing.lease));
        // Since its own version, not only since its fetch: an entry may be wrong about the latter.
        let unchanged = Version {
            lineage: entry.version.lineage,
            seq: entry
                .version
                .seq
                .max(Seq(entry.as_of.0.saturating_sub(LOOK_BACK))),
        };
        let stamp = Version {
            lineage: entry.stamp.lineage,
            seq: entry.stamp.seq,
        };
        let claims = [
            (shard, vec![key.clone()], unchanged),
            (
                Shard::barriers(self.lane),
                barrier_keys(namespace, &entry.tags),
                stamp,
            ),
        ];
        let mut checks = self.checks();
        for (shard, keys, unchanged_since) in claims {
            checks.served(Served {
                shard,
                keys,
                unchanged_since,
                current_at,
                at,
            });
        }
    }

    /// What the spot checks came to.
    pub fn spot_check_tally(&self) -> SpotCheckTally {
        *self.checks().tally()
    }

    /// The longest time since a canary came, over all shards; `None` while none has come at all.
    pub fn canary_age(&self) -> Option<Duration> {
        self.canaries.age(self.clock.now())
    }

    pub(crate) fn due_checks(&self) -> Vec<Check> {
        self.checks().due()
    }

    /// A log was read for a check, or could not be. What turns out to have been stale is never served again.
    pub(crate) fn checked(&self, check: Check, log: Result<Replay, BusError>) {
        let shard = check.shard;
        let stale = match log {
            Ok(replay) => self.checks().decide(check, &replay),
            Err(_no_answer) => {
                self.checks().unanswered(check, self.clock.now());
                return;
            }
        };
        for (served, lacked) in &stale {
            tracing::error!(
                %shard, keys = ?served.keys, unchanged_since = %served.unchanged_since.seq, %lacked,
                "a value was served from memory after an event that it lacked: a promise is broken; the shard is flushed"
            );
        }
        if !stale.is_empty() {
            self.on_lagged(shard);
        }
    }

    pub(super) fn checks(&self) -> MutexGuard<'_, SpotChecks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
