//! Figures of models and providers, each against a sum made by hand.
//!
//! The whole market is compared with the records in `truth`.

use super::fixture::{Market, book, cancel, gpu, settle, shelf};
use crate::inventory::OperatorStatus;
use crate::*;

#[tokio::test(start_paused = true)]
async fn a_model_is_summed_up_in_its_region_and_everywhere() {
    let market = Market::of(&["eu", "us"], &["T4", "V100"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    for (region, model) in [("us", "T4"), ("eu", "T4"), ("us", "V100")] {
        book(&a, &gpu(region, model, 0), &format!("{region} {model}")).await;
    }
    a.update_gpu_status(&gpu("us", "T4", 1), OperatorStatus::Maintenance)
        .await
        .unwrap();
    a.update_gpu_pricing(&gpu("us", "T4", 2), Money::parse("3", Currency::USD).unwrap())
        .await
        .unwrap();
    settle().await;
    let shelf = shelf("us", "T4");
    let here = b
        .model_stats(&shelf.model, Some(&shelf.region))
        .await
        .unwrap()
        .value;
    assert_eq!(
        (here.states.available, here.states.busy, here.states.maintenance),
        (2, 1, 1)
    );
    assert_eq!(
        here.average_price.map(|price| price.to_string()).as_deref(),
        Some("2.00 USD"),
        "1 and 3, half of the shelf being available"
    );
    assert_eq!(here.utilisation.to_string(), "33.3 %", "one of three in service");
    assert_eq!(
        (here.day.bookings, here.day.volume),
        (1, Money::parse("1", Currency::USD).ok())
    );
    let everywhere = b.model_stats(&shelf.model, None).await.unwrap().value;
    assert_eq!((everywhere.states.available, everywhere.day.bookings), (5, 2));
    assert_eq!(
        everywhere.average_price.map(|price| price.to_string()).as_deref(),
        Some("1.40 USD"),
        "1 and 3 here, three times 1 there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_summed_up_over_all_its_shelves() {
    // Every tenth GPU of a region is of the same provider: here two T4 and two V100.
    let market = Market::of(&["us"], &["T4", "V100"], 20);
    let node = market.node("a").await;
    let provider = ProviderId::new("us-provider-3").unwrap();
    let booked = book(&node, &gpu("us", "T4", 3), "k").await;
    book(&node, &gpu("us", "T4", 4), "another provider's").await;
    let stats = async || node.provider_stats(&provider).await.unwrap().value.unwrap();
    let figures = stats().await.figures;
    assert_eq!((figures.states.available, figures.states.busy), (3, 1));
    assert_eq!(
        figures.average_price.map(|price| price.to_string()).as_deref(),
        Some("1.333333 USD"),
        "1.00, 1.50 and 1.50"
    );
    assert_eq!(
        (figures.day.bookings, figures.day.volume),
        (1, Money::parse("1", Currency::USD).ok())
    );
    assert_eq!(figures.utilisation.to_string(), "25.0 %");
    cancel(&node, &booked, "c").await;
    node.update_provider_status(&provider, ProviderStatus::Offline)
        .await
        .unwrap();
    let gone = stats().await;
    assert_eq!(
        (gone.status, gone.figures.states.offline),
        (ProviderStatus::Offline, 4)
    );
    assert_eq!((gone.figures.average_price, gone.figures.day.bookings), (None, 0));
    let nobody = ProviderId::new("nobody").unwrap();
    assert_eq!(node.provider_stats(&nobody).await.unwrap().value, None);
}
