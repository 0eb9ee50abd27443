//! This crate, through its port as the engine calls it: a look-up, and a fill from its beginning to its end.
//!
//! What the engine adds on a hit (lease, expiry, tags) is not in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use cache_core::{
    BarrierStamp, Begun, CacheKey, Entry, Flight, LocalLimits, LocalStore, LocalStores as _, Moment, Seq,
    Version,
};
use cache_l1::MemoryStores;

use crate::contender::{Contender, VALUE, text, value};

/// As it stands in the table.
pub(crate) const NAME: &str = "cache-l1 (dyn LocalStore)";

/// This crate behind `dyn LocalStore`.
pub(crate) struct ThroughThePort {
    store: Arc<dyn LocalStore>,
    keys: Vec<CacheKey>,
    rendezvous: Arc<()>,
    no_tags: Arc<[cache_core::Tag]>,
}

impl Contender for ThroughThePort {
    const NAME: &'static str = NAME;

    fn new(keys: usize, capacity: usize) -> Self {
        let limits = LocalLimits {
            max_bytes: u64::MAX,
            max_entries: capacity as u64,
        };
        Self {
            store: MemoryStores.open("bench", limits),
            // Allocated apart from the resident keys, so that equality has to compare texts.
            keys: (0..keys).map(text).map(CacheKey::from_wire).collect(),
            rendezvous: Arc::new(()),
            no_tags: Arc::new([]),
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        let entry = self.store.read(&self.keys[key])?;
        let value = entry.value.as_ref()?.downcast_ref::<[u8; VALUE]>()?;
        Some(value[0])
    }

    fn fill(&self, key: usize) {
        let name = CacheKey::from_wire(text(key));
        let flight = Flight {
            generation: 1,
            join_until: Moment::FOREVER,
            rendezvous: Arc::clone(&self.rendezvous) as _,
        };
        let Begun::Lead(ticket) = self.store.begin(&name, Moment::NEVER, flight) else {
            unreachable!("one thread fills");
        };
        let entry = Entry {
            value: Some(value(key)),
            version: Version::default(),
            as_of: Seq::ZERO,
            generation: 1,
            born: Moment::NEVER,
            fresh_until: Moment::FOREVER,
            usable_until: Moment::FOREVER,
            refresh_from: Moment::FOREVER,
            tags: Arc::clone(&self.no_tags),
            stamp: BarrierStamp::default(),
            checked_epoch: AtomicU64::new(0),
            refreshing: AtomicBool::new(false),
            weight: 256,
            encoded: 8,
        };
        self.store.finish(&name, ticket, Some(Arc::new(entry)));
    }
}
