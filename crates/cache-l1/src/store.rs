//! The memory of one namespace: residents, and the fills under way.
//!
//! Every rule about a key is applied under that key's bucket lock in `slots`, whether or not a fill is under way;
//! only `read`, eviction and `clear` go past it, and these never put anything in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{
    Begun, CacheKey, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment,
    Replacement, Seq, Ticket,
};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Bucket;

use crate::hashing::BuildPassThrough;
use crate::residents::{Discarded, Residents};
use crate::slot::Slot;

/// Shards of the map of fills. It is small and its locks are held for well under a microsecond; 32 keep some
/// threads apart and cost 4 KiB a namespace.
const SLOT_SHARDS: usize = 32;

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
/// From 512 entries on, the limits are divided among shards, each of 256 entries and 4 MiB at least. A value heavier
/// than 94 % of its shard's share (100 % below 32 entries) is not kept: reading it always loads it.
pub struct MemoryStore {
    residents: Residents,
    slots: DashMap<CacheKey, Slot, BuildPassThrough>,
    tickets: AtomicU64,
}

impl MemoryStore {
    /// An empty memory.
    pub fn new(limits: LocalLimits) -> Self {
        Self {
            residents: Residents::new(limits),
            slots: DashMap::with_hasher_and_shard_amount(BuildPassThrough, SLOT_SHARDS),
            tickets: AtomicU64::new(0),
        }
    }
}

impl LocalStore for MemoryStore {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.residents.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        // The older fill's slot leaves the block, and with it the lock, before it is dropped.
        let (begun, _taken_over) = match self.slots.entry(key.clone()) {
            Bucket::Occupied(mut bucket) => match bucket.get().rendezvous(now, flight.generation) {
                Some(rendezvous) => (Begun::Join(Arc::clone(rendezvous)), None),
                None => {
                    let ticket = self.next_ticket();
                    (
                        Begun::Lead(ticket),
                        Some(bucket.insert(Slot::new(ticket, flight))),
                    )
                }
            },
            Bucket::Vacant(bucket) => {
                let ticket = self.next_ticket();
                bucket.insert(Slot::new(ticket, flight));
                (Begun::Lead(ticket), None)
            }
        };
        begun
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        let mut discarded = Discarded::default();
        let (finished, _freed) = match self.slots.entry(key.clone()) {
            Bucket::Occupied(bucket) if bucket.get().is_led_by(ticket) => {
                let floor = entry
                    .as_ref()
                    .and_then(|entry| bucket.get().floor_above(entry.as_of));
                if let Some(floor) = floor {
                    (Finished::Superseded { floor }, None)
                } else {
                    if let Some(entry) = &entry {
                        self.install(key, entry, &mut discarded);
                    }
                    (Finished::Installed, Some(bucket.remove()))
                }
            }
            _ => (Finished::NotYours, None),
        };
        finished
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        let mut discarded = Discarded::default();
        let mut bucket = self.slots.entry(key.clone());
        if let Bucket::Occupied(occupied) = &mut bucket {
            occupied.get_mut().supersede(seq);
        }
        match &replacement {
            Replacement::None => self.residents.remove_older(key, seq, &mut discarded),
            Replacement::IfResident(entry) => {
                let yields = self.resident_yields(key, seq, entry) == Some(true);
                if yields {
                    self.residents.replace(key, Arc::clone(entry), &mut discarded);
                }
                yields
            }
            Replacement::Always(entry) => {
                let yields = self.resident_yields(key, seq, entry);
                if yields != Some(false) {
                    self.residents.insert(key, Arc::clone(entry), &mut discarded);
                }
                yields == Some(true)
            }
        }
    }

    fn clear(&self) {
        self.residents.clear();
    }

    fn usage(&self) -> LocalUsage {
        LocalUsage {
            entries: self.residents.entries(),
            bytes: self.residents.bytes(),
            in_flight: self.slots.len() as u64,
        }
    }
}

impl MemoryStore {
    fn next_ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the resident entry, if there is one, is older than the change or dead.
    fn resident_yields(&self, key: &CacheKey, seq: Seq, replacement: &Entry) -> Option<bool> {
        let resident = self.residents.peek(key)?;
        Some(resident.as_of < seq || resident.generation != replacement.generation)
    }

    /// An event may have put something newer in while the fill was under way; that stays.
    fn install(&self, key: &CacheKey, entry: &Arc<Entry>, discarded: &mut Discarded) {
        let newer = self
            .residents
            .peek(key)
            .is_some_and(|resident| resident.generation == entry.generation && resident.as_of > entry.as_of);
        if !newer {
            self.residents.insert(key, Arc::clone(entry), discarded);
        }
    }
}

#[cfg(test)]
mod tests;
