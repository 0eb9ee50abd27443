//! What some GPUs of a shelf have between them: enough to know whether to look at them one by one.
//!
//! A summary of summaries is as large as one of them, whatever stands below it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::page::earliest;
use super::{GpuPage, StateCounts};
use crate::{Cores, GpuStatus, MemoryMib, Money, PerformanceScore, StoreTime};

/// Price levels that a summary lists, cheapest first: what a buyer looks at before taking the first. More would make
/// every summary above it as long as the market has prices.
pub const DEPTH: usize = 16;

/// Some GPUs of one shelf, summed up.
///
/// ```
/// use marketplace::shelf::Summary;
/// let nothing = Summary::of_parts([]);
/// assert_eq!((nothing.states.total(), nothing.any), (0, None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// GPUs by state.
    pub states: StateCounts,
    /// Base prices of the available ones, cheapest first, at most [`DEPTH`] of them.
    pub asks: Vec<PriceLevel>,
    /// The sum of the base prices of the available ones; `None` when there are none, or it does not fit.
    pub available_total: Option<Money>,
    /// The best that an available one has; `None` when none is available.
    pub available: Option<Bounds>,
    /// The best that any has; `None` when there are none.
    pub any: Option<Bounds>,
    /// When time alone will change one of them.
    pub changes_at: Option<StoreTime>,
}

impl Summary {
    /// Sums a page up.
    #[must_use]
    pub fn of_page(page: &GpuPage) -> Self {
        let mut states = StateCounts::default();
        let mut asks = BTreeMap::new();
        let (mut available, mut any) = (None, None);
        for gpu in &page.gpus {
            let own = Bounds {
                cheapest: gpu.base_price,
                score: gpu.score,
                memory: gpu.memory,
                cores: gpu.cores,
            };
            states.count(gpu.status);
            any = own.joined(any);
            if gpu.status == GpuStatus::Available {
                *asks.entry(gpu.base_price).or_insert(0) += 1;
                available = own.joined(available);
            }
        }
        let free = page.gpus.iter().filter(|gpu| gpu.status == GpuStatus::Available);
        Self {
            states,
            asks: levels(asks),
            available_total: Money::total(free.map(|gpu| Some(gpu.base_price))),
            available,
            any,
            changes_at: page.changes_at,
        }
    }

    /// Sums summaries up. A level that is among the cheapest of all is among the cheapest of each part that has it, so
    /// what the parts left out is not missed.
    #[must_use]
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self {
            states: StateCounts::default(),
            asks: Vec::new(),
            available_total: None,
            available: None,
            any: None,
            changes_at: None,
        };
        let (mut asks, mut totals) = (BTreeMap::new(), Vec::new());
        for part in parts {
            sum.states += part.states;
            for ask in &part.asks {
                *asks.entry(ask.price).or_insert(0) += ask.count;
            }
            totals.extend((part.states.available > 0).then_some(part.available_total));
            sum.available = part
                .available
                .map_or(sum.available, |bounds| bounds.joined(sum.available));
            sum.any = part.any.map_or(sum.any, |bounds| bounds.joined(sum.any));
            sum.changes_at = earliest(sum.changes_at, part.changes_at);
        }
        sum.asks = levels(asks);
        sum.available_total = Money::total(totals);
        sum
    }
}

fn levels(asks: BTreeMap<Money, u64>) -> Vec<PriceLevel> {
    let cheapest = asks.into_iter().take(DEPTH);
    cheapest
        .map(|(price, count)| PriceLevel { price, count })
        .collect()
}

/// How many GPUs are offered, or asked for, at one price per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLevel {
    /// The price per hour.
    pub price: Money,
    /// How many at that price, at least one.
    pub count: u64,
}

/// The best value of each kind among some GPUs, not necessarily of one GPU: no GPU of them is cheaper, faster or
/// larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The lowest base price.
    pub cheapest: Money,
    /// The highest score.
    pub score: PerformanceScore,
    /// The most memory.
    pub memory: MemoryMib,
    /// The most cores.
    pub cores: Cores,
}

impl Bounds {
    fn joined(self, others: Option<Self>) -> Option<Self> {
        let joined = others.map_or(self, |others| Self {
            cheapest: self.cheapest.min(others.cheapest),
            score: self.score.max(others.score),
            memory: self.memory.max(others.memory),
            cores: self.cores.max(others.cores),
        });
        Some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{free_page, listed, taken, usd};
    use super::*;

    #[test]
    fn a_page_is_summed_up_by_its_available_gpus() {
        let page = listed("us", "T4", 0, &["0.30", "0.10", "0.30", "0.20"]);
        let page = GpuPage::assemble(&page, &[taken(&page.gpus[1].id, 9)]);
        let summary = Summary::of_page(&page);
        assert_eq!((summary.states.available, summary.states.busy), (3, 1));
        let asks: Vec<_> = summary
            .asks
            .iter()
            .map(|level| (level.price, level.count))
            .collect();
        assert_eq!(asks, [(usd("0.20"), 1), (usd("0.30"), 2)]);
        assert_eq!(summary.available_total, Some(usd("0.80")));
        assert_eq!(summary.available.unwrap().cheapest, usd("0.20"));
        assert_eq!(summary.any.unwrap().cheapest, usd("0.10"));
    }

    #[test]
    fn summing_up_in_steps_gives_the_same_as_summing_up_at_once() {
        let prices: Vec<String> = (0..60).map(|cents| format!("0.{:02}", 99 - cents % 40)).collect();
        let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
        let pages: Vec<_> = (0..12)
            .map(|page| Summary::of_page(&free_page("us", "T4", page, &prices[page as usize..][..40])))
            .collect();
        let at_once = Summary::of_parts(&pages);
        let halves = [Summary::of_parts(&pages[..5]), Summary::of_parts(&pages[5..])];
        assert_eq!(Summary::of_parts(&halves), at_once);
        assert_eq!(at_once.asks.len(), DEPTH);
        let everything = free_page("us", "T4", 0, &prices);
        assert_eq!(at_once.asks[0].price, Summary::of_page(&everything).asks[0].price);
    }
}
