//! The entries in memory: a bounded map that evicts, and the exact sum of what they weigh.
//!
//! It knows no order between entries of a key; who may replace whom is the store's to decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{CacheKey, Entry, LocalLimits, Seq};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};

use crate::capacity::Capacity;
use crate::hashing::BuildPassThrough;
use crate::large::{Large, Removed};

/// A bounded map of entries.
pub(crate) struct Residents {
    cache: Cache<CacheKey, Arc<Entry>, Capacity, BuildPassThrough, Ledger>,
    /// What is too heavy for a shard.
    large: Large,
    capacity: Capacity,
    ledger: Ledger,
}

impl Residents {
    pub(crate) fn new(limits: LocalLimits) -> Self {
        let capacity = Capacity::of(limits);
        let ledger = Ledger::default();
        let options = capacity.options().build().expect("capacity is complete");
        Self {
            cache: Cache::with_options(options, capacity, BuildPassThrough, ledger.clone()),
            large: Large::new(capacity),
            capacity,
            ledger,
        }
    }

    fn resize(&self, capacity: u64) {
        self.cache.set_capacity(capacity);
    }

    fn remove_from_map(&self, key: &CacheKey, discarded: &mut Discarded) {
        if let Some((key, entry)) = self.cache.remove(key) {
            self.ledger.subtract(&entry);
            discarded.push(key, entry);
        }
    }

    fn discard(&self, removed: Removed, discarded: &mut Discarded) {
        for (key, entry) in removed {
            self.ledger.subtract(&entry);
            discarded.push(key, entry);
        }
    }

    /// Keeps an entry beside the map, if it fits the limit at all.
    fn insert_large(&self, key: &CacheKey, entry: Arc<Entry>, charge: u64, discarded: &mut Discarded) {
        let mut removed = Removed::new();
        self.remove_from_map(key, discarded);
        if charge > self.capacity.total() {
            let resize = |capacity| self.resize(capacity);
            self.large.remove_if(key, |_| true, resize, &mut removed);
            discarded.push(key.clone(), entry);
        } else {
            let resize = |capacity| {
                self.resize(capacity);
                // Only now is there room for it.
                self.ledger.add(&entry);
            };
            self.large
                .insert(key, Arc::clone(&entry), charge, resize, &mut removed);
        }
        self.discard(removed, discarded);
    }

    /// Makes sure that the map can keep an entry of this charge, and that no other place has one of its key.
    fn make_room(&self, key: &CacheKey, charge: u64, discarded: &mut Discarded) {
        if self.large.count() > 0 {
            let mut removed = Removed::new();
            self.large
                .make_room(key, charge, |capacity| self.resize(capacity), &mut removed);
            self.discard(removed, discarded);
        }
    }
}

impl Residency for Residents {
    #[inline]
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        match self.cache.get(key) {
            Some(entry) => Some(entry),
            None => self.large.read(key),
        }
    }

    fn peek(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.cache.peek(key).or_else(|| self.large.peek(key))
    }

    fn insert(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded) {
        let charge = self.capacity.charge(entry.weight);
        if charge > self.capacity.of_a_shard() {
            return self.insert_large(key, entry, charge, discarded);
        }
        self.make_room(key, charge, discarded);
        self.ledger.add(&entry);
        self.cache.insert_with_lifecycle(key.clone(), entry, discarded);
    }

    fn replace(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded) {
        let charge = self.capacity.charge(entry.weight);
        if charge > self.capacity.of_a_shard() || self.large.peek(key).is_some() {
            // It crosses over, or stays where popularity is not counted.
            if self.peek(key).is_some() {
                self.insert(key, entry, discarded);
            } else {
                discarded.push(key.clone(), entry);
            }
            return;
        }
        self.make_room(key, charge, discarded);
        self.ledger.add(&entry);
        if let Err((key, entry)) = self
            .cache
            .replace_with_lifecycle(key.clone(), entry, true, discarded)
        {
            self.ledger.subtract(&entry);
            discarded.push(key, entry);
        }
    }

    fn remove_older(&self, key: &CacheKey, seq: Seq, discarded: &mut Discarded) -> bool {
        let older = |entry: &Entry| entry.version.seq < seq;
        if let Some((key, entry)) = self.cache.remove_if(key, |entry| older(entry)) {
            self.ledger.subtract(&entry);
            discarded.push(key, entry);
            return true;
        }
        let mut removed = Removed::new();
        let found = self
            .large
            .remove_if(key, older, |capacity| self.resize(capacity), &mut removed);
        self.discard(removed, discarded);
        found
    }

    fn clear(&self) {
        for (_, entry) in self.cache.drain() {
            self.ledger.subtract(&entry);
        }
        let (mut removed, mut discarded) = (Removed::new(), Discarded::default());
        self.large.clear(|capacity| self.resize(capacity), &mut removed);
        self.discard(removed, &mut discarded);
    }

    fn entries(&self) -> u64 {
        (self.cache.len() + self.large.count()) as u64
    }

    fn bytes(&self) -> u64 {
        self.ledger.0.weight.load(Ordering::Relaxed)
    }

    fn encoded_bytes(&self) -> u64 {
        self.ledger.0.encoded.load(Ordering::Relaxed)
    }
}

/// A map of entries that forgets what does not fit.
pub(crate) trait Residency {
    /// The entry, and a mark that it was used.
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>>;

    /// The entry, without a mark.
    fn peek(&self, key: &CacheKey) -> Option<Arc<Entry>>;

    /// Puts an entry in, in place of whatever is there. If it is too heavy, then nothing is there afterwards.
    fn insert(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded);

    /// Puts an entry in the place of another one, if there is one. It is no use of the key: readers make a key
    /// popular, not writers.
    fn replace(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded);

    /// Removes the entry if its version is older than this one.
    fn remove_older(&self, key: &CacheKey, seq: Seq, discarded: &mut Discarded) -> bool;

    /// Removes everything, one entry at a time, so that readers are not held up.
    fn clear(&self);

    /// How many entries there are.
    fn entries(&self) -> u64;

    /// What they weigh together, in bytes.
    fn bytes(&self) -> u64;

    /// How long their encoded values are together, in bytes.
    fn encoded_bytes(&self) -> u64;
}

impl Weighter<CacheKey, Arc<Entry>> for Capacity {
    fn weight(&self, _: &CacheKey, entry: &Arc<Entry>) -> u64 {
        self.charge(entry.weight)
    }
}

/// What a call removed. Declared before the locks are taken, so that it is dropped after they are released: to free
/// a large value takes a while.
#[derive(Default)]
pub(crate) struct Discarded {
    /// One at most, as a rule.
    first: Option<(CacheKey, Arc<Entry>)>,
    rest: Vec<(CacheKey, Arc<Entry>)>,
}

impl Discarded {
    fn push(&mut self, key: CacheKey, entry: Arc<Entry>) {
        if self.first.is_none() {
            self.first = Some((key, entry));
        } else {
            self.rest.push((key, entry));
        }
    }
}

/// The sums of the weights and of the encoded lengths. The map's own sum is of charges, which are higher (see [`Capacity`]).
///
/// An entry is added before it goes into the map and subtracted after it has left, so the sum is never too low.
#[derive(Clone, Default)]
struct Ledger(Arc<Sums>);

#[derive(Default)]
struct Sums {
    weight: AtomicU64,
    encoded: AtomicU64,
}

impl Ledger {
    fn add(&self, entry: &Entry) {
        self.0
            .weight
            .fetch_add(u64::from(entry.weight), Ordering::Relaxed);
        self.0
            .encoded
            .fetch_add(u64::from(entry.encoded), Ordering::Relaxed);
    }

    fn subtract(&self, entry: &Entry) {
        self.0
            .weight
            .fetch_sub(u64::from(entry.weight), Ordering::Relaxed);
        self.0
            .encoded
            .fetch_sub(u64::from(entry.encoded), Ordering::Relaxed);
    }
}

impl Lifecycle<CacheKey, Arc<Entry>> for Ledger {
    type RequestState = Discarded;

    /// Called for whatever an insertion pushes out: evicted, replaced, or too heavy to get in.
    fn on_evict(&self, discarded: &mut Discarded, key: CacheKey, entry: Arc<Entry>) {
        self.subtract(&entry);
        discarded.push(key, entry);
    }
}
