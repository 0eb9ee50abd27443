//! Counters of what the cache did, cheap enough for the hit path.
//!
//! They count; ratios and alerts are for whoever reads them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::LocalUsage;
use event_bus::{SpotCheckTally, Tally};

/// Threads that count hits in a place of their own; the others share one more. A counter with one writer needs no locked
/// instruction, and a locked one would make every hit wait for the value before the next can begin.
const STRIPES: usize = 16;

/// What one namespace has seen since the start.
///
/// ```
/// let stats = edge_cache::NamespaceStats { l1_hits: 3, l1_misses: 1, ..Default::default() };
/// assert_eq!(stats.l1_hit_ratio(), Some(0.75));
/// assert_eq!(stats.l2_hit_ratio(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NamespaceStats {
    /// Reads answered from memory.
    pub l1_hits: u64,
    /// Reads that memory could not answer.
    pub l1_misses: u64,
    /// Times that the shared store had the value.
    pub l2_hits: u64,
    /// Times that it did not.
    pub l2_misses: u64,
    /// Times a loader was called.
    pub loads: u64,
    /// Times it failed, timed out or panicked.
    pub load_failures: u64,
    /// Reads that waited for another reader's fetch.
    pub joins: u64,
    /// Reads answered with a value that was stale on purpose.
    pub stale_served: u64,
    /// Memory hits served within their TTL while the shared store was away; counted in [`NamespaceStats::l1_hits`] as well.
    pub unproven: u64,
    /// Values returned without being kept, since they could not be stored safely.
    pub uncached: u64,
    /// Records that could not be used: damaged, or of another format or schema.
    pub unusable: u64,
    /// Of records of this release's format and this namespace's schema, those that could not be read: their codec cannot carry
    /// their type, or is not configured here, or they are damaged. Not zero means that somebody's type needs another codec.
    pub unreadable: u64,
    /// Values that were not kept in memory, since each is heavier than all that the namespace may hold.
    pub too_heavy: u64,
    /// Records that were dead by a barrier.
    pub barred: u64,
    /// Values written.
    pub puts: u64,
    /// Writes refused because of the expected version.
    pub conflicts: u64,
    /// Keys invalidated by this node.
    pub invalidations: u64,
    /// Entries dropped or replaced because of events.
    pub superseded: u64,
    /// What the namespace takes in memory, weighed and as encoded.
    pub memory: LocalUsage,
}

impl NamespaceStats {
    /// Share of reads answered from memory, 0 to 1; `None` before the first.
    pub fn l1_hit_ratio(&self) -> Option<f64> {
        ratio(self.l1_hits, self.l1_misses)
    }

    /// Share of look-ups in the shared store that found the value, 0 to 1; `None` before the first.
    pub fn l2_hit_ratio(&self) -> Option<f64> {
        ratio(self.l2_hits, self.l2_misses)
    }
}

fn ratio(hits: u64, misses: u64) -> Option<f64> {
    let all = hits + misses;
    (all > 0).then(|| hits as f64 / all as f64)
}

/// What the whole cache has seen since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// By namespace, in the order of registration.
    pub namespaces: Vec<(&'static str, NamespaceStats)>,
    /// What the followers of the critical and the bulk lane saw.
    pub events: [Tally; 2],
    /// Events published by this node.
    pub published: u64,
    /// Invalidations that the shared store has not taken yet.
    pub owed: usize,
    /// Times that owed keys collapsed into the flush of a shard.
    pub collapses: u64,
    /// What became of the memory hits that were compared with the log afterwards.
    pub spot_checks: SpotCheckTally,
    /// How old this node's view is, at most, where a node writes canaries
    /// ([`EdgeCacheBuilder::canaries`](crate::EdgeCacheBuilder::canaries)): the time since the last one was applied here, of the
    /// shard where that is longest. `None` while none has come.
    pub canary_age: Option<Duration>,
}

impl Stats {
    /// All namespaces together; memory as well.
    pub fn total(&self) -> NamespaceStats {
        let mut sum = NamespaceStats::default();
        for (_, one) in &self.namespaces {
            sum.l1_hits += one.l1_hits;
            sum.l1_misses += one.l1_misses;
            sum.l2_hits += one.l2_hits;
            sum.l2_misses += one.l2_misses;
            sum.loads += one.loads;
            sum.load_failures += one.load_failures;
            sum.joins += one.joins;
            sum.stale_served += one.stale_served;
            sum.unproven += one.unproven;
            sum.uncached += one.uncached;
            sum.unusable += one.unusable;
            sum.unreadable += one.unreadable;
            sum.too_heavy += one.too_heavy;
            sum.barred += one.barred;
            sum.puts += one.puts;
            sum.conflicts += one.conflicts;
            sum.invalidations += one.invalidations;
            sum.superseded += one.superseded;
            sum.memory.entries += one.memory.entries;
            sum.memory.bytes += one.memory.bytes;
            sum.memory.encoded_bytes += one.memory.encoded_bytes;
            sum.memory.in_flight += one.memory.in_flight;
        }
        sum
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    L1Miss,
    L2Hit,
    L2Miss,
    Load,
    LoadFailure,
    Join,
    StaleServed,
    Unproven,
    Uncached,
    Unusable,
    Unreadable,
    TooHeavy,
    Barred,
    Put,
    Conflict,
    Invalidation,
    Superseded,
}

const COUNTS: usize = Count::Superseded as usize + 1;

#[repr(align(128))]
#[derive(Debug, Default)]
struct Stripe(AtomicU64);

/// The counters of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: [Stripe; STRIPES + 1],
    others: [AtomicU64; COUNTS],
}

impl Counters {
    /// Counts a hit; returns how many this place had counted before.
    #[inline]
    pub(crate) fn l1_hit(&self) -> u64 {
        // A thread that is ending counts with the others.
        let mine = STRIPE.try_with(|stripe| stripe.0).unwrap_or(STRIPES);
        let count = &self.hits[mine.min(STRIPES)].0;
        if mine < STRIPES {
            let before = count.load(Ordering::Relaxed);
            count.store(before + 1, Ordering::Relaxed);
            before
        } else {
            count.fetch_add(1, Ordering::Relaxed)
        }
    }

    pub(crate) fn add(&self, count: Count) {
        self.others[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, memory: LocalUsage) -> NamespaceStats {
        let of = |count: Count| self.others[count as usize].load(Ordering::Relaxed);
        NamespaceStats {
            l1_hits: self
                .hits
                .iter()
                .map(|stripe| stripe.0.load(Ordering::Relaxed))
                .sum(),
            l1_misses: of(Count::L1Miss),
            l2_hits: of(Count::L2Hit),
            l2_misses: of(Count::L2Miss),
            loads: of(Count::Load),
            load_failures: of(Count::LoadFailure),
            joins: of(Count::Join),
            stale_served: of(Count::StaleServed),
            unproven: of(Count::Unproven),
            uncached: of(Count::Uncached),
            unusable: of(Count::Unusable),
            unreadable: of(Count::Unreadable),
            too_heavy: of(Count::TooHeavy),
            barred: of(Count::Barred),
            puts: of(Count::Put),
            conflicts: of(Count::Conflict),
            invalidations: of(Count::Invalidation),
            superseded: of(Count::Superseded),
            memory,
        }
    }
}

thread_local! {
    static STRIPE: OwnStripe = OwnStripe::take();
}

/// Which stripes belong to no living thread, a bit each.
static FREE: AtomicU32 = AtomicU32::new((1 << STRIPES) - 1);

/// The stripe of one thread, given back when the thread ends.
struct OwnStripe(usize);

impl OwnStripe {
    fn take() -> Self {
        let taken = FREE.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            (free != 0).then(|| free & (free - 1))
        });
        Self(taken.map_or(STRIPES, |free| free.trailing_zeros() as usize))
    }
}

impl Drop for OwnStripe {
    fn drop(&mut self) {
        if self.0 < STRIPES {
            FREE.fetch_or(1 << self.0, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hit_is_counted_however_many_threads_there_are_and_whoever_had_their_stripes() {
        let counters = Counters::default();
        for _generation in 0..3 {
            let all_at_once = std::sync::Barrier::new(STRIPES * 2);
            std::thread::scope(|scope| {
                for _thread in 0..STRIPES * 2 {
                    scope.spawn(|| {
                        all_at_once.wait();
                        (0..1_000).for_each(|_| _ = counters.l1_hit());
                    });
                }
            });
        }
        let hits = counters.snapshot(LocalUsage::default()).l1_hits;
        assert_eq!(hits, 3 * 1_000 * STRIPES as u64 * 2);
    }
}
