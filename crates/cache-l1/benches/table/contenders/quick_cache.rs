//! `quick_cache` by itself: the yardstick, once as it comes and once with keys that are already hashed.
//!
//! It orders nothing: no fills, no versions.

use std::hash::{BuildHasher, Hasher};

use cache_core::CacheKey;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::contender::{Contender, Value, text, value};

/// Keys are strings, hashed at every look-up; everything as it comes.
pub(crate) struct Strings {
    cache: Cache<String, Value>,
    keys: Vec<String>,
}

impl Contender for Strings {
    const NAME: &'static str = "quick_cache";

    fn new(keys: usize, capacity: usize) -> Self {
        Self {
            cache: Cache::new(capacity),
            keys: (0..keys).map(text).collect(),
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        self.cache.get(&self.keys[key]).map(|value| value[0])
    }

    fn fill(&self, key: usize) {
        self.cache.insert(text(key), value(key));
    }
}

/// Keys carry their hash, as they do in this project: what a hit costs at least.
pub(crate) struct HashedKeys {
    cache: Cache<CacheKey, Value, UnitWeighter, Carried>,
    keys: Vec<CacheKey>,
}

impl Contender for HashedKeys {
    const NAME: &'static str = "quick_cache, hashed keys";

    fn new(keys: usize, capacity: usize) -> Self {
        let lifecycle = DefaultLifecycle::default();
        Self {
            cache: Cache::with(capacity, capacity as u64, UnitWeighter, Carried(0), lifecycle),
            keys: (0..keys).map(text).map(CacheKey::from_wire).collect(),
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        self.cache.get(&self.keys[key]).map(|value| value[0])
    }

    fn fill(&self, key: usize) {
        self.cache.insert(CacheKey::from_wire(text(key)), value(key));
    }
}

#[derive(Clone, Copy)]
struct Carried(u64);

impl BuildHasher for Carried {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Carried {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a `CacheKey` writes one `u64`");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
