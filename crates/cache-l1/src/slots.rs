//! The table of fills under way, and the lock of a key in it.
//!
//! It decides nothing about fills; that is `slot`.

use cache_core::CacheKey;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Bucket;

use crate::hashing::BuildPassThrough;
use crate::slot::Slot;

/// A table of slots that can be held one by one.
pub(crate) trait Slots {
    /// A key's place, held.
    type Held<'t>: Held
    where
        Self: 't;

    /// Holds a key's place, with a slot in it or without, until the answer is dropped.
    fn hold(&self, key: &CacheKey) -> Self::Held<'_>;

    /// How many slots there are.
    fn count(&self) -> u64;
}

/// A key's place while nobody else can have it.
pub(crate) trait Held {
    /// The slot, if a fill is under way.
    fn slot(&mut self) -> Option<&mut Slot>;

    /// Puts a slot in and lets go; returns the one that was there, which is dropped after that.
    fn put(self, slot: Slot) -> Option<Slot>;

    /// Takes the slot out and lets go.
    fn take(self) -> Option<Slot>;
}

/// The table of a shipped store.
pub(crate) type SlotTable = DashMap<CacheKey, Slot, BuildPassThrough>;

/// An empty table.
pub(crate) fn slot_table() -> SlotTable {
    DashMap::with_hasher_and_shard_amount(BuildPassThrough, SLOT_SHARDS)
}

/// Shards of the table. It is small and its locks are held for well under a microsecond; 32 keep some threads apart and
/// cost 4 KiB a namespace.
const SLOT_SHARDS: usize = 32;

impl Slots for SlotTable {
    type Held<'t> = Bucket<'t, CacheKey, Slot>;

    #[inline]
    fn hold(&self, key: &CacheKey) -> Self::Held<'_> {
        self.entry(key.clone())
    }

    fn count(&self) -> u64 {
        self.len() as u64
    }
}

impl Held for Bucket<'_, CacheKey, Slot> {
    #[inline]
    fn slot(&mut self) -> Option<&mut Slot> {
        match self {
            Self::Occupied(bucket) => Some(bucket.get_mut()),
            Self::Vacant(_) => None,
        }
    }

    #[inline]
    fn put(self, slot: Slot) -> Option<Slot> {
        match self {
            Self::Occupied(mut bucket) => Some(bucket.insert(slot)),
            Self::Vacant(bucket) => {
                bucket.insert(slot);
                None
            }
        }
    }

    #[inline]
    fn take(self) -> Option<Slot> {
        match self {
            Self::Occupied(bucket) => Some(bucket.remove()),
            Self::Vacant(_) => None,
        }
    }
}
