//! The loaders: how each class of cached data is put together from the records.
//!
//! What is computed from other cached values reads them past this node's memory, from the shared store: memory may be
//! a moment behind, and a value computed from an older one must not be stored over a newer one.

use std::ops::Range;
use std::time::Duration;

use cache_core::{Key, Version};
use edge_cache::{CacheValue, Fetched, Load, LoadContext, Options, TierUse};
use futures_util::future::{BoxFuture, try_join_all};

use super::{Failure, Marketplace, keys};
use crate::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, MARKET_STATS, ORDER_BOOK, PriceHistory, PricedSection, PricedShelf,
    RegionTally, SHELF_SECTION, ShelfBook, ShelfList, ShelfTally,
};
use crate::shelf::statistics::asked_in_total;
use crate::shelf::{
    DayTotals, FAN_OUT, GpuPage, OrderBook, PageKey, PartKey, PartSummary, PriceSheet, Section, SectionKey,
    ShelfKey, Summary, level_of_parts, parts_at,
};
use crate::{Multiplier, ProviderId, ProviderStatus, Region};

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

    /// `before` is the factor that was shown last, where that is known.
    pub(super) async fn load_sheet(
        self,
        shelf: ShelfKey,
        before: Option<Multiplier>,
    ) -> Result<Load<PricedShelf>, Failure> {
        let Some(priced) = self.whole_sheet(&shelf, before).await? else {
            return Ok(Load::absent());
        };
        let life = self.life_of_sheet(&priced);
        Ok(Load::value(priced).with_ttl(life))
    }

    /// Boxed, since a section may be loaded in order to load the one above it.
    pub(super) fn load_section(
        self,
        key: SectionKey,
    ) -> BoxFuture<'static, Result<Load<PricedSection>, Failure>> {
        Box::pin(async move {
            let Some(section) = self.whole_section(&key).await? else {
                return Ok(Load::absent());
            };
            let life = self.life_of_section(&section);
            Ok(Load::value(section).with_ttl(life))
        })
    }

    pub(super) async fn load_book(self, shelf: ShelfKey) -> Result<Load<ShelfBook>, Failure> {
        let Some(sheet) = self.shared_sheet(&shelf).await? else {
            return Ok(Load::absent());
        };
        let (book, life) = self.book_of(sheet.version(), &sheet.sheet).await?;
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
            shelves: catalogue
                .into_iter()
                .map(|listing| (listing.shelf, listing.pages))
                .collect(),
        })
    }

    /// A shelf's sheet from all its parts; `None` when there is no such shelf.
    pub(super) async fn whole_sheet(
        &self,
        shelf: &ShelfKey,
        before: Option<Multiplier>,
    ) -> Result<Option<PricedShelf>, Failure> {
        let assembled = self.source().now();
        let Some(pages) = self.listed_pages(shelf).await? else {
            return Ok(None);
        };
        let level = level_of_parts(pages);
        let (parts, of) = self.whole_parts(shelf, level, 0..parts_at(pages, level)).await?;
        let policy = &*self.source().records.pricing;
        let sheet = PriceSheet::assemble(shelf.clone(), level, parts, policy, before);
        Ok(Some(PricedShelf {
            sheet: sheet.into(),
            of,
            assembled,
        }))
    }

    /// A section from all its parts; `None` when the shelf does not reach that far.
    pub(super) async fn whole_section(&self, key: &SectionKey) -> Result<Option<PricedSection>, Failure> {
        let assembled = self.source().now();
        let Some(pages) = self.listed_pages(&key.shelf).await? else {
            return Ok(None);
        };
        let below = key.level.saturating_sub(1);
        let first = key.number.saturating_mul(FAN_OUT);
        let end = first.saturating_add(FAN_OUT).min(parts_at(pages, below));
        if first >= end {
            return Ok(None);
        }
        let (parts, of) = self.whole_parts(&key.shelf, below, first..end).await?;
        Ok(Some(PricedSection {
            section: Section::assemble(key.clone(), parts).into(),
            of,
            assembled,
        }))
    }

    /// The pages of a shelf, from the inventory itself; `None` when there is no such shelf.
    pub(super) async fn listed_pages(&self, shelf: &ShelfKey) -> Result<Option<u32>, Failure> {
        let catalogue = self.source().records.inventory.catalogue().await?;
        let listed = catalogue.into_iter().find(|listing| listing.shelf == *shelf);
        Ok(listed.map(|listing| listing.pages))
    }

    /// Parts of a level, past memory, with their versions, in order.
    async fn whole_parts(
        &self,
        shelf: &ShelfKey,
        level: u8,
        numbers: Range<u32>,
    ) -> Result<(Vec<PartSummary>, Vec<Version>), Failure> {
        let parts = numbers.map(|number| async move {
            let summed = match PartKey::of(shelf, level, number) {
                PartKey::Page(page) => {
                    let key = keys::page(&page);
                    let load = move |market: Self, _| market.load_page(page.clone());
                    let page = self.shared(&key, load).await?;
                    page.map(|page| (Summary::of_page(&page), page.version()))
                }
                PartKey::Section(section) => {
                    let key = keys::section(&section);
                    let load = move |market: Self, _| market.load_section(section.clone());
                    let section = self.shared(&key, load).await?;
                    section.map(|priced| (priced.section.summary(), priced.version()))
                }
            };
            Ok::<_, Failure>(summed.map(|(summary, of)| (PartSummary { number, summary }, of)))
        });
        Ok(try_join_all(parts).await?.into_iter().flatten().unzip())
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
        let tally = RegionTally { shelves, assembled }.on(&day);
        Ok((!tally.shelves.is_empty()).then_some(tally))
    }

    /// The order book that goes with a sheet, and how long it may be shown: until time changes the sheet or ends a bid.
    pub(super) async fn book_of(
        &self,
        of: Version,
        sheet: &PriceSheet,
    ) -> Result<(ShelfBook, Duration), Failure> {
        let bids = self.source().records.bids.waiting(&sheet.shelf).await?;
        let trades = self.source().tape.trades(self.source(), &sheet.shelf).await?;
        let ends = bids.iter().map(|bid| bid.until).chain(sheet.changes_at()).min();
        let life = self.source().life(ends, ORDER_BOOK.policy().l2_ttl);
        let book = OrderBook::assemble(sheet, &bids, trades).into();
        Ok((ShelfBook { book, of }, life))
    }

    /// A sheet lives until time changes it, and a TTL after all its parts were read: single parts are replaced, and
    /// what went wrong with one must not be passed on for ever.
    pub(super) fn life_of_sheet(&self, priced: &PricedShelf) -> Duration {
        let ends = priced.assembled.plus(GPU_PRICING.policy().l2_ttl);
        let ends = priced.sheet.changes_at().map_or(ends, |change| change.min(ends));
        self.source().life(Some(ends), GPU_PRICING.policy().l2_ttl)
    }

    /// As that of a sheet.
    pub(super) fn life_of_section(&self, section: &PricedSection) -> Duration {
        let ends = section.assembled.plus(SHELF_SECTION.policy().l2_ttl);
        let changes = section
            .section
            .parts
            .iter()
            .filter_map(|part| part.summary.changes_at);
        let ends = changes.fold(ends, Ord::min);
        self.source().life(Some(ends), SHELF_SECTION.policy().l2_ttl)
    }

    /// As that of a sheet.
    pub(super) fn life_of_tally(&self, tally: &RegionTally) -> Duration {
        let ends = tally.assembled.plus(MARKET_STATS.policy().l2_ttl);
        let ends = tally
            .shelves
            .iter()
            .filter_map(|shelf| shelf.changes_at)
            .fold(ends, Ord::min);
        self.source().life(Some(ends), MARKET_STATS.policy().l2_ttl)
    }

    pub(super) async fn shared_sheet(
        &self,
        shelf: &ShelfKey,
    ) -> Result<Option<Fetched<PricedShelf>>, Failure> {
        let key = keys::sheet(shelf);
        let shelf = shelf.clone();
        self.shared(&key, move |market, known: LoadContext<PricedShelf>| {
            market.load_sheet(shelf.clone(), shown_before(&known))
        })
        .await
    }

    async fn shared<V, F>(
        &self,
        key: &Key<V>,
        load: impl Fn(Self, LoadContext<V>) -> F + Send + Sync + 'static,
    ) -> Result<Option<Fetched<V>>, Failure>
    where
        V: CacheValue,
        F: Future<Output = Result<Load<V>, Failure>> + Send + 'static,
    {
        let market = self.clone();
        let fetched = self
            .cache()
            .get_or_load_with(key, past_memory(), move |known| load(market.clone(), known));
        Ok(fetched.await?)
    }
}

impl ShelfTally {
    pub(super) fn of(version: Version, sheet: &PriceSheet) -> Self {
        Self {
            shelf: sheet.shelf.clone(),
            of: version,
            states: sheet.whole.states,
            asked: asked_in_total(sheet),
            day: DayTotals::default(),
            changes_at: sheet.changes_at(),
        }
    }
}

/// The factor of the sheet that has expired, where that is still at hand.
pub(super) fn shown_before(known: &LoadContext<PricedShelf>) -> Option<Multiplier> {
    known.previous().map(|priced| priced.sheet.multiplier)
}
