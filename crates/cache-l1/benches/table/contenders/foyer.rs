//! `foyer` in memory only, with S3-FIFO, the relative among its policies of what this crate uses.
//!
//! Its handles are what an `Arc` is elsewhere, so values are stored without one.

use foyer::{Cache, CacheBuilder, S3FifoConfig};

use crate::contender::{Contender, VALUE, text, value};

/// `foyer::Cache` with S3-FIFO.
pub(crate) struct S3Fifo {
    cache: Cache<String, [u8; VALUE]>,
    keys: Vec<String>,
}

impl Contender for S3Fifo {
    const NAME: &'static str = "foyer (S3-FIFO)";

    fn new(keys: usize, capacity: usize) -> Self {
        Self {
            cache: CacheBuilder::new(capacity)
                .with_eviction_config(S3FifoConfig::default())
                .build(),
            keys: (0..keys).map(text).collect(),
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        self.cache.get(&self.keys[key]).map(|entry| entry.value()[0])
    }

    fn fill(&self, key: usize) {
        self.cache.insert(text(key), *value(key));
    }
}
