//! The memory of one namespace, as the port sees it: which maps it is made of.
//!
//! It decides nothing; the rules are in `ordered`.

use std::sync::Arc;

use cache_core::{
    Begun, CacheKey, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment,
    Replacement, Seq, Ticket,
};

use crate::ordered::Ordered;
use crate::residents::Residents;
use crate::slots::{SlotTable, slot_table};

/// Opens a [`MemoryStore`] for every namespace.
#[derive(Clone, Copy, Default, Debug)]
pub struct MemoryStores;

impl LocalStores for MemoryStores {
    fn open(&self, _namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(MemoryStore::new(limits))
    }
}

/// The memory of one namespace on one node.
///
/// Both limits hold at every moment. To that end an entry is charged with at least
/// `max_bytes / (max_entries + 1)`, so a mixture of heavy and light entries may reach neither limit.
/// From 512 entries on, the limits are divided among shards, each of 256 entries and 4 MiB at least. That decides nothing about
/// what is kept: whatever fits the limits is, and is there at least until the next entry is put in. Values heavier than
/// 94 % of a shard's share (100 % below 32 entries) take half of the limit at most, the least recently used leave first,
/// and one that needs more than half is kept alone.
pub struct MemoryStore(Ordered<SlotTable, Residents>);

impl MemoryStore {
    /// An empty memory.
    pub fn new(limits: LocalLimits) -> Self {
        Self(Ordered::new(slot_table(), Residents::new(limits)))
    }
}

impl LocalStore for MemoryStore {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.0.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.0.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.0.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.0.supersede(key, seq, replacement)
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.0.usage()
    }
}

#[cfg(test)]
mod tests;
