//! The in-memory inventory under every operation its ports offer.
//!
//! Nothing here is about bookings.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::{Cores, GpuModel, ManualClock, MemoryMib, PerformanceScore, Region, StoreTime};

fn record(number: usize, provider: &str, region: &str, model: &str) -> GpuRecord {
    GpuRecord {
        id: GpuId::new(format!("gpu-{number}")).unwrap(),
        provider: ProviderId::new(provider).unwrap(),
        model: GpuModel::new(model).unwrap(),
        region: Region::new(region).unwrap(),
        memory: MemoryMib(16_384),
        cores: Cores(2_560),
        score: PerformanceScore(650),
        base_price: Money::from_micros(100_000, Currency::USD),
        price_version: PriceVersion::FIRST,
        status: OperatorStatus::InService,
        updated: StoreTime::from_millis(0),
    }
}

fn market(gpus: impl IntoIterator<Item = GpuRecord>) -> (MemoryInventory, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let inventory = MemoryInventory::new(clock.clone(), Currency::USD);
    inventory.add(gpus).unwrap();
    (inventory, clock)
}

fn id(number: usize) -> GpuId {
    GpuId::new(format!("gpu-{number}")).unwrap()
}

#[tokio::test]
async fn a_shelf_is_cut_into_pages_of_64_in_the_order_gpus_were_added() {
    let (inventory, _) = market((0..130).map(|n| record(n, "p", "us", "T4")));
    let catalogue = inventory.catalogue().await.unwrap();
    assert_eq!((catalogue[0].gpus, catalogue[0].pages), (130, 3));
    let mut listed = Vec::new();
    for key in catalogue[0].page_keys() {
        listed.extend(
            inventory
                .page(&key)
                .await
                .unwrap()
                .unwrap()
                .gpus
                .into_iter()
                .map(|gpu| gpu.id),
        );
    }
    assert_eq!(listed, (0..130).map(id).collect::<Vec<_>>());
    let beyond = PageKey {
        shelf: catalogue[0].shelf.clone(),
        page: 3,
    };
    assert_eq!(inventory.page(&beyond).await.unwrap(), None);
}

#[tokio::test]
async fn only_the_page_of_a_changed_gpu_is_touched_and_its_revision_rises() {
    let (inventory, clock) = market((0..130).map(|n| record(n, "p", "us", "T4")));
    let key = inventory.gpu(&id(70)).await.unwrap().unwrap().page;
    let before = inventory.page(&key).await.unwrap().unwrap();
    let other = PageKey {
        page: 0,
        ..key.clone()
    };
    let untouched = inventory.page(&other).await.unwrap();

    clock.advance(Duration::from_millis(5));
    let touched = inventory
        .set_status(&id(70), OperatorStatus::Maintenance)
        .await
        .unwrap();
    assert_eq!(touched.pages, BTreeSet::from([key.clone()]));
    assert_eq!(touched.shelves, BTreeSet::from([key.shelf.clone()]));
    let after = inventory.page(&key).await.unwrap().unwrap();
    assert!(after.revision > before.revision);
    assert_eq!(after.gpus[6].updated.as_millis(), 5);
    assert_eq!(inventory.page(&other).await.unwrap(), untouched);
}

#[tokio::test]
async fn a_change_to_what_is_so_already_touches_nothing() {
    let (inventory, _) = market([record(0, "p", "us", "T4")]);
    let same = Money::from_micros(100_000, Currency::USD);
    assert_eq!(
        inventory
            .set_status(&id(0), OperatorStatus::InService)
            .await
            .unwrap(),
        Touched::default()
    );
    assert_eq!(
        inventory.set_base_price(&id(0), same).await.unwrap(),
        Touched::default()
    );
    let online = inventory
        .set_provider_status(&ProviderId::new("p").unwrap(), ProviderStatus::Online)
        .await;
    assert_eq!(online.unwrap(), Touched::default());
    assert_eq!(
        inventory.gpu(&id(0)).await.unwrap().unwrap().gpu.price_version,
        PriceVersion::FIRST
    );
}

#[tokio::test]
async fn a_new_base_price_raises_the_price_version() {
    let (inventory, _) = market([record(0, "p", "us", "T4")]);
    let price = Money::from_micros(200_000, Currency::USD);
    inventory.set_base_price(&id(0), price).await.unwrap();
    let gpu = inventory.gpu(&id(0)).await.unwrap().unwrap().gpu;
    assert_eq!((gpu.base_price, gpu.price_version), (price, PriceVersion(1)));
}

#[tokio::test]
async fn a_provider_takes_its_gpus_offline_and_each_returns_to_the_state_it_had_or_was_given() {
    let (inventory, _) = market([
        record(0, "p", "us", "T4"),
        record(1, "p", "eu", "A10"),
        record(2, "p", "us", "T4"),
        record(3, "q", "us", "T4"),
    ]);
    let provider = ProviderId::new("p").unwrap();
    inventory
        .set_status(&id(1), OperatorStatus::Maintenance)
        .await
        .unwrap();
    let down = inventory
        .set_provider_status(&provider, ProviderStatus::Offline)
        .await
        .unwrap();
    assert_eq!((down.shelves.len(), down.pages.len()), (2, 2));
    inventory
        .set_status(&id(2), OperatorStatus::Offline)
        .await
        .unwrap();
    assert_eq!(statuses(&inventory).await, "off off off on");
    inventory
        .set_provider_status(&provider, ProviderStatus::Online)
        .await
        .unwrap();
    assert_eq!(statuses(&inventory).await, "on repair off on");
    let provider = inventory.provider(&provider).await.unwrap().unwrap();
    assert_eq!((provider.status, provider.gpus), (ProviderStatus::Online, 3));
}

async fn statuses(inventory: &MemoryInventory) -> String {
    let mut words = Vec::new();
    for number in 0..4 {
        words.push(
            match inventory.gpu(&id(number)).await.unwrap().unwrap().gpu.status {
                OperatorStatus::InService => "on",
                OperatorStatus::Offline => "off",
                OperatorStatus::Maintenance => "repair",
            },
        );
    }
    words.join(" ")
}

#[tokio::test]
async fn what_is_not_listed_is_refused_by_name() {
    let (inventory, _) = market([record(0, "p", "us", "T4")]);
    let error = inventory
        .set_status(&id(9), OperatorStatus::Offline)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Rejected, "inventory: there is no GPU gpu-9")
    );
    let nobody = ProviderId::new("nobody").unwrap();
    assert!(
        inventory
            .set_provider_status(&nobody, ProviderStatus::Offline)
            .await
            .is_err()
    );
    assert_eq!(inventory.provider(&nobody).await.unwrap(), None);
    assert_eq!(inventory.gpu(&id(9)).await.unwrap(), None);
}

#[tokio::test]
async fn a_price_that_is_not_the_markets_and_a_name_that_is_taken_are_refused() {
    let (inventory, _) = market([record(0, "p", "us", "T4")]);
    let euro = Money::from_micros(1, "EUR".parse().unwrap());
    assert!(inventory.set_base_price(&id(0), euro).await.is_err());
    assert!(
        inventory
            .set_base_price(&id(0), Money::from_micros(-1, Currency::USD))
            .await
            .is_err()
    );
    assert!(inventory.add([record(0, "p", "us", "T4")]).is_err());
}
