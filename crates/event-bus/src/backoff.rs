//! Backoff after a refusal: how long a shard rests before its log is read, or its lineage started, again.
//!
//! It asks nothing and waits for nothing: whoever asks is told how long to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use cache_core::Shard;

/// The refusals of one lane, shard by shard: what one shard meets, as while its slot moves, says nothing of the others.
#[derive(Debug)]
pub(crate) struct Backoff {
    shortest: Duration,
    longest: Duration,
    refusals: BTreeMap<usize, u32>,
}

impl Backoff {
    pub(crate) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            refusals: BTreeMap::new(),
        }
    }

    /// The pause if this shard is refused now. It doubles with every refusal in a row up to the longest.
    pub(crate) fn pause(&self, shard: Shard) -> Pause {
        let refusals = self.refusals.get(&shard.index()).copied().unwrap_or_default();
        let doubled = self.shortest.saturating_mul(1 << refusals.min(16));
        Pause(doubled.min(self.longest))
    }

    /// Counts a refusal; tells how many there were in a row.
    pub(crate) fn refused(&mut self, shard: Shard) -> u32 {
        let refusals = self.refusals.entry(shard.index()).or_default();
        *refusals = refusals.saturating_add(1);
        *refusals
    }

    /// There was an answer: the next refusal is a first one.
    pub(crate) fn answered(&mut self, shard: Shard) {
        self.refusals.remove(&shard.index());
    }
}

/// How long to wait at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    /// Shortened by up to a half, so that the nodes of a fleet do not ask in the same instant.
    pub(crate) fn shortened(self, dice: u64) -> Duration {
        let half = self.0 / 2;
        half + half.mul_f64((dice >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use cache_core::Lane;

    use super::*;

    #[test]
    fn pauses_double_for_each_shard_by_itself_until_it_is_answered() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(20), millis(1_000));
        let shards: Vec<_> = cache_core::ShardCount::DEFAULT.all(Lane::Bulk).take(2).collect();
        for whole in [20, 40, 80, 160, 320, 640, 1_000, 1_000] {
            assert_eq!(backoff.pause(shards[0]), Pause(millis(whole)));
            backoff.refused(shards[0]);
        }
        assert_eq!(backoff.pause(shards[1]), Pause(millis(20)));
        assert_eq!(backoff.refused(shards[0]), 9);
        backoff.answered(shards[0]);
        assert_eq!(backoff.pause(shards[0]), Pause(millis(20)));
    }

    #[test]
    fn a_pause_is_shortened_by_at_most_a_half() {
        let pause = Pause(Duration::from_millis(100));
        assert_eq!(pause.shortened(0), Duration::from_millis(50));
        let longest = pause.shortened(u64::MAX);
        assert!(longest > Duration::from_millis(99) && longest <= Duration::from_millis(100));
    }
}
