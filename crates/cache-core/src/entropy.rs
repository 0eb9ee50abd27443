//! Where random 64-bit numbers come from: event ids, lease tokens, lineages, jitter.
//!
//! Not for secrets: nothing here needs to be unguessable, only distinct.

use std::sync::atomic::{AtomicU64, Ordering};

/// Port: a source of distinct 64-bit numbers, handed in so that a test can replay them.
///
/// ```
/// use cache_core::{Entropy, SystemEntropy};
/// let entropy = SystemEntropy::seeded(7);
/// assert_ne!(entropy.draw(), entropy.draw());
/// ```
pub trait Entropy: Send + Sync + 'static {
    /// The next number.
    fn draw(&self) -> u64;
}

/// SplitMix64 over an atomic counter: lock-free, and every number of one source is distinct.
///
/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
#[derive(Debug)]
pub struct SystemEntropy(AtomicU64);

impl SystemEntropy {
    /// Seeded by the operating system.
    pub fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // `RandomState` is the standard library's only door to the system's randomness.
        Self::seeded(RandomState::new().hash_one(0_u8))
    }

    /// The same numbers for the same seed.
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn draw(&self) -> u64 {
        let mut z = self
            .0
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
            .wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
