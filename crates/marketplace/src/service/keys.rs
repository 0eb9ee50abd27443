//! The keys of everything the marketplace caches, each built in one place.
//!
//! It knows names only; what stands under a key is its namespace's business.

use cache_core::Key;

use crate::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, HISTORICAL_DATA, MARKET_STATS, ORDER_BOOK, PROVIDER_STATUS, PriceHistory,
    PricedSection, PricedShelf, RegionTally, SHELF_LIST, SHELF_SECTION, ShelfBook, ShelfList,
};
use crate::shelf::{GpuPage, PageKey, SectionKey, ShelfKey};
use crate::{ProviderId, ProviderStatus, Region};

/// A page of a shelf.
#[must_use]
pub fn page(page: &PageKey) -> Key<GpuPage> {
    let PageKey { shelf, page } = page;
    GPU_AVAILABILITY.key(&[("region", &shelf.region), ("model", &shelf.model), ("page", page)])
}

/// A section of a shelf.
#[must_use]
pub fn section(section: &SectionKey) -> Key<PricedSection> {
    let SectionKey { shelf, level, number } = section;
    let place: [(&str, &cache_core::Param<'_>); 4] = [
        ("region", &shelf.region),
        ("model", &shelf.model),
        ("level", level),
        ("number", number),
    ];
    SHELF_SECTION.key(&place)
}

/// A shelf's price sheet.
#[must_use]
pub fn sheet(shelf: &ShelfKey) -> Key<PricedShelf> {
    GPU_PRICING.key(&[("region", &shelf.region), ("model", &shelf.model)])
}

/// A shelf's order book.
#[must_use]
pub fn book(shelf: &ShelfKey) -> Key<ShelfBook> {
    ORDER_BOOK.key(&[("region", &shelf.region), ("model", &shelf.model)])
}

/// A provider's status.
#[must_use]
pub fn provider(id: &ProviderId) -> Key<ProviderStatus> {
    PROVIDER_STATUS.key(&[("id", id)])
}

/// A region's statistics.
#[must_use]
pub fn tally(region: &Region) -> Key<RegionTally> {
    MARKET_STATS.key(&[("region", region)])
}

/// A shelf's past prices.
#[must_use]
pub fn history(shelf: &ShelfKey) -> Key<PriceHistory> {
    HISTORICAL_DATA.key(&[("region", &shelf.region), ("model", &shelf.model)])
}

/// The list of shelves.
#[must_use]
pub fn shelves() -> Key<ShelfList> {
    SHELF_LIST.key(&[])
}
