//! Searches over ten thousand GPUs: what they find, and how little they open.
//!
//! Measured in cached values read, not in time.

use super::fixture::{Market, book, gpu, settle, shelf};
use crate::shelf::Availability;
use crate::*;

const REGIONS: [&str; 4] = ["ap", "eu", "us-east", "us-west"];
const MODELS: [&str; 5] = ["A10", "A100", "H100", "T4", "V100"];
/// Four regions of five models: ten thousand GPUs.
const PER_SHELF: usize = 500;

fn pages_opened<T>(answer: &Answer<T>) -> usize {
    answer
        .reads
        .iter()
        .filter(|read| read.key.namespace() == "gpu_availability")
        .count()
}

#[tokio::test(start_paused = true)]
async fn the_best_of_ten_thousand_are_found_on_a_few_pages() {
    let market = Market::of(&REGIONS, &MODELS, PER_SHELF);
    let node = market.node("a").await;
    let filters = [
        SearchFilter::default(),
        SearchFilter {
            min_memory: Some(MemoryMib(200_000)),
            ..SearchFilter::default()
        },
        SearchFilter {
            region: Some(Region::new("eu").unwrap()),
            ..SearchFilter::default()
        },
    ];
    for filter in filters {
        let cheap = node.cheapest_gpus(10, filter.clone()).await.unwrap();
        let fast = node.top_performing_gpus(10, filter.clone()).await.unwrap();
        assert_eq!((cheap.value.len(), fast.value.len()), (10, 10));
        assert!(cheap.value.is_sorted_by_key(|gpu| gpu.current_price));
        assert!(
            fast.value.iter().all(|gpu| gpu.model.as_str() == "V100"),
            "the fastest here"
        );
        for answer in [&cheap, &fast] {
            assert!(
                pages_opened(answer) <= 4,
                "{filter:?} opened {}",
                pages_opened(answer)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_that_nothing_can_pass_opens_no_page() {
    let market = Market::of(&REGIONS, &MODELS, PER_SHELF);
    let node = market.node("a").await;
    let filter = SearchFilter {
        max_price: Money::parse("0.5", Currency::USD).ok(),
        ..SearchFilter::default()
    };
    let none = node.search_gpus(filter, 10).await.unwrap();
    assert_eq!((none.value.len(), pages_opened(&none)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_once_is_found_again_in_memory() {
    let market = Market::of(&REGIONS, &MODELS, PER_SHELF);
    let node = market.node("a").await;
    let query = AvailabilityQuery {
        model: GpuModel::new("T4").ok(),
        limit: 100,
        ..AvailabilityQuery::default()
    };
    let first = node.gpu_availability(&query).await.unwrap();
    assert_eq!((first.value.len(), first.tier), (100, edge_cache::Tier::Source));
    assert_eq!(pages_opened(&first), 2);
    let again = node.gpu_availability(&query).await.unwrap();
    assert_eq!((again.value, again.tier), (first.value, edge_cache::Tier::L1));
}

#[tokio::test(start_paused = true)]
async fn busy_gpus_are_listed_only_when_asked_for() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    book(&node, &gpu("us", "T4", 1), "k").await;
    node.update_gpu_status(&gpu("us", "T4", 2), inventory::OperatorStatus::Offline)
        .await
        .unwrap();
    for (show, count) in [(Show::Available, 1), (Show::AvailableAndBusy, 2)] {
        let query = AvailabilityQuery {
            show,
            ..AvailabilityQuery::default()
        };
        assert_eq!(node.gpu_availability(&query).await.unwrap().value.len(), count);
    }
    let filter = SearchFilter {
        availability: Availability::Any,
        ..SearchFilter::default()
    };
    assert_eq!(node.search_gpus(filter, 10).await.unwrap().value.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shelf_of_known_names_and_a_gpu_that_do_not_exist_are_absent_and_no_error() {
    let market = Market::of(&["us"], &["T4"], 3);
    let touched = market
        .inventory
        .add([super::fixture::record("eu", "H100", 1, 0)])
        .unwrap();
    let node = market.node("a").await;
    node.stock_added(touched).await;
    let nowhere = shelf("us", "H100");
    assert_eq!(node.gpu_pricing(&nowhere).await.unwrap().value, None);
    assert_eq!(node.order_book(&nowhere).await.unwrap().value, None);
    assert_eq!(node.gpu(&gpu("us", "T4", 99)).await.unwrap().value, None);
    let stats = node
        .model_stats(&nowhere.model, Some(&nowhere.region))
        .await
        .unwrap();
    assert_eq!(stats.value.states.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn past_prices_are_told_by_the_hour() {
    let market = Market::of(&["us"], &["T4"], 4);
    let node = market.node("a").await;
    node.update_gpu_pricing(&gpu("us", "T4", 1), Money::parse("2", Currency::USD).unwrap())
        .await
        .unwrap();
    for (number, hours) in [0, 0, 3].into_iter().enumerate() {
        market
            .clock
            .advance_to(StoreTime::from_millis(hours * super::fixture::HOUR));
        book(&node, &gpu("us", "T4", number), &format!("k{number}")).await;
    }
    settle().await;
    let history = node.price_history(&shelf("us", "T4")).await.unwrap();
    let hours: Vec<_> = history
        .value
        .hours
        .iter()
        .map(|hour| (hour.start.as_millis(), hour.trades))
        .collect();
    assert_eq!(hours, [(0, 2), (3 * super::fixture::HOUR, 1)]);
    let first = history.value.hours[0];
    let paid = [Some(first.lowest), Some(first.highest), first.mean].map(|price| price.unwrap().to_string());
    assert_eq!(paid, ["1.00 USD", "2.00 USD", "1.50 USD"]);
    assert!(matches!(
        history.freshness,
        edge_cache::Freshness::WithinTtl { .. }
    ));
}
