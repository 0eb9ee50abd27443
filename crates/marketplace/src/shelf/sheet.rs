//! A shelf's price sheet: its supply and multiplier, and of each page just enough to know whether to open it.
//!
//! It lists no GPUs. When one page changes, one summary is replaced and no other page is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::page::earliest;
use super::{GpuPage, PageKey, ShelfKey, StateCounts};
use crate::{
    Cores, GpuStatus, MemoryMib, Money, Multiplier, PerformanceScore, PricingPolicy, StoreTime, Supply,
};

/// The prices of one shelf.
///
/// ```
/// use marketplace::shelf::{PriceSheet, ShelfKey};
/// use marketplace::{GpuModel, Multiplier, Region, ScarcityPricing};
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// let empty = PriceSheet::assemble(shelf, [], &ScarcityPricing);
/// assert_eq!(empty.multiplier, Multiplier::ONE);
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceSheet {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// The factor on every base price of the shelf.
    pub multiplier: Multiplier,
    /// GPUs of the shelf by state.
    pub states: StateCounts,
    /// Its pages, by number.
    pub pages: Vec<PageSummary>,
}

impl PriceSheet {
    /// Puts the summaries of a shelf's pages together and prices them by `policy`. Of two summaries of one page
    /// the later counts.
    #[must_use]
    pub fn assemble(
        shelf: ShelfKey,
        pages: impl IntoIterator<Item = PageSummary>,
        policy: &dyn PricingPolicy,
    ) -> Self {
        let pages: BTreeMap<u32, PageSummary> = pages.into_iter().map(|page| (page.page, page)).collect();
        let pages: Vec<PageSummary> = pages.into_values().collect();
        let mut states = StateCounts::default();
        pages.iter().for_each(|page| states += page.states);
        let multiplier = policy.multiplier(Supply {
            available: states.available,
            total: states.total(),
        });
        Self {
            shelf,
            multiplier,
            states,
            pages,
        }
    }

    /// The sheet after one page changed, or was added.
    #[must_use]
    pub fn with_page(&self, page: PageSummary, policy: &dyn PricingPolicy) -> Self {
        Self::assemble(
            self.shelf.clone(),
            self.pages.iter().cloned().chain([page]),
            policy,
        )
    }

    /// The key of one of its pages.
    #[must_use]
    pub fn page_key(&self, page: &PageSummary) -> PageKey {
        PageKey {
            shelf: self.shelf.clone(),
            page: page.page,
        }
    }

    /// When time alone will change it; the sheet must not be shown any longer than that.
    #[must_use]
    pub fn changes_at(&self) -> Option<StoreTime> {
        self.pages
            .iter()
            .fold(None, |soonest, page| earliest(soonest, page.changes_at))
    }
}

/// What a page's GPUs have between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSummary {
    /// The page's number.
    pub page: u32,
    /// The inventory's revision of it.
    pub revision: u64,
    /// Its GPUs by state.
    pub states: StateCounts,
    /// Base prices of the available GPUs, cheapest first.
    pub asks: Vec<PriceLevel>,
    /// The sum of all base prices; `None` when it does not fit.
    pub base_total: Option<Money>,
    /// The best that an available GPU of the page has; `None` when none is available.
    pub available: Option<Bounds>,
    /// The best that any GPU of the page has; `None` when it is empty.
    pub any: Option<Bounds>,
    /// When time alone will change the page.
    pub changes_at: Option<StoreTime>,
}

impl PageSummary {
    /// Sums a page up.
    #[must_use]
    pub fn of(page: &GpuPage) -> Self {
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
        let mut prices = page.gpus.iter().map(|gpu| gpu.base_price);
        let base_total = prices
            .next()
            .and_then(|first| prices.try_fold(first, |sum, price| sum.checked_add(price).ok()));
        Self {
            page: page.key.page,
            revision: page.revision,
            states,
            asks: asks
                .into_iter()
                .map(|(price, count)| PriceLevel { price, count })
                .collect(),
            base_total,
            available,
            any,
            changes_at: page.changes_at,
        }
    }
}

/// How many GPUs are offered at one price per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLevel {
    /// The price per hour.
    pub price: Money,
    /// GPUs at that price, at least one.
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
    use super::super::fixtures::{free_page, listed, sheet, taken, usd};
    use super::*;
    use crate::ScarcityPricing;

    #[test]
    fn a_page_is_summed_up_by_its_available_gpus() {
        let page = listed("us", "T4", 0, &["0.30", "0.10", "0.30", "0.20"]);
        let page = GpuPage::assemble(&page, &[taken(&page.gpus[1].id, 9)]);
        let summary = PageSummary::of(&page);
        assert_eq!((summary.states.available, summary.states.busy), (3, 1));
        let asks: Vec<_> = summary
            .asks
            .iter()
            .map(|level| (level.price, level.count))
            .collect();
        assert_eq!(asks, [(usd("0.20"), 1), (usd("0.30"), 2)]);
        assert_eq!(summary.base_total, Some(usd("0.90")));
        assert_eq!(summary.available.unwrap().cheapest, usd("0.20"));
        assert_eq!(summary.any.unwrap().cheapest, usd("0.10"));
    }

    #[test]
    fn a_taken_gpu_raises_the_price_of_the_whole_shelf_without_its_other_pages() {
        let pages = [
            free_page("us", "T4", 0, &["1"; 5]),
            free_page("us", "T4", 1, &["1"; 5]),
        ];
        let before = sheet(&pages);
        assert_eq!(before.multiplier, Multiplier::ONE);
        let second = listed("us", "T4", 1, &["1"; 5]);
        let occupied: Vec<_> = second.gpus.iter().map(|gpu| taken(&gpu.id, 30)).collect();
        let changed = PageSummary::of(&GpuPage::assemble(&second, &occupied));
        let half = before.with_page(changed, &ScarcityPricing);
        assert_eq!(
            (half.multiplier, half.states.available),
            (Multiplier::ONE, 5),
            "half is not below half"
        );
        let first = GpuPage::assemble(
            &listed("us", "T4", 0, &["1"; 5]),
            &[taken(&pages[0].gpus[0].id, 20)],
        );
        let scarce = half.with_page(PageSummary::of(&first), &ScarcityPricing);
        assert_eq!(
            (scarce.multiplier, scarce.pages.len()),
            (Multiplier::per_mille(1200), 2)
        );
        assert_eq!(scarce.changes_at(), Some(StoreTime::from_millis(20)));
    }
}
