//! The judge of every read: what was published when, and how far behind it a value was.
//!
//! It hears of publications as the embedded servers' witness, inside the shard's lock and at the instant of the effect; of
//! a real server's from the nodes' own requests, which are dated back to their sending. It hears of reads from whoever
//! made them. It knows nothing of leases, memory or events: a cache that cheats cannot cheat it.
//!
//! A read of version v is *behind* since the first publication of its key, the first flush of its shard, or the
//! adoption of a new history, that came after v. Failovers forget: what the servers lost was not published in the
//! history that stands, and counts as a publication no more. Barriers are not followed; the demonstration raises none.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use cache_core::{CacheKey, Head, Lane, Lineage, Moment, Op, Record, Seq, Shard, ShardCount, Version, Write};
use cache_memory::Witness;
use marketplace::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, HISTORICAL_DATA, MARKET_STATS, ORDER_BOOK, PROVIDER_STATUS, SHELF_LIST,
    SHELF_SECTION,
};

use super::announcements::Announcements;

/// What was published, by shard and key.
#[derive(Debug)]
pub struct Truth {
    count: ShardCount,
    shards: Vec<RwLock<History>>,
    announcements: Announcements,
}

/// What a read is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something newer had been published this long before the read began; zero: nothing had.
    Behind(Duration),
    /// The value came from the systems of record and was never stored: it has no version to compare.
    Unversioned,
    /// The value claims a history that never was.
    Fabricated,
}

impl Verdict {
    /// Whether a promise was broken: nothing may be behind by more than `bound`.
    #[must_use]
    pub fn breaks(self, bound: Duration) -> bool {
        match self {
            Self::Behind(behind) => behind > bound,
            Self::Unversioned => false,
            Self::Fabricated => true,
        }
    }
}

/// One shard's publications.
#[derive(Debug, Default)]
struct History {
    /// In order; each ends when the next begins.
    lineages: Vec<(Lineage, Moment)>,
    /// Asked for and not yet answered: one of them may stand already.
    candidates: Vec<Lineage>,
    flushes: Vec<Publication>,
    keys: HashMap<CacheKey, Vec<Publication>>,
}

#[derive(Debug, Clone, Copy)]
struct Publication {
    /// Index of its lineage, then its number: ordered like this, later ones are newer.
    version: (usize, Seq),
    at: Moment,
}

impl Truth {
    /// Nothing was published yet.
    #[must_use]
    pub fn new(count: ShardCount) -> Self {
        let shards = Lane::ALL
            .into_iter()
            .flat_map(|lane| count.all(lane))
            .map(|_| RwLock::default())
            .collect();
        Self {
            count,
            shards,
            announcements: Announcements::default(),
        }
    }

    /// Judges a read of `key` that began at `began` and returned `version`.
    #[must_use]
    pub fn judge(&self, key: &CacheKey, version: Version, began: Moment) -> Verdict {
        if version == Version::default() {
            return Verdict::Unversioned;
        }
        let history = self.read(self.count.of(lane(key), key));
        let Some(lineage) = history
            .lineages
            .iter()
            .rposition(|(known, _)| *known == version.lineage)
        else {
            return match history.candidates.contains(&version.lineage) {
                true => Verdict::Behind(Duration::ZERO),
                false => Verdict::Fabricated,
            };
        };
        let read = (lineage, version.seq);
        let of_key = history
            .keys
            .get(key)
            .and_then(|publications| after(publications, read));
        let of_shard = after(&history.flushes, read);
        let adopted = history.lineages.get(lineage + 1).map(|(_, at)| *at);
        let newer = [of_key, of_shard, adopted].into_iter().flatten().min();
        Verdict::Behind(newer.map_or(Duration::ZERO, |newer| began.since(newer)))
    }

    /// When this version of a key was published, if it was.
    #[must_use]
    pub fn publication_of(&self, key: &CacheKey, seq: Seq) -> Option<Moment> {
        let history = self.read(self.count.of(lane(key), key));
        let publications = history.keys.get(key)?;
        publications
            .iter()
            .rev()
            .find(|publication| publication.version.1 == seq)
            .map(|publication| publication.at)
    }

    /// The events that were announced.
    #[must_use]
    pub fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// A node asks for a new history: others may read of it before the answer is heard here.
    pub fn candidate(&self, shard: Shard, lineage: Lineage) {
        self.write(shard).candidates.push(lineage);
    }

    fn read(&self, shard: Shard) -> RwLockReadGuard<'_, History> {
        self.shards[place(shard, self.count)]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: Shard) -> RwLockWriteGuard<'_, History> {
        self.shards[place(shard, self.count)]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Truth {
    fn published(&self, write: &Write, head: &Head, at: Moment) {
        match &write.op {
            Op::Change(changes) => {
                let mut history = self.write(write.shard);
                let publication = history.publication(head, at);
                for change in changes {
                    insert(history.keys.entry(change.key.clone()).or_default(), publication);
                }
            }
            Op::Flush => {
                let mut history = self.write(write.shard);
                let publication = history.publication(head, at);
                insert(&mut history.flushes, publication);
            }
            Op::Announce(event) => self.announcements.made(event, at),
            Op::Raise(_) => {}
        }
    }

    /// A fill publishes nothing.
    fn filled(&self, _shard: Shard, _key: &CacheKey, _record: &Record, _at: Moment) {}

    fn adopted(&self, shard: Shard, head: &Head, at: Moment) {
        let mut history = self.write(shard);
        // An event of the new history may have been heard of first.
        if history
            .lineages
            .last()
            .is_none_or(|(lineage, _)| *lineage != head.lineage)
        {
            history.lineages.push((head.lineage, at));
        }
    }

    fn lost(&self, shard: Shard, from: Seq, _at: Moment) {
        let mut history = self.write(shard);
        let forgotten = (history.lineages.len().saturating_sub(1), from);
        let keep = |publication: &Publication| publication.version < forgotten;
        history.flushes.retain(keep);
        history
            .keys
            .values_mut()
            .for_each(|publications| publications.retain(keep));
    }
}

impl History {
    /// A step of the history that stands. The first adoption may have come before this witness was told of it.
    fn publication(&mut self, head: &Head, at: Moment) -> Publication {
        if self
            .lineages
            .last()
            .is_none_or(|(lineage, _)| *lineage != head.lineage)
        {
            self.lineages.push((head.lineage, at));
        }
        Publication {
            version: (self.lineages.len() - 1, head.seq),
            at,
        }
    }
}

/// Keeps the order of versions: answers of different nodes are heard in any order.
fn insert(publications: &mut Vec<Publication>, publication: Publication) {
    let place = publications.partition_point(|known| known.version <= publication.version);
    publications.insert(place, publication);
}

/// The first publication after a version.
fn after(publications: &[Publication], version: (usize, Seq)) -> Option<Moment> {
    let newer = publications.partition_point(|publication| publication.version <= version);
    publications.get(newer).map(|publication| publication.at)
}

fn place(shard: Shard, count: ShardCount) -> usize {
    shard.lane().index() * count.places() + shard.index()
}

/// The lane that orders a key's changes.
fn lane(key: &CacheKey) -> Lane {
    let name = key.namespace();
    LANES
        .iter()
        .find(|(namespace, _)| *namespace == name)
        .map_or(Lane::Bulk, |(_, lane)| *lane)
}

const LANES: [(&str, Lane); 8] = [
    (GPU_AVAILABILITY.name(), GPU_AVAILABILITY.policy().lane),
    (GPU_PRICING.name(), GPU_PRICING.policy().lane),
    (SHELF_SECTION.name(), SHELF_SECTION.policy().lane),
    (ORDER_BOOK.name(), ORDER_BOOK.policy().lane),
    (PROVIDER_STATUS.name(), PROVIDER_STATUS.policy().lane),
    (MARKET_STATS.name(), MARKET_STATS.policy().lane),
    (HISTORICAL_DATA.name(), HISTORICAL_DATA.policy().lane),
    (SHELF_LIST.name(), SHELF_LIST.policy().lane),
];

#[cfg(test)]
mod tests;
