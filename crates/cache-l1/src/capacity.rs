//! How limits become the shards and weights of the map that holds the residents.
//!
//! Pure arithmetic: it holds no entry.

use cache_core::LocalLimits;
use quick_cache::OptionsBuilder;

/// Share of the memory for entries that have proven themselves; the rest is where new ones prove themselves.
///
/// Chosen by a sweep (`cargo bench -p cache-l1 --bench table -- --sweep`) over the OLTP trace and Zipf 0.9, each at
/// 1, 5 and 10 % of the footprint. What counts is the worst regret against the best of moka, foyer (S3-FIFO) and
/// quick_cache's defaults in any of the six: 0.94 / 0.5 stays within 0.4 points everywhere and beats all of them
/// on average. quick_cache's own 0.97 loses 1.5 points on OLTP at 1 % (2.3 with 8 shards: the queue of new entries
/// gets too short to be seen twice in), 0.9 loses 0.65 on Zipf, where new entries are mostly noise.
pub(crate) const HOT_ALLOCATION: f64 = 0.94;

/// Evicted keys that are remembered, as a share of the entries: who comes back counts as proven at once.
///
/// From the same sweep. A remembered key costs a slot of 64 bytes or so; more of them gain up to 0.3 points on
/// OLTP and lose as much on Zipf.
pub(crate) const GHOST_ALLOCATION: f64 = 0.5;

/// Below this many entries in a shard, all of it is for proven ones. The queue for new entries would hold one at
/// most, which is what the map does anyway; and then a value as heavy as the whole limit can be kept.
const SMALL_SHARD: u64 = 32;

/// Entries a shard has at least. Each shard has its own share of the limits, and keys spread unevenly: with 256 in
/// a shard, a working set that just fits the limits loses some 2.5 % of its entries; with 64 it would be 5 %. The
/// hit ratio on the traces above, at 500 to 5,000 entries, is within 0.1 points of one shard's or better.
const ENTRIES_PER_SHARD: u64 = 256;

/// Bytes a shard has at least, because a value heavier than a shard's share takes its place from all shards.
const BYTES_PER_SHARD: u64 = 4 << 20;

/// Shards at most: more of them no longer relieve the locks of a machine of common size.
const MAX_SHARDS: u64 = 64;

/// A shard keeps this much, in parts of a byte, whatever is kept elsewhere.
const LEAST_SHARE: u64 = 1_000;

/// Weights are counted in parts of a byte, so that the limit on entries does not suffer from rounding.
const PARTS: u64 = 1 << 16;

/// Limits beyond 16 TiB are taken as 16 TiB, so that no sum of weights overflows.
const MAX_BYTES: u64 = 1 << 44;

/// No entry is expected to weigh less. Bounds how many evicted keys are remembered where only bytes are limited.
const LIGHTEST: u64 = 256;

/// The shape of a map that obeys both limits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Capacity {
    shards: u64,
    /// What one shard may hold, in parts of a byte.
    share: u64,
    /// What an entry is charged at least, in parts of a byte.
    floor: u64,
    expected: u64,
    hot: f64,
    /// What all entries may weigh together, in parts of a byte.
    total: u64,
}

impl Capacity {
    /// Every entry is charged at least so much that one entry beyond `max_entries` would not fit: with this, the
    /// limit on bytes enforces both limits.
    pub(crate) fn of(limits: LocalLimits) -> Self {
        let max_bytes = limits.max_bytes.min(MAX_BYTES);
        let most = (limits.max_entries / ENTRIES_PER_SHARD).min(max_bytes / BYTES_PER_SHARD);
        let shards = 1 << most.clamp(1, MAX_SHARDS).ilog2();
        let entries = limits.max_entries / shards;
        let share = max_bytes / shards * PARTS;
        Self {
            shards,
            share,
            floor: share / entries.saturating_add(1) + 1,
            expected: limits.max_entries.min(max_bytes / LIGHTEST),
            hot: if entries < SMALL_SHARD {
                1.0
            } else {
                HOT_ALLOCATION
            },
            total: max_bytes * PARTS,
        }
    }

    /// Heaviest charge that a shard of the whole map keeps.
    pub(crate) fn of_a_shard(self) -> u64 {
        self.kept_by(self.share * self.shards)
    }

    /// Heaviest charge that a shard keeps when the map has this much.
    pub(crate) fn kept_by(self, map: u64) -> u64 {
        let share = map.div_ceil(self.shards);
        // As the map computes it: nothing heavier than its part for proven entries is admitted.
        ((share as f64 * self.hot) as u64).clamp(share.min(1), share)
    }

    /// What all entries may be charged together.
    pub(crate) const fn total(self) -> u64 {
        self.total
    }

    /// What the map has beside values of this charge that are kept elsewhere. Never nothing: it would forget how it is
    /// divided. What remains is less than any entry with a weight is charged.
    pub(crate) fn beside(self, elsewhere: u64) -> u64 {
        (self.share * self.shards)
            .min(self.total.saturating_sub(elsewhere))
            .max(self.shards * LEAST_SHARE)
    }

    /// What an entry of this weight is charged.
    pub(crate) fn charge(self, weight: u32) -> u64 {
        (u64::from(weight) * PARTS).max(self.floor)
    }

    /// The same, as `quick_cache` wants to hear it.
    pub(crate) fn options(self) -> OptionsBuilder {
        let mut options = OptionsBuilder::new();
        options
            .shards(usize::try_from(self.shards).unwrap_or(1))
            .weight_capacity(self.share * self.shards)
            .estimated_items_capacity(usize::try_from(self.expected).unwrap_or(usize::MAX))
            .hot_allocation(self.hot)
            .ghost_allocation(GHOST_ALLOCATION);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(max_bytes: u64, max_entries: u64) -> Capacity {
        Capacity::of(LocalLimits {
            max_bytes,
            max_entries,
        })
    }

    #[test]
    fn small_memories_have_one_shard_and_large_ones_at_most_64() {
        let shards = [1, 500, 1_000, 2_000, 5_000, u64::MAX].map(|n| capacity(1 << 30, n).shards);
        assert_eq!(shards, [1, 1, 2, 4, 16, 64]);
    }

    #[test]
    fn few_bytes_mean_few_shards_because_a_value_must_fit_one() {
        assert_eq!(capacity(1 << 20, 100_000).shards, 1);
        assert_eq!(capacity(50 << 20, 100_000).shards, 8);
    }

    #[test]
    fn the_permitted_number_of_entries_fits_and_one_more_does_not() {
        for entries in [1, 2, 3, 31, 32, 100, 255, 400, 500] {
            for bytes in [1_000, 4_096, 1 << 20, 50 << 20] {
                let capacity = capacity(bytes, entries);
                assert!(
                    capacity.charge(0) * entries <= capacity.share,
                    "{entries} in {bytes}"
                );
                assert!(
                    capacity.charge(0) * (entries + 1) > capacity.share,
                    "{entries} in {bytes}"
                );
            }
        }
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        let none = capacity(1 << 20, 0);
        assert!(none.charge(0) > none.share);
        let none = capacity(0, 100);
        assert!(none.charge(0) > none.share);
    }

    #[test]
    fn limits_without_bound_do_not_overflow() {
        let capacity = capacity(u64::MAX, u64::MAX);
        assert_eq!(capacity.share * capacity.shards, MAX_BYTES * PARTS);
        assert_eq!(capacity.charge(100), 100 * PARTS);
    }
}
