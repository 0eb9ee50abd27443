//! Small pages and sheets for the tests of this folder.
//!
//! They are built by the public functions, so that a fixture cannot hold what a view could not.

use super::{GpuPage, PageKey, PartSummary, PriceSheet, ShelfKey, Summary};
use crate::inventory::{GpuRecord, InventoryPage, OperatorStatus};
use crate::{
    BookingId, Cores, Currency, Fence, GpuId, GpuModel, Holder, MemoryMib, Money, Occupancy,
    PerformanceScore, PriceVersion, ProviderId, Region, ScarcityPricing, StoreTime,
};

pub(super) fn usd(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

pub(super) fn shelf(region: &str, model: &str) -> ShelfKey {
    ShelfKey {
        region: Region::new(region).unwrap(),
        model: GpuModel::new(model).unwrap(),
    }
}

/// A page with one GPU in service for each base price; scores fall from slot to slot.
pub(super) fn listed(region: &str, model: &str, page: u32, prices: &[&str]) -> InventoryPage {
    let key = PageKey {
        shelf: shelf(region, model),
        page,
    };
    let gpus = prices.iter().enumerate().map(|(slot, price)| GpuRecord {
        id: GpuId::new(format!("{key}/{slot}")).unwrap(),
        provider: ProviderId::new("p").unwrap(),
        model: key.shelf.model.clone(),
        region: key.shelf.region.clone(),
        memory: MemoryMib(16_384),
        cores: Cores(2_560),
        score: PerformanceScore(1_000 - slot as u32),
        base_price: usd(price),
        price_version: PriceVersion::FIRST,
        status: OperatorStatus::InService,
        updated: StoreTime::from_millis(0),
    });
    let gpus = gpus.collect();
    InventoryPage {
        key,
        revision: 1,
        gpus,
    }
}

pub(super) fn free_page(region: &str, model: &str, page: u32, prices: &[&str]) -> GpuPage {
    GpuPage::assemble(&listed(region, model, page, prices), &[])
}

pub(super) fn sheet(pages: &[GpuPage]) -> PriceSheet {
    let shelf = pages[0].key.shelf.clone();
    PriceSheet::assemble(shelf, 0, pages.iter().map(part), &ScarcityPricing, None)
}

pub(super) fn part(page: &GpuPage) -> PartSummary {
    PartSummary {
        number: page.key.page,
        summary: Summary::of_page(page),
    }
}

pub(super) fn taken(gpu: &GpuId, until: i64) -> Occupancy {
    let holder = Holder {
        booking: BookingId::new("b-1").unwrap(),
        fence: Fence(1),
    };
    Occupancy {
        gpu: gpu.clone(),
        holder: Some(holder),
        changes_at: Some(StoreTime::from_millis(until)),
    }
}
