//! A market of some regions and models, and nodes that show it.
//!
//! All nodes share one hub and one set of records; each has its own memory, like processes on different machines.

use std::sync::Arc;
use std::time::Duration;

use cache_l1::MemoryStores;
use cache_memory::Hub;
use edge_cache::{EdgeCache, Ports};
use testkit::VirtualClock;

use crate::inventory::{GpuRecord, MemoryInventory, OperatorStatus, PAGE_SIZE};
use crate::shelf::ShelfKey;
use crate::*;

pub(super) const HOUR: i64 = 3_600_000;

pub(super) struct Market {
    pub(super) hub: Hub,
    /// The nodes' time: the runtime's, which is paused.
    time: Arc<VirtualClock>,
    /// The stores' time.
    pub(super) clock: Arc<ManualClock>,
    pub(super) bookings: Arc<MemoryBookings>,
    pub(super) inventory: Arc<MemoryInventory>,
    pub(super) records: Records,
}

impl Market {
    /// One shelf for each region and model, of so many GPUs each; every tenth of them has the same provider.
    pub(super) fn of(regions: &[&str], models: &[&str], gpus: usize) -> Self {
        let time = Arc::new(VirtualClock::new());
        let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
        let bookings = Arc::new(MemoryBookings::new(clock.clone()));
        let inventory = Arc::new(MemoryInventory::new(clock.clone(), Currency::USD));
        for region in regions {
            for (kind, model) in models.iter().enumerate() {
                inventory
                    .add((0..gpus).map(|number| record(region, model, kind, number)))
                    .unwrap();
            }
        }
        let records = Records {
            bookings: bookings.clone(),
            groups: bookings.clone(),
            terms: bookings.clone(),
            ledger: bookings.clone(),
            inventory: inventory.clone(),
            control: inventory.clone(),
            bids: Arc::new(MemoryBids::new(clock.clone())),
            pricing: Arc::new(ScarcityPricing),
            clock: clock.clone(),
        };
        Self {
            hub: Hub::builder().seed(1).clock(time.clone()).build(),
            time,
            clock,
            bookings,
            inventory,
            records,
        }
    }

    pub(super) async fn node(&self, name: &str) -> Marketplace {
        self.node_with(name, MarketSettings::default()).await
    }

    pub(super) async fn node_with(&self, name: &str, settings: MarketSettings) -> Marketplace {
        let end = Arc::new(self.hub.endpoint(name));
        let mut ports = Ports::new(Arc::new(MemoryStores), end.clone(), end);
        ports.clock = self.time.clone();
        let cache = Marketplace::register(EdgeCache::builder(ports))
            .node(name)
            .start()
            .expect("a right setup");
        assert!(
            cache.ready(Duration::from_secs(5)).await,
            "{name} follows every shard"
        );
        Marketplace::with_settings(cache, self.records.clone(), settings)
    }
}

pub(super) fn record(region: &str, model: &str, kind: usize, number: usize) -> GpuRecord {
    let cents = 100 + 50 * kind as i64 + (number / PAGE_SIZE) as i64;
    GpuRecord {
        id: gpu(region, model, number),
        provider: ProviderId::new(format!("{region}-provider-{}", number % 10)).unwrap(),
        model: GpuModel::new(model).unwrap(),
        region: Region::new(region).unwrap(),
        memory: MemoryMib(16_384 << kind),
        cores: Cores(2_560),
        score: PerformanceScore(100 * (kind as u32 + 1)),
        base_price: Money::from_micros(cents * 10_000, Currency::USD),
        price_version: PriceVersion::FIRST,
        status: OperatorStatus::InService,
        updated: StoreTime::from_millis(0),
    }
}

pub(super) fn gpu(region: &str, model: &str, number: usize) -> GpuId {
    GpuId::new(format!("{region}/{model}/{number}")).unwrap()
}

pub(super) fn shelf(region: &str, model: &str) -> ShelfKey {
    ShelfKey {
        region: Region::new(region).unwrap(),
        model: GpuModel::new(model).unwrap(),
    }
}

/// From one full hour to another.
pub(super) fn hours(from: i64, to: i64) -> Interval {
    let at = |hour: i64| StoreTime::from_millis(hour * HOUR);
    Interval::new(at(from), at(to)).unwrap()
}

/// Books a GPU for an hour from now at the price it is shown at.
pub(super) async fn book(node: &Marketplace, gpu: &GpuId, key: &str) -> Booked {
    node.create_booking(request(node, gpu, key).await).await.unwrap()
}

pub(super) async fn request(node: &Marketplace, gpu: &GpuId, key: &str) -> NewBooking {
    let now = node.source().now();
    NewBooking {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new(key).unwrap(),
        gpu: gpu.clone(),
        interval: Interval::new(now, StoreTime::from_millis(now.as_millis() + HOUR)).unwrap(),
        quote: node.quote(gpu).await.unwrap().value.unwrap(),
    }
}

pub(super) async fn cancel(node: &Marketplace, booked: &Booked, key: &str) -> Booked {
    let (id, fence) = booked.outcome.won().unwrap();
    let (user, key) = (UserId::new("ada").unwrap(), IdempotencyKey::new(key).unwrap());
    node.cancel_booking(CancelRequest { user, key, id, fence })
        .await
        .unwrap()
}

/// Lets every task run until all of them wait.
pub(super) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
