//! A hasher that passes the hash of a [`CacheKey`](cache_core::CacheKey) through unchanged.
//!
//! It does not mix. XXH3 is uniform in every bit, and the two maps draw on different ones: both index with the low
//! bits and tag with the top 7, `dashmap` picks its shard by the bits right below those 7, `quick_cache` by bits 32
//! and up. Nor does it defend against keys crafted to collide: `CacheKey` compares the text as well, so these cost
//! time, not correctness.

use std::hash::{BuildHasher, Hasher};

/// Makes [`PassThrough`] hashers.
#[derive(Clone, Copy, Default)]
pub(crate) struct BuildPassThrough;

impl BuildHasher for BuildPassThrough {
    type Hasher = PassThrough;

    fn build_hasher(&self) -> PassThrough {
        PassThrough(0)
    }
}

/// Answers with the `u64` it was given last.
pub(crate) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Only there because the trait asks for it: a `CacheKey` writes one `u64` and nothing else.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::CacheKey;

    #[test]
    fn the_hash_of_a_key_passes_through_unchanged() {
        let key = CacheKey::from_wire("gpu:id=7");
        assert_eq!(BuildPassThrough.hash_one(&key), key.hash64());
    }

    #[test]
    fn similar_keys_spread_evenly_over_the_bits_that_either_map_uses() {
        let hashes: Vec<u64> = (0..64_000)
            .map(|id| CacheKey::from_wire(format!("gpu:id={id}")).hash64())
            .collect();
        // Low bits (index), bits 32 to 37 (shard of quick_cache), the 6 below the tag (shard of dashmap), the tag.
        for shift in [0, 32, 51, 58] {
            let mut buckets = [0_u32; 64];
            for hash in &hashes {
                buckets[(hash >> shift) as usize % 64] += 1;
            }
            // 1,000 expected in each; the standard deviation is 31.
            assert!(
                buckets.iter().all(|count| (850..1_150).contains(count)),
                "shift {shift}: {buckets:?}"
            );
        }
    }
}
