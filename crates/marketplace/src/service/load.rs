//! The loaders: how each class of cached data is put together from the records.
//!
//! What is computed from other cached values reads them past this node's memory, from the shared store: memory may be
//! a moment behind, and a value computed from an older one must not be stored over a newer one.

use cache_core::{Key, Version};
use edge_cache::{CacheValue, Fetched, Load, Options, TierUse};
use futures_util::future::try_join_all;

use super::{Failure, Marketplace, keys};
use crate::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, MARKET_STATS, ORDER_BOOK, PriceHistory, PricedShelf, RegionTally,
    ShelfBook, ShelfList, ShelfTally,
};
use crate::shelf::{GpuPage, OrderBook, PageKey, PageSummary, PriceSheet, ShelfKey};
use crate::{Money, ProviderId, ProviderStatus, Region};

/// Past memory: what the shared store has, or the loader.
pub(super) fn past_memory() -> Options {
    Options::default().with_l1(TierUse::WriteOnly)
}

impl Marketplace {
    pub(super) async fn load_page(self, page: PageKey) -> Result<Load<GpuPage>, Failure> {
        let Some(page) = self.source().page(&page).await? else {
            return Ok(Load::absent());
        };
        let life = self
            .source()
            .life(page.changes_at, GPU_AVAILABILITY.policy().l2_ttl);
        Ok(Load::value(page).with_ttl(life))
    }

    pub(super) async fn load_sheet(self, shelf: ShelfKey) -> Result<Load<PricedShelf>, Failure> {
        let Some(priced) = self.whole_sheet(&shelf).await? else {
            return Ok(Load::absent());
        };
        let life = self.life_of_sheet(&priced);
        Ok(Load::value(priced).with_ttl(life))
    }

    pub(super) async fn load_book(self, shelf: ShelfKey) -> Result<Load<ShelfBook>, Failure> {
        let Some(sheet) = self.shared_sheet(&shelf).await? else {
            return Ok(Load::absent());
        };
        let book = self.book_of(sheet.version(), &sheet.sheet).await?;
        let life = self
            .source()
            .life(sheet.sheet.changes_at(), ORDER_BOOK.policy().l2_ttl);
        Ok(Load::value(book).with_ttl(life))
    }

    pub(super) async fn load_tally(self, region: Region) -> Result<Load<RegionTally>, Failure> {
        let Some(tally) = self.whole_tally(&region).await? else {
            return Ok(Load::absent());
        };
        let life = self.life_of_tally(&tally);
        Ok(Load::value(tally).with_ttl(life))
    }

    pub(super) async fn load_provider(self, id: ProviderId) -> Result<Option<ProviderStatus>, Failure> {
        let provider = self.source().records.inventory.provider(&id).await?;
        Ok(provider.map(|provider| provider.status))
    }

    pub(super) async fn load_history(self, shelf: ShelfKey) -> Result<PriceHistory, Failure> {
        self.source().tape.history(self.source(), &shelf).await
    }

    pub(super) async fn load_shelves(self) -> Result<ShelfList, Failure> {
        let catalogue = self.source().records.inventory.catalogue().await?;
        Ok(ShelfList {
            shelves: catalogue.into_iter().map(|listing| listing.shelf).collect(),
        })
    }

    /// A shelf's sheet from all its pages; `None` when there is no such shelf.
    pub(super) async fn whole_sheet(&self, shelf: &ShelfKey) -> Result<Option<PricedShelf>, Failure> {
        let assembled = self.source().now();
        let catalogue = self.source().records.inventory.catalogue().await?;
        let Some(listing) = catalogue.into_iter().find(|listing| listing.shelf == *shelf) else {
            return Ok(None);
        };
        let pages = listing.page_keys().map(|page| async move {
            let key = keys::page(&page);
            self.shared(&key, move |market| market.load_page(page.clone()))
                .await
        });
        let mut parts: Vec<_> = try_join_all(pages)
            .await?
            .into_iter()
            .flatten()
            .map(|page| (PageSummary::of(&page), page.version()))
            .collect();
        parts.sort_by_key(|(summary, _)| summary.page);
        let (summaries, of): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let sheet = PriceSheet::assemble(shelf.clone(), summaries, &*self.source().records.pricing);
        Ok(Some(PricedShelf {
            sheet: sheet.into(),
            of,
            assembled,
        }))
    }

    /// A region's tally from all its sheets; `None` when there is no such region.
    pub(super) async fn whole_tally(&self, region: &Region) -> Result<Option<RegionTally>, Failure> {
        let assembled = self.source().now();
        let catalogue = self.source().records.inventory.catalogue().await?;
        let shelves = catalogue.into_iter().map(|listing| listing.shelf);
        let sheets = shelves
            .filter(|shelf| shelf.region == *region)
            .map(|shelf| async move { self.shared_sheet(&shelf).await });
        let sheets = try_join_all(sheets).await?;
        let shelves: Vec<_> = sheets
            .iter()
            .flatten()
            .map(|priced| ShelfTally::of(priced.version(), &priced.sheet))
            .collect();
        let day = self.source().tape.day(self.source(), region).await?;
        Ok((!shelves.is_empty()).then_some(RegionTally {
            shelves,
            day,
            assembled,
        }))
    }

    pub(super) async fn book_of(&self, of: Version, sheet: &PriceSheet) -> Result<ShelfBook, Failure> {
        let trades = self.source().tape.trades(self.source(), &sheet.shelf).await?;
        Ok(ShelfBook {
            book: OrderBook::assemble(sheet, trades).into(),
            of,
        })
    }

    /// A sheet lives until time changes it, and a TTL after all its pages were read: single pages are replaced, and
    /// what went wrong with one must not be passed on for ever.
    pub(super) fn life_of_sheet(&self, priced: &PricedShelf) -> std::time::Duration {
        let ends = priced.assembled.plus(GPU_PRICING.policy().l2_ttl);
        let ends = priced.sheet.changes_at().map_or(ends, |change| change.min(ends));
        self.source().life(Some(ends), GPU_PRICING.policy().l2_ttl)
    }

    /// As that of a sheet.
    pub(super) fn life_of_tally(&self, tally: &RegionTally) -> std::time::Duration {
        let ends = tally.assembled.plus(MARKET_STATS.policy().l2_ttl);
        let ends = tally
            .shelves
            .iter()
            .filter_map(|shelf| shelf.changes_at)
            .fold(ends, Ord::min);
        self.source().life(Some(ends), MARKET_STATS.policy().l2_ttl)
    }

    async fn shared_sheet(&self, shelf: &ShelfKey) -> Result<Option<Fetched<PricedShelf>>, Failure> {
        let key = keys::sheet(shelf);
        let shelf = shelf.clone();
        self.shared(&key, move |market| market.load_sheet(shelf.clone()))
            .await
    }

    async fn shared<V, F>(
        &self,
        key: &Key<V>,
        load: impl Fn(Self) -> F + Send + Sync + 'static,
    ) -> Result<Option<Fetched<V>>, Failure>
    where
        V: CacheValue,
        F: Future<Output = Result<Load<V>, Failure>> + Send + 'static,
    {
        let market = self.clone();
        let fetched = self
            .cache()
            .get_or_load_with(key, past_memory(), move |_| load(market.clone()));
        Ok(fetched.await?)
    }
}

impl ShelfTally {
    pub(super) fn of(version: Version, sheet: &PriceSheet) -> Self {
        let totals = sheet
            .pages
            .iter()
            .filter(|page| page.any.is_some())
            .map(|page| page.base_total);
        let prices = totals.map(|base| base.map(|base| sheet.multiplier.applied_to(base)));
        Self {
            shelf: sheet.shelf.clone(),
            of: version,
            states: sheet.states,
            prices: prices.reduce(sum).flatten(),
            changes_at: sheet.changes_at(),
        }
    }
}

/// The sum, where there is one.
pub(super) fn sum(one: Option<Money>, other: Option<Money>) -> Option<Money> {
    one?.checked_add(other?).ok()
}
