//! When the barriers of one kind were raised: the newest ones one by one, and a floor for all others.
//!
//! It decides nothing about values; what it forgets, it forgets upwards.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use cache_core::{BARRIERS_KEPT, CacheKey, Seq};

use crate::expiring::KeyHasher;

/// The barriers of one kind in one lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct BarrierTable {
    /// What is not in the table counts as raised here.
    floor: Seq,
    raised: HashMap<CacheKey, Seq, BuildHasherDefault<KeyHasher>>,
    oldest: BTreeSet<(Seq, CacheKey)>,
    weight: u64,
}

/// What one raise replaced.
#[derive(Debug)]
pub(crate) struct Raised {
    key: CacheKey,
    seq: Seq,
    before: Option<Seq>,
    dropped: Option<(Seq, CacheKey)>,
    floor: Seq,
}

impl BarrierTable {
    /// A table that knows nothing of what was raised up to here.
    pub(crate) fn since(floor: Seq) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    /// When a barrier was raised, or may have been at most.
    pub(crate) fn raised_at(&self, key: &CacheKey) -> Seq {
        self.raised.get(key).copied().unwrap_or(self.floor)
    }

    /// Raises a barrier. The oldest one makes room, where there is none.
    pub(crate) fn raise(&mut self, key: CacheKey, seq: Seq) -> Raised {
        let mut raised = Raised {
            before: self.set(key.clone(), seq),
            key,
            seq,
            dropped: None,
            floor: self.floor,
        };
        if self.raised.len() > BARRIERS_KEPT
            && let Some((seq, key)) = self.oldest.first().cloned()
        {
            self.unset(&key);
            self.floor = seq;
            raised.dropped = Some((seq, key));
        }
        raised
    }

    /// Takes the newest raise back. A table that was made anew since then stays as it is, which is higher.
    pub(crate) fn take_back(&mut self, raised: Raised) {
        if self.floor >= raised.seq {
            return;
        }
        match raised.before {
            Some(before) => drop(self.set(raised.key, before)),
            None => drop(self.unset(&raised.key)),
        }
        if let Some((seq, key)) = raised.dropped {
            self.set(key, seq);
        }
        self.floor = raised.floor;
    }

    /// Bytes, roughly.
    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }

    fn set(&mut self, key: CacheKey, seq: Seq) -> Option<Seq> {
        let before = self.unset(&key);
        self.weight += weight_of(&key);
        self.oldest.insert((seq, key.clone()));
        self.raised.insert(key, seq);
        before
    }

    fn unset(&mut self, key: &CacheKey) -> Option<Seq> {
        let (key, seq) = self.raised.remove_entry(key)?;
        self.weight -= weight_of(&key);
        self.oldest.remove(&(seq, key));
        Some(seq)
    }
}

fn weight_of(key: &CacheKey) -> u64 {
    key.as_str().len() as u64 + ENTRY_OVERHEAD
}

/// What both indexes take for a barrier, roughly: two keys and two numbers.
const ENTRY_OVERHEAD: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> CacheKey {
        CacheKey::from_wire(name)
    }

    #[test]
    fn what_makes_room_counts_as_raised_at_the_newest_that_did() {
        let mut table = BarrierTable::since(Seq(1));
        for seq in 2..BARRIERS_KEPT as u64 + 4 {
            table.raise(key(&format!("tag-{seq}")), Seq(seq));
        }
        assert_eq!(table.raised.len(), BARRIERS_KEPT);
        for gone in ["tag-2", "tag-3", "never"] {
            assert_eq!(table.raised_at(&key(gone)), Seq(3), "{gone}");
        }
        assert_eq!(table.raised_at(&key("tag-4")), Seq(4));
    }

    #[test]
    fn a_barrier_that_is_raised_again_takes_no_more_room() {
        let mut table = BarrierTable::since(Seq(1));
        for seq in 2..100 {
            table.raise(key("tag"), Seq(seq));
        }
        assert_eq!((table.raised.len(), table.oldest.len()), (1, 1));
        assert_eq!(table.raised_at(&key("tag")), Seq(99));
        assert_eq!(table.raised_at(&key("other")), Seq(1));
    }

    #[test]
    fn a_raise_that_was_lost_leaves_the_table_as_it_was() {
        let mut table = BarrierTable::since(Seq(1));
        for seq in 2..BARRIERS_KEPT as u64 + 2 {
            table.raise(key(&format!("tag-{seq}")), Seq(seq));
        }
        let newest = BARRIERS_KEPT as u64 + 2;
        let again = table.raise(key("tag-7"), Seq(newest));
        let new = table.raise(key("new"), Seq(newest + 1));
        assert_eq!(
            table.raised_at(&key("tag-2")),
            Seq(2),
            "the oldest was dropped: its number is the floor"
        );
        table.take_back(new);
        table.take_back(again);
        assert_eq!(table.raised_at(&key("tag-7")), Seq(7));
        assert_eq!(table.raised_at(&key("new")), Seq(1));
        assert_eq!(
            (table.raised.len(), table.oldest.len()),
            (BARRIERS_KEPT, BARRIERS_KEPT)
        );
    }

    #[test]
    fn a_table_that_was_made_anew_is_not_lowered_by_a_raise_that_was_lost() {
        let mut table = BarrierTable::since(Seq(1));
        let raised = table.raise(key("tag"), Seq(5));
        table = BarrierTable::since(Seq(6));
        table.take_back(raised);
        assert_eq!(table.raised_at(&key("tag")), Seq(6));
    }
}
