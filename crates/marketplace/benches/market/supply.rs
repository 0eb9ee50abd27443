//! A market of any size on one node, with prices, memory and scores that differ from GPU to GPU.
//!
//! The shared store is the embedded one: what is measured is the node, not a network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{BincodeCodec, Codec, CodecError, CodecId, NativeFormat, Visit};
use cache_l1::MemoryStores;
use cache_memory::Hub;
use edge_cache::{EdgeCache, Ports};
use marketplace::inventory::{GpuRecord, MemoryInventory, OperatorStatus};
use marketplace::{
    AvailabilityQuery, Cores, Currency, GpuId, GpuModel, ManualClock, Marketplace, MemoryBids,
    MemoryBookings, MemoryMib, Money, PerformanceScore, PriceVersion, ProviderId, Records, Region,
    ScarcityPricing, ShelfKey, StoreTime,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How supply is divided.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Five regions of ten models: a market as it is.
    FiftyShelves,
    /// All of one model in one region: the worst case.
    OneShelf,
}

impl Shape {
    pub(crate) fn shelves(self) -> Vec<ShelfKey> {
        let (regions, models) = match self {
            Self::FiftyShelves => (5, 10),
            Self::OneShelf => (1, 1),
        };
        let shelf = |number: usize| ShelfKey {
            region: Region::new(format!("region-{}", number / models)).expect("a name"),
            model: GpuModel::new(format!("model-{}", number % models)).expect("a name"),
        };
        (0..regions * models).map(shelf).collect()
    }
}

/// The market and its one node.
pub(crate) struct Market {
    pub(crate) node: Marketplace,
    shelves: Vec<ShelfKey>,
    gpus: Vec<GpuId>,
    codec: Arc<Counting>,
}

impl Market {
    pub(crate) async fn of(size: usize, shape: Shape) -> Self {
        let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
        let inventory = Arc::new(MemoryInventory::new(clock.clone(), Currency::USD));
        let (shelves, mut dice) = (shape.shelves(), StdRng::seed_from_u64(7));
        let records: Vec<GpuRecord> = (0..size)
            .map(|number| record(&shelves[number % shelves.len()], number, &mut dice))
            .collect();
        let gpus = records.iter().map(|gpu| gpu.id.clone()).collect();
        inventory.add(records).expect("each is listed once");
        let bookings = Arc::new(MemoryBookings::new(clock.clone()));
        let records = Records {
            bookings: bookings.clone(),
            groups: bookings.clone(),
            terms: bookings.clone(),
            ledger: bookings,
            inventory: inventory.clone(),
            control: inventory,
            bids: Arc::new(MemoryBids::new(clock.clone())),
            pricing: Arc::new(ScarcityPricing),
            clock,
        };
        let end = Arc::new(Hub::builder().build().endpoint("node"));
        let mut ports = Ports::new(Arc::new(MemoryStores), end.clone(), end);
        let codec = Arc::new(Counting::default());
        ports.codecs = vec![codec.clone()];
        let cache = Marketplace::register(EdgeCache::builder(ports))
            .start()
            .expect("a right setup");
        assert!(cache.ready(Duration::from_secs(30)).await);
        Self {
            node: Marketplace::new(cache, records),
            shelves,
            gpus,
            codec,
        }
    }

    /// Reads everything once.
    pub(crate) async fn warm(&self) {
        let everything = AvailabilityQuery {
            limit: usize::MAX,
            ..AvailabilityQuery::default()
        };
        let all = self.node.gpu_availability(&everything).await;
        assert_eq!(all.expect("the market answers").value.len(), self.gpus.len());
        for shelf in &self.shelves {
            self.node.order_book(shelf).await.expect("the market answers");
        }
        self.node.market_stats(None).await.expect("the market answers");
    }

    pub(crate) fn any_shelf(&self, dice: &mut StdRng) -> ShelfKey {
        self.shelves[dice.random_range(0..self.shelves.len())].clone()
    }

    pub(crate) fn any_gpu(&self, dice: &mut StdRng) -> GpuId {
        self.gpus[dice.random_range(0..self.gpus.len())].clone()
    }

    /// Bytes that were encoded so far to be written to the shared store.
    pub(crate) fn encoded(&self) -> u64 {
        self.codec.bytes.load(Ordering::Relaxed)
    }
}

fn record(shelf: &ShelfKey, number: usize, dice: &mut StdRng) -> GpuRecord {
    GpuRecord {
        id: GpuId::new(format!("node-{}/gpu-{}", number / 8, number % 8)).expect("a name"),
        provider: ProviderId::new(format!("provider-{}", number / 800)).expect("a name"),
        model: shelf.model.clone(),
        region: shelf.region.clone(),
        memory: MemoryMib(16_384 << dice.random_range(0..4)),
        cores: Cores(2_560 * dice.random_range(1..4)),
        score: PerformanceScore(dice.random_range(100..10_000)),
        base_price: Money::from_micros(dice.random_range(100..4_000) * 1_000, Currency::USD),
        price_version: PriceVersion::FIRST,
        status: OperatorStatus::InService,
        updated: StoreTime::from_millis(0),
    }
}

/// The usual codec, and how much it wrote.
#[derive(Default)]
struct Counting {
    bytes: AtomicU64,
}

impl Codec for Counting {
    fn id(&self) -> CodecId {
        BincodeCodec.id()
    }

    fn native(&self) -> Option<NativeFormat> {
        // It wants to see each value.
        None
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
        let before = into.len();
        BincodeCodec.encode(value, into)?;
        self.bytes
            .fetch_add((into.len() - before) as u64, Ordering::Relaxed);
        Ok(())
    }

    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
        BincodeCodec.decode(bytes, visit)
    }
}
