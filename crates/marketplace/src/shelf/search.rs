//! The best GPUs of the market, found by opening as few pages as the price sheets allow.
//!
//! It fetches nothing: it names the next page worth opening, and whoever can wait for it hands it in.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::{Bounds, GpuPage, PageKey, PageSummary, PriceSheet};
use crate::{Cores, Gpu, GpuModel, GpuStatus, MemoryMib, Money, Multiplier, PerformanceScore, Region};

/// What a GPU must have to be found. The default asks only that it be available.
///
/// ```
/// use marketplace::{MemoryMib, SearchFilter};
/// let filter = SearchFilter { min_memory: Some(MemoryMib(40_000)), ..SearchFilter::default() };
/// assert_eq!(filter.max_price, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SearchFilter {
    /// At least this much memory.
    pub min_memory: Option<MemoryMib>,
    /// At least this many cores.
    pub min_cores: Option<Cores>,
    /// A current price of at most this per hour, in the same currency.
    pub max_price: Option<Money>,
    /// Only this region.
    pub region: Option<Region>,
    /// Only this model.
    pub model: Option<GpuModel>,
    /// Whether it must be bookable now.
    pub availability: Availability,
}

/// Whether GPUs that cannot be booked now are found too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Availability {
    /// Only those that can be booked now: the default, because most who search want to book.
    #[default]
    Available,
    /// All, whatever their status.
    Any,
}

/// Which GPU is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ranking {
    /// The one with the lower current price, then the higher score.
    Cheapest,
    /// The one with the higher score, then the lower current price.
    TopPerforming,
}

/// A search under way: ask for the [`next_page`](Self::next_page), [`take`](Self::take) it, until there is none;
/// then [`finish`](Self::finish). Equal GPUs rank in the order of their shelf.
///
/// ```
/// use marketplace::{GpuPage, PageKey, PriceSheet, Ranking, Search, SearchFilter, Gpu};
/// fn ten_cheapest(sheets: &[PriceSheet], open: impl Fn(&PageKey) -> Option<GpuPage>) -> Vec<Gpu> {
///     let mut search = Search::new(SearchFilter::default(), Ranking::Cheapest, 10, sheets);
///     while let Some(key) = search.next_page() {
///         if let Some(page) = open(&key) {
///             search.take(&page);
///         }
///     }
///     search.finish()
/// }
/// assert!(ten_cheapest(&[], |_| None).is_empty());
/// ```
#[derive(Debug)]
pub struct Search {
    filter: SearchFilter,
    ranking: Ranking,
    limit: usize,
    /// Pages that may hold a hit, the most promising last.
    plan: Vec<Planned>,
    opened: Option<Planned>,
    turn: usize,
    /// The best hits so far, the worst of them on top.
    hits: BinaryHeap<Hit>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    bound: Rank,
    key: PageKey,
    multiplier: Multiplier,
}

/// Lower is better.
type Rank = (i64, i64);

#[derive(Debug)]
struct Hit {
    /// Rank, then the turn of its page, then its slot.
    place: (Rank, usize, usize),
    gpu: Gpu,
}

impl Search {
    /// A search for the `limit` best GPUs that pass `filter`, over the shelves of `sheets`. The sheets of one
    /// market are all in one currency.
    #[must_use]
    pub fn new<'a>(
        filter: SearchFilter,
        ranking: Ranking,
        limit: usize,
        sheets: impl IntoIterator<Item = &'a PriceSheet>,
    ) -> Self {
        let mut plan = Vec::new();
        for sheet in sheets.into_iter().filter(|sheet| filter.admits_shelf(sheet)) {
            for page in &sheet.pages {
                if let Some(best) = filter.best_of(page, sheet.multiplier) {
                    let bound = ranking.rank(sheet.multiplier.applied_to(best.cheapest), best.score);
                    plan.push(Planned {
                        bound,
                        key: sheet.page_key(page),
                        multiplier: sheet.multiplier,
                    });
                }
            }
        }
        plan.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            filter,
            ranking,
            limit,
            plan,
            opened: None,
            turn: 0,
            hits: BinaryHeap::new(),
        }
    }

    /// The next page that may hold a better hit than those found; `None` when no page can.
    pub fn next_page(&mut self) -> Option<PageKey> {
        let best = self.plan.last()?;
        let full = self.hits.len() >= self.limit;
        let cannot_improve = self.hits.peek().is_none_or(|worst| best.bound >= worst.place.0);
        if full && cannot_improve {
            return None;
        }
        self.turn += 1;
        self.opened = self.plan.pop();
        self.opened.as_ref().map(|planned| planned.key.clone())
    }

    /// Looks for hits on the page that was asked for last; any other page is passed over.
    pub fn take(&mut self, page: &GpuPage) {
        let Some(planned) = self.opened.take_if(|planned| planned.key == page.key) else {
            return;
        };
        for (slot, gpu) in page.gpus.iter().enumerate() {
            let price = planned.multiplier.applied_to(gpu.base_price);
            let own = Bounds {
                cheapest: price,
                score: gpu.score,
                memory: gpu.memory,
                cores: gpu.cores,
            };
            let bookable =
                gpu.status == GpuStatus::Available || self.filter.availability == Availability::Any;
            if !bookable || !self.filter.admits(&own) {
                continue;
            }
            let place = (self.ranking.rank(price, gpu.score), self.turn, slot);
            let better = self.hits.peek().is_none_or(|worst| place < worst.place);
            if self.hits.len() < self.limit || better {
                self.hits
                    .extend(page.gpu(slot, planned.multiplier).map(|gpu| Hit { place, gpu }));
                if self.hits.len() > self.limit {
                    self.hits.pop();
                }
            }
        }
    }

    /// The hits, best first.
    #[must_use]
    pub fn finish(self) -> Vec<Gpu> {
        self.hits
            .into_sorted_vec()
            .into_iter()
            .map(|hit| hit.gpu)
            .collect()
    }
}

impl Ranking {
    fn rank(self, price: Money, score: PerformanceScore) -> Rank {
        let slowness = -i64::from(score.0);
        match self {
            Self::Cheapest => (price.micros, slowness),
            Self::TopPerforming => (slowness, price.micros),
        }
    }
}

impl SearchFilter {
    fn admits_shelf(&self, sheet: &PriceSheet) -> bool {
        self.region
            .as_ref()
            .is_none_or(|region| *region == sheet.shelf.region)
            && self
                .model
                .as_ref()
                .is_none_or(|model| *model == sheet.shelf.model)
    }

    /// The best the page can offer, if that passes.
    fn best_of(&self, page: &PageSummary, multiplier: Multiplier) -> Option<Bounds> {
        let best = match self.availability {
            Availability::Available => page.available,
            Availability::Any => page.any,
        };
        best.filter(|best| {
            self.admits(&Bounds {
                cheapest: multiplier.applied_to(best.cheapest),
                ..*best
            })
        })
    }

    /// Whether a GPU with these values passes; `cheapest` is its current price.
    fn admits(&self, gpu: &Bounds) -> bool {
        self.min_memory.is_none_or(|least| gpu.memory >= least)
            && self.min_cores.is_none_or(|least| gpu.cores >= least)
            && self
                .max_price
                .is_none_or(|most| gpu.cheapest.currency == most.currency && gpu.cheapest <= most)
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Hit {}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

#[cfg(test)]
mod tests;
