//! An inventory in memory, indexed by id, provider, and shelf.
//!
//! Every operation looks only at what it names or answers; it never scans the market. It survives nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use super::{
    GpuRecord, Inventory, InventoryControl, InventoryFault, InventoryPage, Located, OperatorStatus,
    PAGE_SIZE, Provider, ShelfListing, Touched,
};
use crate::shelf::{PageKey, ShelfKey};
use crate::{
    Currency, ErrorKind, GpuId, InventoryError, Money, PriceVersion, ProviderId, ProviderStatus, StoreClock,
};

/// Keeps GPUs in memory, all priced in one currency.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::inventory::{GpuRecord, Inventory, MemoryInventory, OperatorStatus};
/// use marketplace::{Cores, Currency, GpuId, GpuModel, ManualClock, MemoryMib, Money, PerformanceScore, PriceVersion,
///     ProviderId, Region, StoreTime};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inventory = MemoryInventory::new(Arc::new(ManualClock::at(StoreTime::from_millis(0))), Currency::USD);
/// inventory.add([GpuRecord {
///     id: GpuId::new("gpu-1")?,
///     provider: ProviderId::new("provider-1")?,
///     model: GpuModel::new("T4")?,
///     region: Region::new("us-east")?,
///     memory: MemoryMib(15_109),
///     cores: Cores(2_560),
///     score: PerformanceScore(650),
///     base_price: Money::parse("0.12", Currency::USD)?,
///     price_version: PriceVersion::FIRST,
///     status: OperatorStatus::InService,
///     updated: StoreTime::from_millis(0),
/// }])?;
/// assert_eq!(inventory.catalogue().await?[0].gpus, 1);
/// # Ok(()) }
/// ```
pub struct MemoryInventory {
    clock: Arc<dyn StoreClock>,
    currency: Currency,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    shelves: BTreeMap<ShelfKey, Vec<Page>>,
    places: HashMap<GpuId, Place>,
    providers: HashMap<ProviderId, Entry>,
    revision: u64,
}

struct Page {
    revision: u64,
    gpus: Vec<GpuRecord>,
}

struct Entry {
    provider: Provider,
    gpus: Vec<GpuId>,
}

#[derive(Clone)]
struct Place {
    page: PageKey,
    slot: usize,
}

impl MemoryInventory {
    /// An empty inventory that dates changes by `clock` and takes prices in `currency`.
    #[must_use]
    pub fn new(clock: Arc<dyn StoreClock>, currency: Currency) -> Self {
        Self {
            clock,
            currency,
            state: RwLock::default(),
        }
    }

    /// Adds GPUs to the end of their shelves; a new provider begins online.
    ///
    /// # Errors
    /// `Rejected` at the first GPU whose name is taken or whose price is not the market's; those in front of it
    /// stay added.
    pub fn add(&self, gpus: impl IntoIterator<Item = GpuRecord>) -> Result<Touched, InventoryError> {
        let mut state = self.write();
        let mut touched = Touched::default();
        for gpu in gpus {
            self.check_price(gpu.base_price)?;
            state.add(gpu, &mut touched)?;
        }
        Ok(touched)
    }

    fn check_price(&self, price: Money) -> Result<(), InventoryError> {
        if price.currency != self.currency {
            let (given, market) = (price, self.currency);
            return Err(InventoryFault::WrongCurrency { given, market }.into());
        }
        if price.micros < 0 {
            return Err(InventoryFault::NegativePrice(price).into());
        }
        Ok(())
    }

    /// Applies `change` to one GPU; it says whether it changed anything.
    fn change(
        &self,
        id: &GpuId,
        change: impl FnOnce(&mut GpuRecord) -> bool,
    ) -> Result<Touched, InventoryError> {
        let mut state = self.write();
        let mut touched = Touched::default();
        let place = state.places.get(id).cloned();
        let place = place.ok_or_else(|| InventoryFault::UnknownGpu(id.clone()))?;
        let now = self.clock.now();
        let changed = state.slot(&place).is_some_and(|gpu| {
            let changed = change(gpu);
            gpu.updated = if changed { now } else { gpu.updated };
            changed
        });
        if changed {
            state.touch(&place.page, &mut touched);
        }
        Ok(touched)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Inventory for MemoryInventory {
    async fn catalogue(&self) -> Result<Vec<ShelfListing>, InventoryError> {
        let listing = |(shelf, pages): (&ShelfKey, &Vec<Page>)| ShelfListing {
            shelf: shelf.clone(),
            // All pages but the last are full.
            gpus: pages
                .last()
                .map_or(0, |last| ((pages.len() - 1) * PAGE_SIZE + last.gpus.len()) as u64),
            pages: u32::try_from(pages.len()).unwrap_or(u32::MAX),
        };
        Ok(self.read().shelves.iter().map(listing).collect())
    }

    async fn page(&self, key: &PageKey) -> Result<Option<InventoryPage>, InventoryError> {
        let state = self.read();
        let page = state
            .shelves
            .get(&key.shelf)
            .and_then(|pages| pages.get(key.page as usize));
        Ok(page.map(|page| InventoryPage {
            key: key.clone(),
            revision: page.revision,
            gpus: page.gpus.iter().map(|gpu| state.shown(gpu)).collect(),
        }))
    }

    async fn gpu(&self, id: &GpuId) -> Result<Option<Located>, InventoryError> {
        let state = self.read();
        let place = state.places.get(id);
        Ok(place.and_then(|place| {
            Some(Located {
                gpu: state.shown(state.at(place)?),
                page: place.page.clone(),
            })
        }))
    }

    async fn provider(&self, id: &ProviderId) -> Result<Option<Provider>, InventoryError> {
        Ok(self.read().providers.get(id).map(|entry| entry.provider.clone()))
    }

    async fn provider_gpus(&self, id: &ProviderId) -> Result<Vec<GpuRecord>, InventoryError> {
        let state = self.read();
        let gpus = state.providers.get(id).into_iter().flat_map(|entry| &entry.gpus);
        let listed = gpus.filter_map(|gpu| state.at(state.places.get(gpu)?));
        Ok(listed.map(|gpu| state.shown(gpu)).collect())
    }
}

#[async_trait]
impl InventoryControl for MemoryInventory {
    async fn set_status(&self, gpu: &GpuId, status: OperatorStatus) -> Result<Touched, InventoryError> {
        self.change(gpu, |gpu| std::mem::replace(&mut gpu.status, status) != status)
    }

    async fn set_base_price(&self, gpu: &GpuId, price: Money) -> Result<Touched, InventoryError> {
        self.check_price(price)?;
        self.change(gpu, |gpu| {
            let changed = std::mem::replace(&mut gpu.base_price, price) != price;
            gpu.price_version = PriceVersion(gpu.price_version.0 + u64::from(changed));
            changed
        })
    }

    async fn set_provider_status(
        &self,
        provider: &ProviderId,
        status: ProviderStatus,
    ) -> Result<Touched, InventoryError> {
        let mut state = self.write();
        let mut touched = Touched::default();
        let now = self.clock.now();
        let entry = state
            .providers
            .get_mut(provider)
            .ok_or_else(|| InventoryFault::UnknownProvider(provider.clone()))?;
        if entry.provider.status == status {
            return Ok(touched);
        }
        entry.provider.status = status;
        entry.provider.updated = now;
        for id in entry.gpus.clone() {
            let Some(place) = state.places.get(&id).cloned() else {
                continue;
            };
            // A GPU that is offline of its own looks the same with and without its provider.
            let shows = state
                .slot(&place)
                .filter(|gpu| gpu.status != OperatorStatus::Offline);
            if let Some(gpu) = shows {
                gpu.updated = now;
                state.touch(&place.page, &mut touched);
            }
        }
        Ok(touched)
    }
}

impl State {
    fn add(&mut self, gpu: GpuRecord, touched: &mut Touched) -> Result<(), InventoryError> {
        if let Some(Place { page, .. }) = self.places.get(&gpu.id).cloned() {
            return Err(InventoryFault::ListedAlready { gpu: gpu.id, page }.into());
        }
        let shelf = ShelfKey {
            region: gpu.region.clone(),
            model: gpu.model.clone(),
        };
        let pages = self.shelves.entry(shelf.clone()).or_default();
        if pages.last().is_none_or(|page| page.gpus.len() == PAGE_SIZE) {
            pages.push(Page {
                revision: 0,
                gpus: Vec::with_capacity(PAGE_SIZE),
            });
        }
        let page = u32::try_from(pages.len() - 1).map_err(|error| {
            InventoryError::new(ErrorKind::Rejected, "the shelf is full").caused_by(error)
        })?;
        let slots = &mut pages[page as usize].gpus;
        let place = Place {
            page: PageKey { shelf, page },
            slot: slots.len(),
        };
        let entry = self
            .providers
            .entry(gpu.provider.clone())
            .or_insert_with(|| Entry {
                provider: Provider {
                    id: gpu.provider.clone(),
                    status: ProviderStatus::Online,
                    gpus: 0,
                    updated: gpu.updated,
                },
                gpus: Vec::new(),
            });
        entry.provider.gpus += 1;
        entry.gpus.push(gpu.id.clone());
        self.places.insert(gpu.id.clone(), place.clone());
        slots.push(gpu);
        self.touch(&place.page, touched);
        Ok(())
    }

    fn at(&self, place: &Place) -> Option<&GpuRecord> {
        let page = self
            .shelves
            .get(&place.page.shelf)?
            .get(place.page.page as usize)?;
        page.gpus.get(place.slot)
    }

    fn slot(&mut self, place: &Place) -> Option<&mut GpuRecord> {
        self.shelves
            .get_mut(&place.page.shelf)?
            .get_mut(place.page.page as usize)?
            .gpus
            .get_mut(place.slot)
    }

    /// Revisions are drawn from one counter, so that a page's newer state has the higher one in any order of
    /// arrival.
    fn touch(&mut self, key: &PageKey, touched: &mut Touched) {
        self.revision += 1;
        let page = self
            .shelves
            .get_mut(&key.shelf)
            .and_then(|pages| pages.get_mut(key.page as usize));
        if let Some(page) = page {
            page.revision = self.revision;
        }
        touched.shelves.insert(key.shelf.clone());
        touched.pages.insert(key.clone());
    }

    fn shown(&self, gpu: &GpuRecord) -> GpuRecord {
        let provider = self.providers.get(&gpu.provider);
        let offline = provider.is_some_and(|entry| entry.provider.status == ProviderStatus::Offline);
        let status = if offline {
            OperatorStatus::Offline
        } else {
            gpu.status
        };
        GpuRecord {
            status,
            ..gpu.clone()
        }
    }
}

#[cfg(test)]
mod tests;
