//! The best GPUs of the market, found by opening as few sections and pages as the price sheets allow.
//!
//! It fetches nothing: it names the next part worth opening, and whoever can wait for it hands it in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::{Bounds, GpuPage, PartKey, PartSummary, PriceSheet, Section, SectionKey, ShelfKey, Summary};
use crate::{Cores, Gpu, GpuModel, GpuStatus, MemoryMib, Money, PerformanceScore, Region};

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
    /// Those and the busy ones: a booking may begin when they are free.
    InService,
    /// All, whatever their status.
    Any,
}

impl Availability {
    fn admits(self, status: GpuStatus) -> bool {
        match self {
            Self::Available => status == GpuStatus::Available,
            Self::InService => matches!(status, GpuStatus::Available | GpuStatus::Busy),
            Self::Any => true,
        }
    }
}

/// Which GPU is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ranking {
    /// The one with the lower current price, then the higher score.
    Cheapest,
    /// The one with the higher score, then the lower current price.
    TopPerforming,
}

/// A search under way: ask for the [`next_part`](Self::next_part), take it, until there is none; then
/// [`finish`](Self::finish). A shelf whose sheet promises nothing better than what was found is not looked into, and
/// neither is a section or a page. Equal GPUs rank in the order they are found.
///
/// ```
/// use marketplace::shelf::{PartKey, Section};
/// use marketplace::{Gpu, GpuPage, PriceSheet, Ranking, Search, SearchFilter, shelf::SectionKey, PageKey};
/// fn ten_cheapest(
///     sheets: &[PriceSheet],
///     page: impl Fn(&PageKey) -> Option<GpuPage>,
///     section: impl Fn(&SectionKey) -> Option<Section>,
/// ) -> Vec<Gpu> {
///     let mut search = Search::new(SearchFilter::default(), Ranking::Cheapest, 10, sheets);
///     while let Some(part) = search.next_part() {
///         match part {
///             PartKey::Page(key) => page(&key).iter().for_each(|page| search.take_page(page)),
///             PartKey::Section(key) => section(&key).iter().for_each(|section| search.take_section(section)),
///         }
///     }
///     search.finish()
/// }
/// assert!(ten_cheapest(&[], |_| None, |_| None).is_empty());
/// ```
#[derive(Debug)]
pub struct Search<'s> {
    filter: SearchFilter,
    ranking: Ranking,
    limit: usize,
    sheets: Vec<&'s PriceSheet>,
    /// What may hold a hit, the most promising on top.
    plan: BinaryHeap<Reverse<Planned>>,
    opened: Option<Planned>,
    turn: usize,
    /// The best hits so far, the worst of them on top.
    hits: BinaryHeap<Hit>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    bound: Rank,
    /// Index among the sheets.
    sheet: usize,
    /// One of the sheet's parts, by level and number; the whole sheet without one.
    part: Option<(u8, u32)>,
}

/// Lower is better.
type Rank = (i64, i64);

#[derive(Debug)]
struct Hit {
    /// Rank, then the turn of its page, then its slot.
    place: (Rank, usize, usize),
    gpu: Gpu,
}

impl<'s> Search<'s> {
    /// A search for the `limit` best GPUs that pass `filter`, over the shelves of `sheets`. The sheets of one
    /// market are all in one currency.
    #[must_use]
    pub fn new(
        filter: SearchFilter,
        ranking: Ranking,
        limit: usize,
        sheets: impl IntoIterator<Item = &'s PriceSheet>,
    ) -> Self {
        let sheets = sheets.into_iter().filter(|sheet| filter.admits_shelf(sheet));
        let mut search = Self {
            sheets: sheets.collect(),
            filter,
            ranking,
            limit,
            plan: BinaryHeap::new(),
            opened: None,
            turn: 0,
            hits: BinaryHeap::new(),
        };
        for sheet in 0..search.sheets.len() {
            let whole = &search.sheets[sheet].whole;
            let planned = search.planned(sheet, None, whole);
            search.plan.extend(planned);
        }
        search
    }

    /// The next part that may hold a better hit than those found; `None` when none can.
    pub fn next_part(&mut self) -> Option<PartKey> {
        loop {
            let best = &self.plan.peek()?.0;
            let full = self.hits.len() >= self.limit;
            let cannot_improve = self.hits.peek().is_none_or(|worst| best.bound >= worst.place.0);
            if full && cannot_improve {
                return None;
            }
            let Reverse(best) = self.plan.pop()?;
            let sheet = self.sheets[best.sheet];
            match best.part {
                None => self.plan_parts(best.sheet, sheet.level, &sheet.parts),
                Some((level, number)) => {
                    self.turn += 1;
                    self.opened = Some(best);
                    return Some(PartKey::of(&sheet.shelf, level, number));
                }
            }
        }
    }

    /// Plans the parts of the section that was asked for last; any other section is passed over.
    pub fn take_section(&mut self, section: &Section) {
        let SectionKey { shelf, level, number } = &section.key;
        if let Some(sheet) = self.take(shelf, *level, *number) {
            self.plan_parts(sheet, level - 1, &section.parts);
        }
    }

    /// Looks for hits on the page that was asked for last; any other page is passed over.
    pub fn take_page(&mut self, page: &GpuPage) {
        let Some(sheet) = self.take(&page.key.shelf, 0, page.key.page) else {
            return;
        };
        let multiplier = self.sheets[sheet].multiplier;
        for (slot, gpu) in page.gpus.iter().enumerate() {
            let price = multiplier.applied_to(gpu.base_price);
            let own = Bounds {
                cheapest: price,
                score: gpu.score,
                memory: gpu.memory,
                cores: gpu.cores,
            };
            if !self.filter.availability.admits(gpu.status) || !self.filter.admits(&own) {
                continue;
            }
            let place = (self.ranking.rank(price, gpu.score), self.turn, slot);
            let better = self.hits.peek().is_none_or(|worst| place < worst.place);
            if self.hits.len() < self.limit || better {
                self.hits
                    .extend(page.gpu(slot, multiplier).map(|gpu| Hit { place, gpu }));
                if self.hits.len() > self.limit {
                    self.hits.pop();
                }
            }
        }
    }

    /// The sheet of the part that was asked for last, if it is this one.
    fn take(&mut self, shelf: &ShelfKey, level: u8, number: u32) -> Option<usize> {
        let sheets = &self.sheets;
        let taken = self
            .opened
            .take_if(|opened| opened.part == Some((level, number)) && sheets[opened.sheet].shelf == *shelf);
        taken.map(|planned| planned.sheet)
    }

    fn plan_parts(&mut self, sheet: usize, level: u8, parts: &[PartSummary]) {
        for part in parts {
            let planned = self.planned(sheet, Some((level, part.number)), &part.summary);
            self.plan.extend(planned);
        }
    }

    /// A place in the plan, if the best that the part can offer passes.
    fn planned(&self, sheet: usize, part: Option<(u8, u32)>, summary: &Summary) -> Option<Reverse<Planned>> {
        let multiplier = self.sheets[sheet].multiplier;
        let best = match self.filter.availability {
            Availability::Available => summary.available,
            Availability::InService | Availability::Any => summary.any,
        }?;
        let best = Bounds {
            cheapest: multiplier.applied_to(best.cheapest),
            ..best
        };
        let bound = self.ranking.rank(best.cheapest, best.score);
        self.filter
            .admits(&best)
            .then_some(Reverse(Planned { bound, sheet, part }))
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
