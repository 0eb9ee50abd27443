//! The systems of record as the service asks them: where a GPU stands, what a page shows now.
//!
//! Nothing here is cached except what can never change: a GPU stays on the page it was listed on.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use super::Failure;
use super::tape::Tape;
use crate::shelf::{GpuPage, PageKey};
use crate::{
    BidBook, BookingGroups, BookingLedger, BookingStore, BookingTerms, GpuId, Inventory, InventoryControl,
    PricingPolicy, ProviderId, StoreClock, StoreTime,
};

/// The systems of record behind a marketplace, and the rule and clock it goes by.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::{Currency, ManualClock, MemoryBids, MemoryBookings, MemoryInventory, Records, ScarcityPricing, StoreTime};
/// let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
/// let bookings = Arc::new(MemoryBookings::new(clock.clone()));
/// let inventory = Arc::new(MemoryInventory::new(clock.clone(), Currency::USD));
/// let records = Records {
///     bookings: bookings.clone(),
///     groups: bookings.clone(),
///     terms: bookings.clone(),
///     ledger: bookings,
///     inventory: inventory.clone(),
///     control: inventory,
///     bids: Arc::new(MemoryBids::new(clock.clone())),
///     pricing: Arc::new(ScarcityPricing),
///     clock,
/// };
/// # let _ = records;
/// ```
#[derive(Clone)]
pub struct Records {
    /// Decides bookings.
    pub bookings: Arc<dyn BookingStore>,
    /// Decides about several at once; the same store's.
    pub groups: Arc<dyn BookingGroups>,
    /// Moves the ends of bookings; the same store's.
    pub terms: Arc<dyn BookingTerms>,
    /// Tells what was decided.
    pub ledger: Arc<dyn BookingLedger>,
    /// Tells what GPUs there are.
    pub inventory: Arc<dyn Inventory>,
    /// Changes what GPUs there are.
    pub control: Arc<dyn InventoryControl>,
    /// Keeps the bids that wait.
    pub bids: Arc<dyn BidBook>,
    /// Prices a supply; the same rule on every node.
    pub pricing: Arc<dyn PricingPolicy>,
    /// The stores' clock.
    pub clock: Arc<dyn StoreClock>,
}

/// The records, with what was learned from them.
pub(super) struct Source {
    pub(super) records: Records,
    pub(super) tape: Tape,
    /// Where each GPU stands that was ever asked for, and whose it is: as many as there are GPUs.
    places: DashMap<GpuId, (PageKey, ProviderId)>,
}

/// The shortest life of a view: the grain of the stores' clock.
const INSTANT: Duration = Duration::from_millis(1);

impl Source {
    pub(super) fn new(records: Records) -> Self {
        Self {
            records,
            tape: Tape::default(),
            places: DashMap::new(),
        }
    }

    pub(super) fn now(&self) -> StoreTime {
        self.records.clock.now()
    }

    /// The page a GPU is on; `None` when there is no such GPU.
    pub(super) async fn place(&self, gpu: &GpuId) -> Result<Option<PageKey>, Failure> {
        let known = self.known(gpu).await?;
        Ok(known.map(|(page, _)| page))
    }

    /// The page a GPU is on and its provider; `None` when there is no such GPU.
    pub(super) async fn known(&self, gpu: &GpuId) -> Result<Option<(PageKey, ProviderId)>, Failure> {
        if let Some(known) = self.places.get(gpu) {
            return Ok(Some(known.clone()));
        }
        let Some(located) = self.records.inventory.gpu(gpu).await? else {
            return Ok(None);
        };
        let known = (located.page, located.gpu.provider);
        self.places.insert(gpu.clone(), known.clone());
        Ok(Some(known))
    }

    /// A page as it is now; `None` when there is no such page.
    pub(super) async fn page(&self, key: &PageKey) -> Result<Option<GpuPage>, Failure> {
        let Some(listed) = self.records.inventory.page(key).await? else {
            return Ok(None);
        };
        let ids: Vec<GpuId> = listed.gpus.iter().map(|gpu| gpu.id.clone()).collect();
        let occupied = self.records.ledger.occupied(&ids, self.now()).await?;
        Ok(Some(GpuPage::assemble(&listed, &occupied)))
    }

    /// How long a view may be shown that time alone changes at `changes_at`, and that lives for `ttl` otherwise.
    pub(super) fn life(&self, changes_at: Option<StoreTime>, ttl: Duration) -> Duration {
        let left = changes_at.map_or(ttl, |instant| instant.since(self.now()));
        left.clamp(INSTANT, ttl.max(INSTANT))
    }
}
