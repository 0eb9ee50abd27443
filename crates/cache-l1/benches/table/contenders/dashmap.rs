//! `dashmap`: a concurrent map, no cache. What a look-up costs when nothing is ever evicted.
//!
//! No hit ratio and no fills: it would grow without bound.

use dashmap::DashMap;

use crate::contender::{Contender, Scope, Value, text, value};

/// `DashMap` as it comes.
pub(crate) struct Unbounded {
    map: DashMap<String, Value>,
    keys: Vec<String>,
}

impl Contender for Unbounded {
    const NAME: &'static str = "dashmap (no cache)";
    const SCOPE: Scope = Scope::Hits;

    fn new(keys: usize, _capacity: usize) -> Self {
        Self {
            map: DashMap::new(),
            keys: (0..keys).map(text).collect(),
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        let value = Value::clone(&*self.map.get(&self.keys[key])?);
        Some(value[0])
    }

    fn fill(&self, key: usize) {
        self.map.insert(text(key), value(key));
    }
}
