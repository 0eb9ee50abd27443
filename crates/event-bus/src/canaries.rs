//! Canaries: events that one node publishes into every shard now and then, so that every node can tell how old its view is.
//!
//! Only arrivals are kept, by the node's own clock: no node's clock is compared with another's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{CacheKey, Key, Moment, Namespace, Policy, Shard, ShardCount};

/// Nothing is ever stored under it.
const CANARIES: Namespace<()> =
    Namespace::new("edge-cache.canary", Policy::event_driven(Duration::from_secs(1)));

/// The key whose changes are canaries, in every shard.
pub fn canary_key() -> CacheKey {
    let key: Key<()> = CANARIES.key(&[]);
    key.raw().clone()
}

/// Whether a change of this key is a canary.
pub(crate) fn is_canary(key: &CacheKey) -> bool {
    key.namespace() == CANARIES.name()
}

/// When the last canary of each shard of a lane came.
#[derive(Debug)]
pub(crate) struct Canaries {
    /// When the first of the whole lane came: from then on, shards without any are missed.
    first: AtomicU64,
    last: Vec<AtomicU64>,
}

impl Canaries {
    pub(crate) fn of(shards: ShardCount) -> Self {
        Self {
            first: AtomicU64::new(0),
            last: (0..shards.places()).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn came(&self, shard: Shard, now: Moment) {
        let now = now.as_nanos();
        let _ = self
            .first
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        self.last[shard.index()].store(now, Ordering::Relaxed);
    }

    pub(crate) fn age(&self, now: Moment) -> Option<Duration> {
        let first = Some(self.first.load(Ordering::Relaxed)).filter(|first| *first != 0)?;
        let last = self
            .last
            .iter()
            .map(|last| last.load(Ordering::Relaxed).max(first))
            .min()?;
        Some(now.since(Moment::from_nanos(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::Lane;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn the_age_is_that_of_the_shard_that_has_waited_longest() {
        let canaries = Canaries::of(ShardCount::DEFAULT);
        assert_eq!(canaries.age(at(5)), None);
        for shard in ShardCount::DEFAULT.all(Lane::Bulk) {
            canaries.came(shard, at(6));
        }
        for shard in ShardCount::DEFAULT.all(Lane::Bulk).skip(1) {
            canaries.came(shard, at(7));
        }
        assert_eq!(canaries.age(at(8)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_shard_that_never_had_one_counts_from_the_first_of_all() {
        let canaries = Canaries::of(ShardCount::DEFAULT);
        let shard = Shard::barriers(Lane::Bulk);
        canaries.came(shard, at(6));
        canaries.came(shard, at(9));
        assert_eq!(canaries.age(at(10)), Some(Duration::from_secs(4)));
    }

    #[test]
    fn other_keys_are_no_canaries() {
        assert!(is_canary(&canary_key()));
        assert!(!is_canary(&CacheKey::from_wire("price:id=1")));
    }
}
