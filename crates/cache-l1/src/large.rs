//! Entries too heavy for a shard of the map: kept beside it, for which the map is made smaller.
//!
//! There are few, since each is as heavy as a shard. It knows the map only as something that can be resized.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cache_core::{CacheKey, Entry};

use crate::capacity::Capacity;

/// The large entries of one namespace.
pub(crate) struct Large {
    capacity: Capacity,
    /// How many there are: nobody takes the lock while there are none.
    count: AtomicUsize,
    held: RwLock<Held>,
    /// Orders uses.
    uses: AtomicU64,
    /// What was put into the map so far, while there were large entries.
    turnover: AtomicU64,
}

#[derive(Default)]
struct Held {
    entries: Vec<HeldEntry>,
    charge: u64,
}

struct HeldEntry {
    key: CacheKey,
    entry: Arc<Entry>,
    charge: u64,
    last_use: AtomicU64,
    /// The turnover of the map when it was last used.
    turnover: AtomicU64,
}

/// What was removed.
pub(crate) type Removed = Vec<(CacheKey, Arc<Entry>)>;

impl Large {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            count: AtomicUsize::new(0),
            held: RwLock::default(),
            uses: AtomicU64::new(0),
            turnover: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The entry, and a mark that it was used.
    pub(crate) fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.look(key, |held| {
            let use_number = self.uses.fetch_add(1, Ordering::Relaxed);
            held.last_use.store(use_number, Ordering::Relaxed);
            held.turnover
                .store(self.turnover.load(Ordering::Relaxed), Ordering::Relaxed);
        })
    }

    /// The entry, without a mark.
    pub(crate) fn peek(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.look(key, |_| {})
    }

    fn look(&self, key: &CacheKey, mark: impl FnOnce(&HeldEntry)) -> Option<Arc<Entry>> {
        if self.count() == 0 {
            return None;
        }
        let held = self.shared();
        let found = held.entries.iter().find(|held| held.key == *key)?;
        mark(found);
        Some(Arc::clone(&found.entry))
    }

    /// Puts an entry in that fits the limit; the map is made smaller first. All large entries together take half of the limit
    /// at most, so that the others have the other half, or one takes as much as it needs.
    pub(crate) fn insert(
        &self,
        key: &CacheKey,
        entry: Arc<Entry>,
        charge: u64,
        resize: impl FnOnce(u64),
        removed: &mut Removed,
    ) {
        let most = charge.max(self.capacity.total() / 2);
        let mut held = self.exclusive();
        held.remove(key, removed);
        while held.charge + charge > most {
            held.remove_oldest(removed);
        }
        resize(self.capacity.beside(held.charge + charge));
        held.charge += charge;
        held.entries.push(HeldEntry {
            key: key.clone(),
            entry,
            charge,
            last_use: self.uses.fetch_add(1, Ordering::Relaxed).into(),
            turnover: self.turnover.load(Ordering::Relaxed).into(),
        });
        self.count.store(held.entries.len(), Ordering::Release);
    }

    /// An entry of this charge is about to be put into the map, in place of one that is here, if there is one. Makes room
    /// if the map has become too small for it; and what nobody has used while the map's contents were replaced once goes.
    pub(crate) fn make_room(
        &self,
        key: &CacheKey,
        charge: u64,
        resize: impl FnOnce(u64),
        removed: &mut Removed,
    ) {
        if self.count() == 0 {
            return;
        }
        let total = self.capacity.total();
        let turnover = self.turnover.fetch_add(charge, Ordering::Relaxed) + charge;
        let too_small = |held: &Held| charge > self.capacity.kept_by(self.capacity.beside(held.charge));
        let unused = |held: &Held| {
            let oldest = held.oldest().and_then(|index| held.entries.get(index));
            oldest.is_some_and(|oldest| {
                turnover - oldest.turnover.load(Ordering::Relaxed).min(turnover) > total
            })
        };
        {
            let held = self.shared();
            let here = held.entries.iter().any(|held| held.key == *key);
            if !here && !too_small(&held) && !unused(&held) {
                return;
            }
        }
        let mut held = self.exclusive();
        held.remove(key, removed);
        while !held.entries.is_empty() && (too_small(&held) || unused(&held)) {
            held.remove_oldest(removed);
        }
        resize(self.capacity.beside(held.charge));
        self.count.store(held.entries.len(), Ordering::Release);
    }

    /// Removes the entry if it is like this.
    pub(crate) fn remove_if(
        &self,
        key: &CacheKey,
        condition: impl Fn(&Entry) -> bool,
        resize: impl FnOnce(u64),
        removed: &mut Removed,
    ) -> bool {
        if self.count() == 0 || !self.peek(key).is_some_and(|entry| condition(&entry)) {
            return false;
        }
        let mut held = self.exclusive();
        // Looked at again: only now nobody else can change it.
        let found = held
            .entries
            .iter()
            .any(|held| held.key == *key && condition(&held.entry));
        if found {
            held.remove(key, removed);
            resize(self.capacity.beside(held.charge));
            self.count.store(held.entries.len(), Ordering::Release);
        }
        found
    }

    /// Removes everything.
    pub(crate) fn clear(&self, resize: impl FnOnce(u64), removed: &mut Removed) {
        if self.count() == 0 {
            return;
        }
        let mut held = self.exclusive();
        let all = std::mem::take(&mut *held);
        removed.extend(all.entries.into_iter().map(|held| (held.key, held.entry)));
        resize(self.capacity.beside(0));
        self.count.store(0, Ordering::Release);
    }

    fn shared(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn oldest(&self) -> Option<usize> {
        let ages = self.entries.iter().enumerate();
        ages.min_by_key(|(_, held)| held.last_use.load(Ordering::Relaxed))
            .map(|(index, _)| index)
    }

    fn remove_oldest(&mut self, removed: &mut Removed) {
        match self.oldest() {
            Some(index) => self.remove_at(index, removed),
            // Nothing is left that could be charged.
            None => self.charge = 0,
        }
    }

    fn remove(&mut self, key: &CacheKey, removed: &mut Removed) {
        if let Some(index) = self.entries.iter().position(|held| held.key == *key) {
            self.remove_at(index, removed);
        }
    }

    fn remove_at(&mut self, index: usize, removed: &mut Removed) {
        let gone = self.entries.swap_remove(index);
        self.charge -= gone.charge;
        removed.push((gone.key, gone.entry));
    }
}
