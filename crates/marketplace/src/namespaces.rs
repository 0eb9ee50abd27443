//! The marketplace's classes of cached data: what each is called, how long it lives, who is told of its changes.
//!
//! Nothing here fetches or computes; the policies are the product's table, and a test compares them with it.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Lane, Namespace, Policy, Propagation, Version};
use edge_cache::EdgeCacheBuilder;
use serde::{Deserialize, Serialize};

use crate::shelf::{DayTotals, GpuPage, OrderBook, PriceSheet, Section, ShelfKey, StateCounts};
use crate::{Money, ProviderStatus, StoreTime};

/// A megabyte in the table of classes: a million bytes, as memory is sold and billed.
pub const MEGABYTE: u64 = 1_000_000;

/// Entries a class may hold on one node unless the node's settings say otherwise: the upper end of what an edge
/// node is planned for.
const ENTRIES: u64 = 5_000;

/// Which GPUs of a page can be booked.
pub const GPU_AVAILABILITY: Namespace<GpuPage> = Namespace::new("gpu_availability", critical(30, 100));

/// What a shelf costs, and what is on its pages.
pub const GPU_PRICING: Namespace<PricedShelf> = Namespace::new("gpu_pricing", critical(60, 50));

/// Stretches of shelves that are too large for one sheet: part of the pricing, and of its policy.
pub const SHELF_SECTION: Namespace<PricedSection> = Namespace::new("shelf_section", critical(60, 50));

/// What is on offer on a shelf, what is wanted there, and what was last paid.
pub const ORDER_BOOK: Namespace<ShelfBook> = Namespace::new("order_book", critical(5, 200));

/// Whether a provider's GPUs can be reached.
pub const PROVIDER_STATUS: Namespace<ProviderStatus> = Namespace::new("provider_status", bulk(120, 50));

/// A region in numbers. The whole market is the sum of its regions and has no key of its own: a key that every
/// booking everywhere had to write would be the market's bottleneck.
pub const MARKET_STATS: Namespace<RegionTally> = Namespace::new("market_stats", bulk(300, 100));

/// What was paid on a shelf, hour by hour. The past does not change, so nobody is told of it: only its end grows.
pub const HISTORICAL_DATA: Namespace<PriceHistory> = Namespace::new(
    "historical_data",
    Policy::ttl_only(Duration::from_secs(3600)).with_memory(500 * MEGABYTE, ENTRIES),
);

/// Which shelves there are. Not one of the product's classes, but the table of contents of the others: one small
/// value, read by every search, and changed only when the inventory grows.
pub const SHELF_LIST: Namespace<ShelfList> =
    Namespace::new("shelf_list", critical(300, 1).with_memory(MEGABYTE, 16));

const fn critical(seconds: u64, megabytes: u64) -> Policy {
    bulk(seconds, megabytes).with_lane(Lane::Critical)
}

/// Small values travel inside their events: a node that shows them needs no read after a booking elsewhere.
const fn bulk(seconds: u64, megabytes: u64) -> Policy {
    Policy::event_driven(Duration::from_secs(seconds))
        .with_propagation(Propagation::Value)
        .with_memory(megabytes * MEGABYTE, ENTRIES)
}

/// What each class may take in memory on one node, in bytes.
pub(crate) const BUDGETS: [(&str, u64); 8] = [
    (GPU_AVAILABILITY.name(), GPU_AVAILABILITY.policy().max_bytes),
    (GPU_PRICING.name(), GPU_PRICING.policy().max_bytes),
    (SHELF_SECTION.name(), SHELF_SECTION.policy().max_bytes),
    (ORDER_BOOK.name(), ORDER_BOOK.policy().max_bytes),
    (PROVIDER_STATUS.name(), PROVIDER_STATUS.policy().max_bytes),
    (MARKET_STATS.name(), MARKET_STATS.policy().max_bytes),
    (HISTORICAL_DATA.name(), HISTORICAL_DATA.policy().max_bytes),
    (SHELF_LIST.name(), SHELF_LIST.policy().max_bytes),
];

/// Registers every class, each under what `adapt` makes of its policy.
pub(crate) fn register_with(
    builder: EdgeCacheBuilder,
    mut adapt: impl FnMut(&'static str, Policy) -> Policy,
) -> EdgeCacheBuilder {
    macro_rules! register {
        ($($namespace:ident)*) => {
            builder$(.namespace_with(&$namespace, adapt($namespace.name(), *$namespace.policy())))*
        };
    }
    register!(
        GPU_AVAILABILITY GPU_PRICING SHELF_SECTION ORDER_BOOK PROVIDER_STATUS MARKET_STATS HISTORICAL_DATA
        SHELF_LIST
    )
}

/// A price sheet and the versions of the parts it was put together from. A summary gives way only to that of a
/// newer part, so that nodes which change different parts at once do not undo each other's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedShelf {
    /// The sheet.
    pub sheet: Arc<PriceSheet>,
    /// For each part of the sheet, in its order, the version of the part.
    pub of: Vec<Version>,
    /// When all parts were last read; the sheet is put together anew when that is a TTL ago.
    pub assembled: StoreTime,
}

/// A section of a shelf, as a sheet with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedSection {
    /// The section.
    pub section: Arc<Section>,
    /// For each part of the section, in its order, the version of the part.
    pub of: Vec<Version>,
    /// When all parts were last read; the section is put together anew when that is a TTL ago.
    pub assembled: StoreTime,
}

/// An order book and the version of the price sheet it was computed from; it gives way only to that of a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfBook {
    /// The order book.
    pub book: Arc<OrderBook>,
    /// The version of the sheet.
    pub of: Version,
}

/// What the statistics of one region are summed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionTally {
    /// Its shelves, in order.
    pub shelves: Vec<ShelfTally>,
    /// When all price sheets were last read; the tally is taken anew when that is a TTL ago.
    pub assembled: StoreTime,
}

/// One shelf's part of the statistics; it gives way only to that of a newer price sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfTally {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// The version of its price sheet.
    pub of: Version,
    /// Its GPUs by state.
    pub states: StateCounts,
    /// The sum of the current prices of available GPUs; `None` when there are none, or it does not fit.
    pub asked: Option<Money>,
    /// Bookings and volume of the last 24 hours, as they were when the tally was written.
    pub day: DayTotals,
    /// When time alone will change it.
    pub changes_at: Option<StoreTime>,
}

/// All shelves of the market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfList {
    /// In order of region and model, each with the number of its pages.
    pub shelves: Vec<(ShelfKey, u32)>,
}

/// What was paid on one shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceHistory {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// The hours with a trade, oldest first, of the last seven days.
    pub hours: Vec<TradedHour>,
}

/// The trades of one hour of one shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradedHour {
    /// When it began.
    pub start: StoreTime,
    /// Bookings confirmed in it, those cancelled later included: a price was agreed.
    pub trades: u64,
    /// The lowest price per hour that was paid.
    pub lowest: Money,
    /// The highest.
    pub highest: Money,
    /// The mean; `None` when the sum does not fit.
    pub mean: Option<Money>,
}

#[cfg(test)]
mod tests {
    use cache_core::Coherence;

    use super::*;

    #[test]
    fn every_class_lives_as_the_product_says() {
        let policies = [
            (GPU_AVAILABILITY.name(), GPU_AVAILABILITY.policy()),
            (GPU_PRICING.name(), GPU_PRICING.policy()),
            (ORDER_BOOK.name(), ORDER_BOOK.policy()),
            (PROVIDER_STATUS.name(), PROVIDER_STATUS.policy()),
            (MARKET_STATS.name(), MARKET_STATS.policy()),
            (HISTORICAL_DATA.name(), HISTORICAL_DATA.policy()),
        ];
        use Coherence::{EventDriven, TtlOnly};
        use Lane::{Bulk, Critical};
        let table = [
            ("gpu_availability", 30, EventDriven, Critical, 100),
            ("gpu_pricing", 60, EventDriven, Critical, 50),
            ("order_book", 5, EventDriven, Critical, 200),
            ("provider_status", 120, EventDriven, Bulk, 50),
            ("market_stats", 300, EventDriven, Bulk, 100),
            ("historical_data", 3600, TtlOnly, Bulk, 500),
        ];
        for ((name, policy), row) in policies.into_iter().zip(table) {
            let megabytes = policy.max_bytes / 1_000_000;
            let seconds = policy.l2_ttl.as_secs();
            assert_eq!((name, seconds, policy.coherence, policy.lane, megabytes), row);
            assert_eq!(policy.l1_ttl, policy.l2_ttl, "{name}");
        }
    }
}
