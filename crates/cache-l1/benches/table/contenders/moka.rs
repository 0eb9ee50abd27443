//! `moka`: W-TinyLFU with a write buffer.
//!
//! As it comes, without expiry or listeners.

use crate::contender::{Contender, Value, text, value};

/// `moka::sync::Cache`.
pub(crate) struct Moka {
    cache: moka::sync::Cache<String, Value>,
    keys: Vec<String>,
}

impl Contender for Moka {
    const NAME: &'static str = "moka";

    fn new(keys: usize, capacity: usize) -> Self {
        Self {
            cache: moka::sync::Cache::new(capacity as u64),
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
