//! What a buyer asks about one thing: a shelf, a GPU, a provider, a region in numbers.
//!
//! No answer decides anything; a booking is decided by the store, whatever was shown here.

use std::sync::Arc;

use cache_core::Key;
use edge_cache::{CacheError, CacheValue, Fetched, IntoLoad, LoadContext};

use super::answer::Trail;
use super::load::shown_before;
use super::{Answer, Failure, MarketError, Marketplace, TimedQuote, keys};
use crate::namespaces::{PriceHistory, PricedSection, PricedShelf, ShelfTally};
use crate::shelf::{
    DayTotals, GpuPage, MarketStats, OrderBook, PageKey, PriceSheet, SectionKey, ShelfKey, StateCounts,
};
use crate::{Gpu, GpuId, GpuModel, Money, Multiplier, ProviderId, ProviderStatus, Region};

/// A read of a shelf fails with `Refused` when the market knows no region or no model of that name: where it knows both,
/// a shelf that does not exist is absent and no error. Every read fails with `Cache` when a part cannot be read.
impl Marketplace {
    /// A shelf's price sheet; `None` when there is no such shelf.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when it cannot be read.
    pub async fn gpu_pricing(
        &self,
        shelf: &ShelfKey,
    ) -> Result<Answer<Option<Arc<PriceSheet>>>, MarketError> {
        let mut trail = Trail::of(1);
        let sheet = self.sheet(&mut trail, shelf).await?;
        self.admits_absence(&mut trail, shelf, sheet.is_none()).await?;
        Ok(trail.answer(sheet.map(|priced| Arc::clone(&priced.sheet))))
    }

    /// A shelf's order book; `None` when there is no such shelf.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when it cannot be read.
    pub async fn order_book(&self, shelf: &ShelfKey) -> Result<Answer<Option<Arc<OrderBook>>>, MarketError> {
        let mut trail = Trail::of(1);
        let of = shelf.clone();
        let load = move |market: Self, _| market.load_book(of.clone());
        let book = self.read(&mut trail, &keys::book(shelf), load).await?;
        self.admits_absence(&mut trail, shelf, book.is_none()).await?;
        Ok(trail.answer(book.map(|book| Arc::clone(&book.book))))
    }

    /// What was paid on a shelf in the last seven days. It may be an hour old: the class is bounded by its TTL alone.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when it cannot be read.
    pub async fn price_history(&self, shelf: &ShelfKey) -> Result<Answer<Arc<PriceHistory>>, MarketError> {
        let mut trail = Trail::of(1);
        let of = shelf.clone();
        let load = move |market: Self, _| market.load_history(of.clone());
        let history = self.read(&mut trail, &keys::history(shelf), load).await?;
        let nothing = history.as_ref().is_none_or(|history| history.hours.is_empty());
        self.admits_absence(&mut trail, shelf, nothing).await?;
        let empty = || {
            Arc::new(PriceHistory {
                shelf: shelf.clone(),
                hours: Vec::new(),
            })
        };
        Ok(trail.answer(history.map_or_else(empty, Fetched::into_arc)))
    }

    /// A region in numbers, or the whole market. Bookings of the day are those of the 24 hours before the figures of
    /// their region last changed, which is at most the class's five minutes ago.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn market_stats(&self, region: Option<&Region>) -> Result<Answer<MarketStats>, MarketError> {
        self.stats(region, None).await
    }

    /// One model in numbers, in a region or in the whole market; as [`market_stats`](Self::market_stats).
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn model_stats(
        &self,
        model: &GpuModel,
        region: Option<&Region>,
    ) -> Result<Answer<MarketStats>, MarketError> {
        self.stats(region, Some(model)).await
    }

    async fn stats(
        &self,
        region: Option<&Region>,
        model: Option<&GpuModel>,
    ) -> Result<Answer<MarketStats>, MarketError> {
        let mut trail = Trail::of(8);
        let directory = self.directory(&mut trail).await?;
        directory.admits(region, model)?;
        let regions = region.map_or_else(|| directory.regions(), |region| vec![region.clone()]);
        let mut tallies = Vec::with_capacity(regions.len());
        for region in regions {
            let key = keys::tally(&region);
            let load = move |market: Self, _| market.load_tally(region.clone());
            tallies.extend(self.read(&mut trail, &key, load).await?);
        }
        let shelves = tallies.iter().flat_map(|tally| &tally.shelves);
        let wanted = shelves.filter(|tally| model.is_none_or(|model| *model == tally.shelf.model));
        Ok(trail.answer(summed(wanted)))
    }

    /// Whether a provider's GPUs can be reached; `None` when there is no such provider.
    ///
    /// # Errors
    /// `Cache` when it cannot be read.
    pub async fn provider_status(
        &self,
        id: &ProviderId,
    ) -> Result<Answer<Option<ProviderStatus>>, MarketError> {
        let mut trail = Trail::of(1);
        let of = id.clone();
        let load = move |market: Self, _| market.load_provider(of.clone());
        let status = self.read(&mut trail, &keys::provider(id), load).await?;
        Ok(trail.answer(status.map(|status| *status)))
    }

    /// One GPU; `None` when there is none of that name.
    ///
    /// # Errors
    /// `Cache` when a part cannot be read.
    pub async fn gpu(&self, id: &GpuId) -> Result<Answer<Option<Gpu>>, MarketError> {
        self.about(id, GpuPage::gpu).await
    }

    /// The price to name in a booking of one GPU; `None` when there is none of that name.
    ///
    /// # Errors
    /// `Cache` when a part cannot be read.
    pub async fn quote(&self, id: &GpuId) -> Result<Answer<Option<TimedQuote>>, MarketError> {
        self.about(id, |page, slot, multiplier| {
            let gpu = page.gpus.get(slot)?;
            Some(self.quoted(multiplier.applied_to(gpu.base_price), gpu.price_version))
        })
        .await
    }

    async fn about<T>(
        &self,
        id: &GpuId,
        tell: impl FnOnce(&GpuPage, usize, Multiplier) -> Option<T>,
    ) -> Result<Answer<Option<T>>, MarketError> {
        let mut trail = Trail::of(2);
        let place = self.source().place(id).await.map_err(failed)?;
        let Some(key) = place else {
            return Ok(trail.answer(None));
        };
        let sheet = self.sheet(&mut trail, &key.shelf).await?;
        let page = self.page(&mut trail, &key).await?;
        let told = sheet.zip(page).and_then(|(priced, page)| {
            let slot = page.gpus.iter().position(|gpu| gpu.id == *id)?;
            tell(&page, slot, priced.sheet.multiplier)
        });
        Ok(trail.answer(told))
    }

    /// Whether nothing can stand under this name: only where both its parts are known.
    async fn admits_absence(
        &self,
        trail: &mut Trail,
        shelf: &ShelfKey,
        absent: bool,
    ) -> Result<(), MarketError> {
        if absent {
            let directory = self.directory(trail).await?;
            directory.admits(Some(&shelf.region), Some(&shelf.model))?;
        }
        Ok(())
    }

    pub(super) async fn sheet(
        &self,
        trail: &mut Trail,
        shelf: &ShelfKey,
    ) -> Result<Option<Fetched<PricedShelf>>, CacheError> {
        let of = shelf.clone();
        let load = move |market: Self, known: LoadContext<PricedShelf>| {
            market.load_sheet(of.clone(), shown_before(&known))
        };
        self.read(trail, &keys::sheet(shelf), load).await
    }

    pub(super) async fn section(
        &self,
        trail: &mut Trail,
        section: &SectionKey,
    ) -> Result<Option<Fetched<PricedSection>>, CacheError> {
        let of = section.clone();
        let load = move |market: Self, _| market.load_section(of.clone());
        self.read(trail, &keys::section(section), load).await
    }

    pub(super) async fn page(
        &self,
        trail: &mut Trail,
        page: &PageKey,
    ) -> Result<Option<Fetched<GpuPage>>, CacheError> {
        let of = page.clone();
        let load = move |market: Self, _| market.load_page(of.clone());
        self.read(trail, &keys::page(page), load).await
    }

    /// Reads one part: from memory without further ado when it is there.
    pub(super) async fn read<V, T, F>(
        &self,
        trail: &mut Trail,
        key: &Key<V>,
        load: impl Fn(Self, LoadContext<V>) -> F + Send + Sync + 'static,
    ) -> Result<Option<Fetched<V>>, CacheError>
    where
        V: CacheValue,
        T: IntoLoad<V>,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let fetched = match self.cache().peek(key)? {
            Some(fetched) => Some(fetched),
            None => {
                let market = self.clone();
                self.cache()
                    .get_or_load(key, move |known| load(market.clone(), known))
                    .await?
            }
        };
        fetched.iter().for_each(|fetched| trail.note(key, fetched));
        Ok(fetched)
    }
}

/// The market that some shelves are together.
fn summed<'a>(tallies: impl Iterator<Item = &'a ShelfTally>) -> MarketStats {
    let (mut states, mut bookings) = (StateCounts::default(), 0);
    let (mut asked, mut volumes) = (Vec::new(), Vec::new());
    for tally in tallies {
        states += tally.states;
        asked.extend((tally.states.available > 0).then_some(tally.asked));
        bookings += tally.day.bookings;
        volumes.extend((tally.day.bookings > 0).then_some(tally.day.volume));
    }
    let volume = Money::total(volumes);
    MarketStats::of(states, Money::total(asked), DayTotals { bookings, volume })
}

pub(super) fn failed(error: Failure) -> CacheError {
    CacheError::Load(Arc::new(edge_cache::LoadError::Failed(error)))
}
