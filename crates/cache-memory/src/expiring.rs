//! A map whose entries end: what has ended is absent at once and swept out little by little.
//!
//! It keeps no time of its own and never sweeps more than it is told to: no call takes long.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use cache_core::{CacheKey, Record, ServerTime};

/// What an [`Expiring`] map can hold.
pub(crate) trait Ending {
    /// When it ends.
    fn ends(&self) -> ServerTime;

    /// Bytes it takes, beside its key.
    fn weight(&self) -> u64;
}

impl Ending for Record {
    fn ends(&self) -> ServerTime {
        self.expires
    }

    fn weight(&self) -> u64 {
        self.body.len() as u64 + ENTRY_OVERHEAD
    }
}

/// Entries by key, with an exact index of their ends.
///
/// The index costs a tree insertion for each write. A heap of ends would be cheaper, but would keep one entry for
/// every write to a hot key until that write's own time is over.
#[derive(Clone, Debug)]
pub(crate) struct Expiring<V> {
    entries: HashMap<CacheKey, V, BuildHasherDefault<KeyHasher>>,
    ends: BTreeSet<(ServerTime, CacheKey)>,
    weight: u64,
}

impl<V: Ending> Expiring<V> {
    /// The entry, unless it has ended.
    pub(crate) fn find(&self, key: &CacheKey, now: ServerTime) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.ends() > now)
    }

    /// Puts an entry in the place of the one before, which is returned even when it has ended.
    pub(crate) fn insert(&mut self, key: CacheKey, entry: V) -> Option<V> {
        let before = self.remove(&key);
        self.weight += weight_of(&key, &entry);
        self.ends.insert((entry.ends(), key.clone()));
        self.entries.insert(key, entry);
        before
    }

    /// Takes an entry out, even when it has ended.
    pub(crate) fn remove(&mut self, key: &CacheKey) -> Option<V> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.weight -= weight_of(&key, &entry);
        self.ends.remove(&(entry.ends(), key));
        Some(entry)
    }

    /// Takes out up to `limit` entries that have ended, the oldest first.
    pub(crate) fn sweep(&mut self, now: ServerTime, limit: usize) {
        for _ in 0..limit {
            match self.ends.first() {
                Some((ends, key)) if *ends <= now => {
                    let key = key.clone();
                    self.remove(&key);
                }
                _ => return,
            }
        }
    }

    /// Keeps only what passes.
    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let doomed: Vec<CacheKey> = self
            .entries
            .iter()
            .filter(|(_, entry)| !keep(entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &doomed {
            self.remove(key);
        }
    }

    /// The keys of all entries, in order; those that have ended but were not swept yet included.
    pub(crate) fn keys(&self) -> Vec<CacheKey> {
        let mut keys: Vec<CacheKey> = self.entries.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Bytes of all entries, those that have ended but were not swept yet included.
    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }
}

impl<V> Default for Expiring<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            ends: BTreeSet::new(),
            weight: 0,
        }
    }
}

fn weight_of(key: &CacheKey, entry: &impl Ending) -> u64 {
    key.as_str().len() as u64 + entry.weight()
}

/// What the two indexes take for an entry, roughly: two keys, a version, an expiry, a pointer with its counts.
const ENTRY_OVERHEAD: u64 = 120;

/// Takes over the hash that every key carries, so that no run depends on a random state.
///
/// Turned by half a word, since the low bits chose the shard and are the same for all keys of one map.
#[derive(Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::Seq;

    #[test]
    fn what_has_ended_is_absent_before_it_is_swept() {
        let mut map = Expiring::default();
        map.insert(key("a"), record(10));
        assert!(map.find(&key("a"), ServerTime(9)).is_some());
        assert!(map.find(&key("a"), ServerTime(10)).is_none());
        assert!(map.weight() > 0);
    }

    #[test]
    fn a_sweep_takes_only_what_has_ended_and_no_more_than_told() {
        let mut map = Expiring::default();
        for (name, ends) in [("a", 1), ("b", 2), ("c", 3), ("d", 9)] {
            map.insert(key(name), record(ends));
        }
        map.sweep(ServerTime(5), 2);
        assert_eq!(map.entries.len(), 2);
        map.sweep(ServerTime(5), 100);
        assert_eq!(map.entries.len(), 1);
        assert!(map.find(&key("d"), ServerTime(5)).is_some());
    }

    #[test]
    fn a_hot_key_is_indexed_once_and_its_weight_counted_once() {
        let mut map = Expiring::default();
        map.insert(key("a"), record(1));
        let once = map.weight();
        for ends in 2..100 {
            map.insert(key("a"), record(ends));
        }
        assert_eq!((map.ends.len(), map.weight()), (1, once));
        map.remove(&key("a"));
        assert_eq!((map.ends.len(), map.weight()), (0, 0));
    }

    fn key(name: &str) -> CacheKey {
        CacheKey::from_wire(name)
    }

    fn record(ends: u64) -> Record {
        Record {
            version: Seq(1),
            expires: ServerTime(ends),
            body: [1, 2, 3].into(),
        }
    }
}
