//! Counters that live in the cache alone, and that all nodes change at once.
//!
//! Each change is a loop of reading and writing that what was read is still there. No change may be lost, and whoever was told
//! that a version is outdated must not be shown it again.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock as _, Key, Moment, Namespace, Policy, Seq};
use edge_cache::CacheError;
use rand::Rng;
use rand::rngs::SmallRng;

use super::run::World;

/// They live longer than a run.
pub(super) const COUNTERS: Namespace<u64> =
    Namespace::new("counters", Policy::event_driven(Duration::from_secs(600)));

/// How many there are: few, so that nodes meet.
const COUNT: u64 = 2;

/// How often one change is tried; then its node has shown often enough that it does not come through.
const ATTEMPTS: usize = 16;

impl World {
    pub(super) async fn keep_counting(self: Arc<Self>, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            tokio::time::sleep(Duration::from_millis(rng.random_range(5..60))).await;
            let counter = rng.random_range(0..COUNT);
            self.count(index, counter).await;
        }
    }

    /// Adds one to a counter.
    async fn count(&self, index: usize, counter: u64) {
        let key: Key<u64> = COUNTERS.key(&[("id", &counter)]);
        let mut outdated = None;
        for _attempt in 0..ATTEMPTS {
            let (node, _) = self.node(index);
            let Ok(read) = node.get(&key).await else { return };
            let (value, version) = read.map_or((0, Seq::ZERO), |read| (*read, read.version().seq));
            if outdated == Some(version) {
                self.truth
                    .conflict_forgotten(self.clock.now(), index, counter, version);
            }
            match node.put_if(&key, version, value + 1).await {
                Ok(_receipt) => return self.truth.counted(self.clock.now(), counter, value + 1),
                Err(CacheError::Conflict { found }) => outdated = (found != version).then_some(version),
                // It may have been counted; the next one reads what stands there.
                Err(_failed) => return,
            }
        }
    }
}
