//! What a node still owes the shared store: invalidations that could not be published yet.
//!
//! Pure and bounded. Too much collapses to "the whole shard is dirty": overload becomes a larger invalidation, never
//! silence. While something is owed, this node does not trust the store or its own memory for it.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::{Barrier, CacheKey, Shard};

/// Keys owed by one node before a shard collapses.
pub const OUTBOX_KEYS: usize = 10_000;
/// Bytes of keys owed by one node before a shard collapses.
pub const OUTBOX_BYTES: usize = 8 << 20;

/// One piece of work for the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Debt {
    /// Delete these keys of the shard.
    Keys(Shard, Vec<(CacheKey, u64)>),
    /// Flush the shard.
    Shard(Shard, u64),
    /// Raise the barrier in the shard.
    Barrier(Shard, Barrier, u64),
}

/// Since when something is owed, and since when again: by tickets, which count up.
#[derive(Clone, Copy, Debug)]
struct Owed {
    first: u64,
    latest: u64,
}

/// The debts of one node. Each carries a ticket; a debt that was renewed while it was being paid stays.
///
/// ```
/// use cache_core::{Lane, Namespace, Policy};
/// use event_bus::Outbox;
/// # use std::time::Duration;
/// const N: Namespace<u32> = Namespace::new("n", Policy::event_driven(Duration::from_secs(1)));
/// let mut outbox = Outbox::default();
/// let key = N.key(&[("id", &1)]);
/// let shard = key.shard(cache_core::ShardCount::DEFAULT);
/// outbox.owe_key(shard, key.raw().clone());
/// assert!(outbox.owes(shard, key.raw()));
/// let debt = outbox.next(16).expect("something is owed");
/// outbox.paid(&debt);
/// assert!(outbox.is_empty());
/// ```
#[derive(Debug)]
pub struct Outbox {
    most_keys: usize,
    most_bytes: usize,
    keys: BTreeMap<Shard, BTreeMap<CacheKey, Owed>>,
    shards: BTreeMap<Shard, Owed>,
    barriers: BTreeMap<(Shard, Barrier), Owed>,
    count: usize,
    bytes: usize,
    tickets: u64,
    collapses: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::bounded(OUTBOX_KEYS, OUTBOX_BYTES)
    }
}

impl Outbox {
    /// An outbox that collapses beyond this many keys, or bytes of keys; and beyond that many barriers.
    pub const fn bounded(keys: usize, bytes: usize) -> Self {
        Self {
            most_keys: keys,
            most_bytes: bytes,
            keys: BTreeMap::new(),
            shards: BTreeMap::new(),
            barriers: BTreeMap::new(),
            count: 0,
            bytes: 0,
            tickets: 0,
            collapses: 0,
        }
    }

    /// Owes the invalidation of a key.
    pub fn owe_key(&mut self, shard: Shard, key: CacheKey) {
        if self.shards.contains_key(&shard) {
            return self.owe_shard(shard);
        }
        let size = key.as_str().len();
        let latest = self.ticket();
        let keys = self.keys.entry(shard).or_default();
        let first = keys.get(&key).map_or(latest, |owed| owed.first);
        if keys.insert(key, Owed { first, latest }).is_none() {
            self.count += 1;
            self.bytes += size;
        }
        if self.count > self.most_keys || self.bytes > self.most_bytes {
            self.collapse();
        }
    }

    /// Owes the flush of a whole shard.
    pub fn owe_shard(&mut self, shard: Shard) {
        let latest = self.ticket();
        let keys = self.keys.get(&shard).into_iter().flat_map(BTreeMap::values);
        let first = keys.chain(self.shards.get(&shard)).map(|owed| owed.first).min();
        self.forget_keys(shard);
        let first = first.unwrap_or(latest);
        self.shards.insert(shard, Owed { first, latest });
    }

    /// Owes a barrier.
    pub fn owe_barrier(&mut self, shard: Shard, barrier: Barrier) {
        let latest = self.ticket();
        let owed = (shard, barrier);
        let first = self.barriers.get(&owed).map_or(latest, |owed| owed.first);
        self.barriers.insert(owed, Owed { first, latest });
        // Barriers are few; a flood of them collapses into one that covers the lane.
        if self.barriers.len() > self.most_keys {
            self.collapses += 1;
            let lanes: BTreeSet<Shard> = std::mem::take(&mut self.barriers)
                .into_keys()
                .map(|(shard, _)| shard)
                .collect();
            for shard in lanes {
                let latest = self.ticket();
                self.barriers
                    .insert((shard, Barrier::Everything), Owed { first: 0, latest });
            }
        }
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.shards.is_empty() && self.barriers.is_empty()
    }

    /// Things owed: keys, shards and barriers together.
    pub fn len(&self) -> usize {
        self.count + self.shards.len() + self.barriers.len()
    }

    /// Times that keys collapsed into a larger debt.
    pub const fn collapses(&self) -> u64 {
        self.collapses
    }

    /// Whether the key, or its shard, is owed.
    pub fn owes(&self, shard: Shard, key: &CacheKey) -> bool {
        self.shards.contains_key(&shard) || self.keys.get(&shard).is_some_and(|keys| keys.contains_key(key))
    }

    /// Whether one of these barriers of the shard is owed.
    pub fn owes_barrier(&self, shard: Shard, barriers: &[CacheKey]) -> bool {
        self.barriers
            .keys()
            .any(|(owed, barrier)| *owed == shard && barriers.contains(&barrier.key()))
    }

    /// The ticket of the newest debt so far.
    pub const fn newest(&self) -> u64 {
        self.tickets
    }

    /// Whether a debt is still to be paid that was first owed up to this ticket, however often since, and whose payment would drop a value written now: one of the key,
    /// of its shard, or of one of these barriers of the lane's `barrier_shard`.
    pub fn owes_until(
        &self,
        ticket: u64,
        (shard, key): (Shard, &CacheKey),
        (barrier_shard, barriers): (Shard, &[CacheKey]),
    ) -> bool {
        let due = |owed: Option<&Owed>| owed.is_some_and(|owed| owed.first <= ticket);
        due(self.shards.get(&shard))
            || due(self.shards.get(&barrier_shard))
            || due(self.keys.get(&shard).and_then(|keys| keys.get(key)))
            || self.barriers.iter().any(|((at, barrier), owed)| {
                *at == barrier_shard && owed.first <= ticket && barriers.contains(&barrier.key())
            })
    }

    /// Whether anything is still to be paid that was first owed up to this ticket.
    pub fn owes_anything_until(&self, ticket: u64) -> bool {
        let mut keys = self.keys.values().flat_map(BTreeMap::values);
        let mut others = self.shards.values().chain(self.barriers.values());
        keys.any(|owed| owed.first <= ticket) || others.any(|owed| owed.first <= ticket)
    }

    /// The next debt to pay, critical lane first, at most `batch` keys at once. It stays owed until [`Outbox::paid`].
    pub fn next(&self, batch: usize) -> Option<Debt> {
        self.debts(batch).next()
    }

    /// Every debt, critical lane first, each of at most `batch` keys.
    pub fn debts(&self, batch: usize) -> impl Iterator<Item = Debt> {
        let shards = self
            .shards
            .iter()
            .map(|(shard, owed)| Debt::Shard(*shard, owed.latest));
        let barriers = self
            .barriers
            .iter()
            .map(|((shard, barrier), owed)| Debt::Barrier(*shard, barrier.clone(), owed.latest));
        let keys = self.keys.iter().flat_map(move |(shard, keys)| {
            let all: Vec<(CacheKey, u64)> = keys
                .iter()
                .map(|(key, owed)| (key.clone(), owed.latest))
                .collect();
            let batches: Vec<Debt> = all
                .chunks(batch.max(1))
                .map(|chunk| Debt::Keys(*shard, chunk.to_vec()))
                .collect();
            batches
        });
        let mut all: Vec<Debt> = shards.chain(barriers).chain(keys).collect();
        all.sort_by_key(|debt| debt.shard().lane());
        all.into_iter()
    }

    /// The debt was paid. What was owed again meanwhile stays owed.
    pub fn paid(&mut self, debt: &Debt) {
        match debt {
            Debt::Shard(shard, ticket) => {
                if self.shards.get(shard).is_some_and(|owed| owed.latest == *ticket) {
                    self.shards.remove(shard);
                }
            }
            Debt::Barrier(shard, barrier, ticket) => {
                let owed = (*shard, barrier.clone());
                if self
                    .barriers
                    .get(&owed)
                    .is_some_and(|owed| owed.latest == *ticket)
                {
                    self.barriers.remove(&owed);
                }
            }
            Debt::Keys(shard, keys) => {
                let Some(owed) = self.keys.get_mut(shard) else {
                    return;
                };
                for (key, ticket) in keys {
                    if owed.get(key).is_some_and(|owed| owed.latest == *ticket) {
                        owed.remove(key);
                        self.count -= 1;
                        self.bytes -= key.as_str().len();
                    }
                }
                if owed.is_empty() {
                    self.keys.remove(shard);
                }
            }
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn collapse(&mut self) {
        let largest = self
            .keys
            .iter()
            .max_by_key(|(_, keys)| keys.len())
            .map(|(shard, _)| *shard);
        if let Some(shard) = largest {
            self.collapses += 1;
            self.owe_shard(shard);
        }
    }

    fn forget_keys(&mut self, shard: Shard) {
        for key in self.keys.remove(&shard).unwrap_or_default().into_keys() {
            self.count -= 1;
            self.bytes -= key.as_str().len();
        }
    }
}

impl Debt {
    /// The shard it is owed to.
    pub const fn shard(&self) -> Shard {
        match self {
            Self::Keys(shard, _) | Self::Shard(shard, _) | Self::Barrier(shard, _, _) => *shard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::{Key, Lane, Namespace, Policy, ShardCount, Tag};
    use std::time::Duration;

    const N: Namespace<u32> = Namespace::new("n", Policy::event_driven(Duration::from_secs(1)));

    fn key(id: usize) -> Key<u32> {
        N.key(&[("id", &id)])
    }

    #[test]
    fn a_million_invalidations_stay_within_the_bound_and_none_is_forgotten() {
        let mut outbox = Outbox::default();
        for id in 0..1_000_000 {
            outbox.owe_key(key(id).shard(ShardCount::DEFAULT), key(id).raw().clone());
            assert!(outbox.len() <= OUTBOX_KEYS + 65);
        }
        assert!(outbox.collapses() > 0);
        for id in (0..1_000_000).step_by(997) {
            assert!(outbox.owes(key(id).shard(ShardCount::DEFAULT), key(id).raw()));
        }
    }

    #[test]
    fn the_latest_debt_of_a_key_counts_once_and_survives_the_payment_of_an_earlier_one() {
        let mut outbox = Outbox::default();
        outbox.owe_key(key(1).shard(ShardCount::DEFAULT), key(1).raw().clone());
        let earlier = outbox.next(10).expect("owed");
        outbox.owe_key(key(1).shard(ShardCount::DEFAULT), key(1).raw().clone());
        assert_eq!(outbox.len(), 1);
        outbox.paid(&earlier);
        assert!(outbox.owes(key(1).shard(ShardCount::DEFAULT), key(1).raw()));
        let later = outbox.next(10).expect("still owed");
        outbox.paid(&later);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_value_written_now_waits_for_older_debts_that_would_drop_it_and_for_no_others() {
        let (mut outbox, tag) = (Outbox::default(), Barrier::Tag(Tag::new("a")));
        let (mine, lane) = (key(1), Shard::barriers(Lane::Bulk));
        let waits = |outbox: &Outbox, ticket| {
            outbox.owes_until(
                ticket,
                (mine.shard(ShardCount::DEFAULT), mine.raw()),
                (lane, &[tag.key()]),
            )
        };
        outbox.owe_key(key(2).shard(ShardCount::DEFAULT), key(2).raw().clone());
        outbox.owe_barrier(lane, Barrier::Tag(Tag::new("b")));
        assert!(!waits(&outbox, outbox.newest()));
        outbox.owe_barrier(lane, tag.clone());
        let older = outbox.newest();
        assert!(waits(&outbox, older));
        assert!(!waits(&outbox, older - 1), "it came later than the write");
        outbox.owe_key(mine.shard(ShardCount::DEFAULT), mine.raw().clone());
        assert!(waits(&outbox, outbox.newest()));
    }

    #[test]
    fn a_debt_that_is_renewed_or_collapses_holds_a_value_up_as_long_as_it_did_before() {
        let mut outbox = Outbox::default();
        let (mine, lane) = (key(1), Shard::barriers(Lane::Bulk));
        let waits = |outbox: &Outbox, ticket| {
            outbox.owes_until(ticket, (mine.shard(ShardCount::DEFAULT), mine.raw()), (lane, &[]))
        };
        outbox.owe_key(mine.shard(ShardCount::DEFAULT), mine.raw().clone());
        let first = outbox.newest();
        outbox.owe_key(mine.shard(ShardCount::DEFAULT), mine.raw().clone());
        assert!(waits(&outbox, first), "renewed");
        outbox.owe_shard(mine.shard(ShardCount::DEFAULT));
        assert!(waits(&outbox, first), "collapsed");
        outbox.owe_shard(mine.shard(ShardCount::DEFAULT));
        assert!(waits(&outbox, first), "collapsed and renewed");
    }

    #[test]
    fn the_critical_lane_is_paid_first() {
        let mut outbox = Outbox::default();
        outbox.owe_barrier(Shard::barriers(Lane::Bulk), Barrier::Everything);
        outbox.owe_barrier(Shard::barriers(Lane::Critical), Barrier::Everything);
        assert_eq!(
            outbox.next(1).map(|debt| debt.shard().lane()),
            Some(Lane::Critical)
        );
    }
}
