//! The buyers at one node: they ask, and every value they are shown goes before the judge.
//!
//! They ask in slices with pauses between them, so that bookings and events are not kept waiting for the processor.
//! They book nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Clock, Moment};
use edge_cache::Tier;
use marketplace::{Answer, Gpu, MarketError, Marketplace, Read};
use rand::rngs::SmallRng;

use super::content::Sighting;
use super::fleet::TIMING;
use super::queries::{Catalogue, Query, SHOWN};
use super::spans::Spans;
use super::truth::{Truth, Verdict};

/// How long a buyer asks without a pause: shorter than the timer's grain, long enough for some tens of answers.
pub const SLICE: Duration = Duration::from_micros(250);

/// One answer in this many has its statuses kept for the second judge.
const SIGHTED: u64 = 32;
/// Statuses one buyer keeps at most: some megabytes for all of them together.
const SIGHTINGS: usize = 8_000;

/// What one buyer needs.
pub struct Buyer {
    /// The node asked.
    pub market: Marketplace,
    /// What to ask.
    pub catalogue: Arc<Catalogue>,
    /// What to ask next.
    pub rng: SmallRng,
    /// Who judges.
    pub truth: Arc<Truth>,
    /// The clock of the run.
    pub clock: cache_core::SystemClock,
    /// How long to pause after each slice.
    pub pause: Duration,
    /// What everybody may know while the run goes on.
    pub live: Arc<Live>,
}

/// Figures for the progress bar.
#[derive(Debug, Default)]
pub struct Live {
    /// Queries answered.
    pub answered: AtomicU64,
    /// Values found to be staler than the bound, or made up.
    pub violations: AtomicU64,
}

/// What the buyers saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Time to answer, of those that memory answered alone.
    pub from_memory: Spans,
    /// Of those for which the shared store had to answer something.
    pub from_shared: Spans,
    /// Of all, those included for which a record had to answer.
    pub all: Spans,
    /// Queries without an answer.
    pub failed: u64,
    /// Values by the tier they came from: memory, shared store, systems of record.
    pub values: [u64; 3],
    /// Values whose version was judged.
    pub judged: u64,
    /// Values that were never stored and have no version.
    pub unversioned: u64,
    /// Values staler than the bound, or made up.
    pub violations: u64,
    /// The most that a value was behind.
    pub stalest: Duration,
    /// Statuses for the second judge.
    pub sightings: Vec<Sighting>,
}

impl Buyer {
    /// Asks until `stop`.
    pub async fn ask(mut self, stop: impl Future<Output = ()>) -> Seen {
        let mut seen = Seen::default();
        let mut stop = std::pin::pin!(stop);
        loop {
            let slice = self.clock.now() + SLICE;
            while self.clock.now() < slice {
                tokio::select! {
                    biased;
                    () = &mut stop => return seen,
                    () = self.ask_once(&mut seen) => {}
                }
            }
            tokio::select! {
                biased;
                () = &mut stop => return seen,
                () = tokio::time::sleep(self.pause) => {}
            }
        }
    }

    async fn ask_once(&mut self, seen: &mut Seen) {
        let catalogue = Arc::clone(&self.catalogue);
        let Some(query) = catalogue.draw(&mut self.rng) else {
            return tokio::task::yield_now().await;
        };
        let began = self.clock.now();
        let shown = show(&self.market, query).await;
        let ended = self.clock.now();
        match shown {
            Ok(shown) => self.judge(&shown, began, ended, seen),
            Err(_) => seen.failed += 1,
        }
    }

    fn judge(&self, shown: &Shown, began: Moment, ended: Moment, seen: &mut Seen) {
        let took = ended.since(began);
        seen.all.record(took);
        match shown.tier {
            Tier::L1 => seen.from_memory.record(took),
            Tier::L2 => seen.from_shared.record(took),
            Tier::Source => {}
        }
        self.live.answered.fetch_add(1, Ordering::Relaxed);
        for read in &shown.reads {
            seen.values[read.tier as usize] += 1;
            self.judge_read(read, began, seen);
        }
        let sighted = !shown.gpus.is_empty() && seen.all.count().is_multiple_of(SIGHTED);
        if sighted && seen.sightings.len() < SIGHTINGS {
            let sighting = |gpu: &Gpu| Sighting {
                gpu: gpu.id.clone(),
                status: gpu.status,
                began,
                ended,
            };
            seen.sightings.extend(shown.gpus.iter().map(sighting));
        }
    }

    fn judge_read(&self, read: &Read, began: Moment, seen: &mut Seen) {
        let verdict = self.truth.judge(&read.key, read.version, began);
        match verdict {
            Verdict::Unversioned => seen.unversioned += 1,
            Verdict::Behind(_) | Verdict::Fabricated => seen.judged += 1,
        }
        if let Verdict::Behind(behind) = verdict {
            seen.stalest = seen.stalest.max(behind);
        }
        if verdict.breaks(TIMING.lease) {
            seen.violations += 1;
            self.live.violations.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Seen {
    /// Adds what another buyer saw.
    pub fn merge(&mut self, other: Self) {
        self.from_memory.merge(&other.from_memory);
        self.from_shared.merge(&other.from_shared);
        self.all.merge(&other.all);
        self.failed += other.failed;
        self.values
            .iter_mut()
            .zip(other.values)
            .for_each(|(sum, more)| *sum += more);
        self.judged += other.judged;
        self.unversioned += other.unversioned;
        self.violations += other.violations;
        self.stalest = self.stalest.max(other.stalest);
        self.sightings.extend(other.sightings);
    }
}

/// An answer, without what is not judged.
struct Shown {
    tier: Tier,
    reads: Vec<Read>,
    gpus: Vec<Gpu>,
}

async fn show(market: &Marketplace, query: &Query) -> Result<Shown, MarketError> {
    Ok(match query {
        Query::Availability(query) => Shown::gpus(market.gpu_availability(query).await?),
        Query::Pricing(shelf) => Shown::other(market.gpu_pricing(shelf).await?),
        Query::Book(shelf) => Shown::other(market.order_book(shelf).await?),
        Query::Statistics(region) => Shown::other(market.market_stats(region.as_ref()).await?),
        Query::Provider(id) => Shown::other(market.provider_status(id).await?),
        Query::TopPerforming(filter) => Shown::gpus(market.top_performing_gpus(SHOWN, filter.clone()).await?),
        Query::Cheapest(filter) => Shown::gpus(market.cheapest_gpus(SHOWN, filter.clone()).await?),
        Query::Search(filter) => Shown::gpus(market.search_gpus(filter.clone(), SHOWN).await?),
        Query::Gpu(id) => Shown::gpus(market.gpu(id).await?.map(|gpu| gpu.into_iter().collect())),
    })
}

impl Shown {
    fn gpus(answer: Answer<Vec<Gpu>>) -> Self {
        Self {
            tier: answer.tier,
            reads: answer.reads,
            gpus: answer.value,
        }
    }

    fn other<T>(answer: Answer<T>) -> Self {
        Self {
            tier: answer.tier,
            reads: answer.reads,
            gpus: Vec::new(),
        }
    }
}
