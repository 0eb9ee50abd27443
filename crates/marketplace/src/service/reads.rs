//! What a buyer asks: all of it answered from the cache, with the bound that holds for the answer.
//!
//! No answer decides anything; a booking is decided by the store, whatever was shown here.

use std::num::NonZeroU64;
use std::sync::Arc;

use cache_core::Key;
use edge_cache::{CacheError, CacheValue, Fetched, IntoLoad};

use super::answer::Trail;
use super::load::sum;
use super::{Answer, Failure, Marketplace, keys};
use crate::namespaces::{PriceHistory, PricedShelf, RegionTally, ShelfTally};
use crate::shelf::{
    DayTotals, GpuPage, MarketStats, OrderBook, PageKey, PriceSheet, Ranking, Search, SearchFilter, Share,
    ShelfKey, StateCounts,
};
use crate::{Gpu, GpuId, GpuModel, GpuStatus, Multiplier, ProviderId, ProviderStatus, Quote, Region};

/// Which GPUs to list.
///
/// ```
/// use marketplace::{AvailabilityQuery, Show};
/// let query = AvailabilityQuery { limit: 20, ..AvailabilityQuery::default() };
/// assert_eq!(query.show, Show::Available);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailabilityQuery {
    /// Only this region.
    pub region: Option<Region>,
    /// Only this model.
    pub model: Option<GpuModel>,
    /// Whether busy ones are listed too.
    pub show: Show,
    /// At most so many. Default 100: a page of a list.
    pub limit: usize,
}

/// Which states of GPUs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// Those that can be booked now.
    #[default]
    Available,
    /// Those and the busy ones, not those out of service.
    AvailableAndBusy,
}

impl Default for AvailabilityQuery {
    fn default() -> Self {
        Self {
            region: None,
            model: None,
            show: Show::Available,
            limit: 100,
        }
    }
}

/// Every read fails only as the cache does: `Load` when a record had to answer and could not.
impl Marketplace {
    /// The GPUs of a region, a model, or all, in the order of shelves and pages.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn gpu_availability(&self, query: &AvailabilityQuery) -> Result<Answer<Vec<Gpu>>, CacheError> {
        let mut trail = Trail::of(64);
        let sheets = self
            .sheets(&mut trail, query.region.as_ref(), query.model.as_ref())
            .await?;
        let mut found = Vec::with_capacity(query.limit.min(256));
        let pages = sheets
            .iter()
            .flat_map(|priced| priced.sheet.pages.iter().map(move |page| (&priced.sheet, page)));
        for (sheet, summary) in pages {
            if found.len() >= query.limit {
                break;
            }
            if !query.show.any_of(summary.states) {
                continue;
            }
            if let Some(page) = self.page(&mut trail, &sheet.page_key(summary)).await? {
                let shown = page
                    .gpus
                    .iter()
                    .enumerate()
                    .filter(|(_, gpu)| query.show.admits(gpu.status));
                let gpus = shown.filter_map(|(slot, _)| page.gpu(slot, sheet.multiplier));
                found.extend(gpus.take(query.limit - found.len()));
            }
        }
        Ok(trail.answer(found))
    }

    /// A shelf's price sheet; `None` when there is no such shelf.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn gpu_pricing(&self, shelf: &ShelfKey) -> Result<Answer<Option<Arc<PriceSheet>>>, CacheError> {
        let mut trail = Trail::of(1);
        let sheet = self.sheet(&mut trail, shelf).await?;
        Ok(trail.answer(sheet.map(|priced| Arc::clone(&priced.sheet))))
    }

    /// A shelf's order book; `None` when there is no such shelf.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn order_book(&self, shelf: &ShelfKey) -> Result<Answer<Option<Arc<OrderBook>>>, CacheError> {
        let mut trail = Trail::of(1);
        let of = shelf.clone();
        let book = self
            .read(&mut trail, &keys::book(shelf), move |market| {
                market.load_book(of.clone())
            })
            .await?;
        Ok(trail.answer(book.map(|book| Arc::clone(&book.book))))
    }

    /// What was paid on a shelf in the last seven days. It may be an hour old: the class is bounded by its TTL alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn price_history(&self, shelf: &ShelfKey) -> Result<Answer<Arc<PriceHistory>>, CacheError> {
        let mut trail = Trail::of(1);
        let of = shelf.clone();
        let history = self
            .read(&mut trail, &keys::history(shelf), move |market| {
                market.load_history(of.clone())
            })
            .await?;
        let empty = || {
            Arc::new(PriceHistory {
                shelf: shelf.clone(),
                hours: Vec::new(),
            })
        };
        Ok(trail.answer(history.map_or_else(empty, Fetched::into_arc)))
    }

    /// A region in numbers, or the whole market.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn market_stats(&self, region: Option<&Region>) -> Result<Answer<MarketStats>, CacheError> {
        let mut trail = Trail::of(8);
        let regions = match region {
            Some(region) => vec![region.clone()],
            None => self.directory(&mut trail).await?.regions(),
        };
        let mut tallies = Vec::with_capacity(regions.len());
        for region in regions {
            let key = keys::tally(&region);
            tallies.extend(
                self.read(&mut trail, &key, move |market| market.load_tally(region.clone()))
                    .await?,
            );
        }
        let stats = summed(tallies.iter().map(|tally| &**tally));
        Ok(trail.answer(stats))
    }

    /// Whether a provider's GPUs can be reached; `None` when there is no such provider.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn provider_status(
        &self,
        id: &ProviderId,
    ) -> Result<Answer<Option<ProviderStatus>>, CacheError> {
        let mut trail = Trail::of(1);
        let of = id.clone();
        let status = self
            .read(&mut trail, &keys::provider(id), move |market| {
                market.load_provider(of.clone())
            })
            .await?;
        Ok(trail.answer(status.map(|status| *status)))
    }

    /// The `k` fastest GPUs that pass, the cheaper of equals first.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn top_performing_gpus(
        &self,
        k: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, CacheError> {
        self.ranked(Ranking::TopPerforming, k, filter).await
    }

    /// The `k` cheapest GPUs that pass, the faster of equals first.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn cheapest_gpus(
        &self,
        k: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, CacheError> {
        self.ranked(Ranking::Cheapest, k, filter).await
    }

    /// Up to `limit` GPUs that pass, cheapest first.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn search_gpus(
        &self,
        filter: SearchFilter,
        limit: usize,
    ) -> Result<Answer<Vec<Gpu>>, CacheError> {
        self.ranked(Ranking::Cheapest, limit, filter).await
    }

    /// One GPU; `None` when there is none of that name.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn gpu(&self, id: &GpuId) -> Result<Answer<Option<Gpu>>, CacheError> {
        self.about(id, GpuPage::gpu).await
    }

    /// The price to name in a booking of one GPU; `None` when there is none of that name.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn quote(&self, id: &GpuId) -> Result<Answer<Option<Quote>>, CacheError> {
        self.about(id, |page, slot, multiplier| {
            page.gpus.get(slot).map(|gpu| Quote {
                price_per_hour: multiplier.applied_to(gpu.base_price),
                version: gpu.price_version,
            })
        })
        .await
    }

    async fn about<T>(
        &self,
        id: &GpuId,
        tell: impl FnOnce(&GpuPage, usize, Multiplier) -> Option<T>,
    ) -> Result<Answer<Option<T>>, CacheError> {
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

    async fn ranked(
        &self,
        ranking: Ranking,
        limit: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, CacheError> {
        let mut trail = Trail::of(64);
        let sheets = self
            .sheets(&mut trail, filter.region.as_ref(), filter.model.as_ref())
            .await?;
        let mut search = Search::new(filter, ranking, limit, sheets.iter().map(|priced| &*priced.sheet));
        while let Some(key) = search.next_page() {
            if let Some(page) = self.page(&mut trail, &key).await? {
                search.take(&page);
            }
        }
        Ok(trail.answer(search.finish()))
    }

    async fn sheet(
        &self,
        trail: &mut Trail,
        shelf: &ShelfKey,
    ) -> Result<Option<Fetched<PricedShelf>>, CacheError> {
        let of = shelf.clone();
        self.read(trail, &keys::sheet(shelf), move |market| {
            market.load_sheet(of.clone())
        })
        .await
    }

    pub(super) async fn page(
        &self,
        trail: &mut Trail,
        page: &PageKey,
    ) -> Result<Option<Fetched<GpuPage>>, CacheError> {
        let of = page.clone();
        self.read(trail, &keys::page(page), move |market| {
            market.load_page(of.clone())
        })
        .await
    }

    /// Reads one part: from memory without further ado when it is there.
    pub(super) async fn read<V, T, F>(
        &self,
        trail: &mut Trail,
        key: &Key<V>,
        load: impl Fn(Self) -> F + Send + Sync + 'static,
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
                    .get_or_load(key, move |_| load(market.clone()))
                    .await?
            }
        };
        fetched.iter().for_each(|fetched| trail.note(key, fetched));
        Ok(fetched)
    }
}

impl Show {
    pub(super) fn admits(self, status: GpuStatus) -> bool {
        match self {
            Self::Available => status == GpuStatus::Available,
            Self::AvailableAndBusy => matches!(status, GpuStatus::Available | GpuStatus::Busy),
        }
    }

    fn any_of(self, states: StateCounts) -> bool {
        states.available > 0 || (self == Self::AvailableAndBusy && states.busy > 0)
    }
}

/// The market that some regions are together.
fn summed<'a>(tallies: impl Iterator<Item = &'a RegionTally>) -> MarketStats {
    let (mut states, mut bookings) = (StateCounts::default(), 0);
    let (mut prices, mut volumes) = (Vec::new(), Vec::new());
    for tally in tallies {
        tally
            .shelves
            .iter()
            .for_each(|shelf: &ShelfTally| states += shelf.states);
        prices.extend(tally.shelves.iter().map(|shelf| shelf.prices));
        bookings += tally.day.bookings;
        volumes.extend((tally.day.bookings > 0).then_some(tally.day.volume));
    }
    let mean = |total: crate::Money| total.scaled(1, NonZeroU64::new(states.total())?).ok();
    MarketStats {
        states,
        average_price: prices.into_iter().reduce(sum).flatten().and_then(mean),
        day: DayTotals {
            bookings,
            volume: volumes.into_iter().reduce(sum).flatten(),
        },
        utilisation: Share::of(states.busy, states.busy + states.available),
    }
}

fn failed(error: Failure) -> CacheError {
    CacheError::Load(Arc::new(edge_cache::LoadError::Failed(error)))
}
