//! What a booking does to every node: shown, priced, told once.
//!
//! The stores' own guarantees are the conformance suite's subject.

use std::sync::{Arc, Mutex};

use cache_core::EventKind;
use edge_cache::{Delivery, Filter, Tier};

use super::fixture::{Market, book, cancel, gpu, record, request, settle, shelf};
use crate::*;

fn loads(node: &Marketplace) -> u64 {
    node.cache().stats().total().loads
}

async fn status(node: &Marketplace, id: &GpuId) -> GpuStatus {
    node.gpu(id).await.unwrap().value.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_booking_on_one_node_is_seen_by_another_without_a_load() {
    let market = Market::of(&["us"], &["T4"], 8);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let id = gpu("us", "T4", 0);
    assert_eq!(status(&b, &id).await, GpuStatus::Available);
    b.order_book(&shelf("us", "T4")).await.unwrap();
    b.market_stats(None).await.unwrap();
    let loaded = loads(&b);
    let booked = book(&a, &id, "k").await;
    assert!(matches!(booked.effects, Effects::Published { .. }), "{booked:?}");
    settle().await;
    let shown = b.gpu(&id).await.unwrap();
    assert_eq!(shown.value.unwrap().status, GpuStatus::Busy);
    assert_ne!(shown.tier, Tier::Source);
    let book = b.order_book(&shelf("us", "T4")).await.unwrap().value.unwrap();
    assert_eq!((book.asks[0].count, book.last_trades.len()), (7, 1));
    let stats = b.market_stats(None).await.unwrap().value;
    assert_eq!((stats.states.busy, stats.day.bookings), (1, 1));
    assert_eq!(loads(&b), loaded);
}

#[tokio::test(start_paused = true)]
async fn every_booking_moves_the_price_by_the_rule_and_cancellations_move_it_back_late() {
    let market = Market::of(&["us"], &["T4"], 10);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let mut factors = Vec::new();
    let mut last = Vec::new();
    for number in 0..10 {
        last.push(book(&a, &gpu("us", "T4", number), &format!("k{number}")).await);
        settle().await;
        let sheet = b.gpu_pricing(&shelf("us", "T4")).await.unwrap().value.unwrap();
        factors.push(sheet.multiplier.as_per_mille());
    }
    assert_eq!(
        factors,
        [1000, 1000, 1000, 1000, 1000, 1200, 1200, 1500, 1500, 2000]
    );
    let given_back = cancel(&a, &last[9], "c").await;
    assert!(given_back.outcome.won().is_some());
    settle().await;
    let sheet = b.gpu_pricing(&shelf("us", "T4")).await.unwrap().value.unwrap();
    assert_eq!(
        (sheet.multiplier.as_per_mille(), sheet.whole.states.available),
        (2000, 1),
        "one GPU above the boundary is not enough"
    );
    assert_eq!(status(&b, &gpu("us", "T4", 9)).await, GpuStatus::Available);
    cancel(&a, &last[8], "c2").await;
    settle().await;
    let sheet = b.gpu_pricing(&shelf("us", "T4")).await.unwrap().value.unwrap();
    assert_eq!(sheet.multiplier.as_per_mille(), 1500);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_changes_nothing() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let id = gpu("us", "T4", 0);
    let wanted = request(&b, &id, "second").await;
    book(&a, &id, "first").await;
    settle().await;
    let puts = b.cache().stats().total().puts;
    let refused = b.create_booking(wanted).await.unwrap();
    assert!(
        matches!(refused.outcome, BookingOutcome::Conflict { .. }),
        "{refused:?}"
    );
    assert_eq!(
        (refused.effects, b.cache().stats().total().puts),
        (Effects::None, puts)
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_books_nothing_more() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let wanted = request(&a, &gpu("us", "T4", 0), "k").await;
    let first = a.create_booking(wanted.clone()).await.unwrap();
    let again = b.create_booking(wanted).await.unwrap();
    assert_eq!(again.outcome, BookingOutcome::Replay(Box::new(first.outcome)));
    assert_eq!(a.market_stats(None).await.unwrap().value.day.bookings, 1);
}

#[tokio::test(start_paused = true)]
async fn a_gpu_out_of_service_is_not_booked_and_not_left_held() {
    let market = Market::of(&["us"], &["T4"], 4);
    let a = market.node("a").await;
    let id = gpu("us", "T4", 0);
    a.update_gpu_status(&id, inventory::OperatorStatus::Maintenance)
        .await
        .unwrap();
    assert_eq!(book(&a, &id, "k").await.outcome, BookingOutcome::Gone);
    a.update_gpu_status(&id, inventory::OperatorStatus::InService)
        .await
        .unwrap();
    assert_eq!(status(&a, &id).await, GpuStatus::Available);
}

#[tokio::test(start_paused = true)]
async fn the_event_arrives_on_the_other_node_once_with_all_of_it() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let told = Arc::new(Mutex::new(Vec::new()));
    let pile = Arc::clone(&told);
    let _subscription = b.cache().on(Filter::all(), move |delivery| {
        pile.lock().unwrap().push(delivery);
        std::future::ready(())
    });
    let booked = book(&a, &gpu("us", "T4", 0), "k").await;
    settle().await;
    let told = told.lock().unwrap();
    let [Delivery::Event(event)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&event.kind, &*event.resource),
        (&EventKind::BookingCreated, "us/T4/0")
    );
    let news: News = event.data().unwrap();
    assert_eq!(news.booking.unwrap().id, booked.outcome.won().unwrap().0);
    assert_eq!(
        (news.shelves[0].states.available, news.shelves[0].multiplier),
        (3, Multiplier::ONE)
    );
    let Effects::Published { keys } = booked.effects else {
        panic!("{:?}", booked.effects)
    };
    let classes: Vec<_> = keys.iter().map(|(key, _)| key.namespace().to_owned()).collect();
    assert_eq!(
        classes,
        ["gpu_availability", "gpu_pricing", "order_book", "market_stats"]
    );
    assert_eq!(event.keys.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_new_price_is_shown_and_an_old_quote_no_longer_booked() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let id = gpu("us", "T4", 0);
    let wanted = request(&b, &id, "k").await;
    a.update_gpu_pricing(&id, Money::parse("7", Currency::USD).unwrap())
        .await
        .unwrap();
    settle().await;
    assert_eq!(
        b.gpu(&id).await.unwrap().value.unwrap().current_price.to_string(),
        "7.00 USD"
    );
    assert_eq!(
        b.create_booking(wanted).await.unwrap().outcome,
        BookingOutcome::Gone
    );
    assert!(book(&b, &id, "k2").await.outcome.won().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_provider_takes_its_gpus_offline_and_brings_them_back() {
    let market = Market::of(&["us"], &["T4", "V100"], 70);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let provider = ProviderId::new("us-provider-0").unwrap();
    let states = async || b.market_stats(None).await.unwrap().value.states;
    assert_eq!((states().await.available, states().await.offline), (140, 0));
    a.update_provider_status(&provider, ProviderStatus::Offline)
        .await
        .unwrap();
    settle().await;
    assert_eq!((states().await.available, states().await.offline), (126, 14));
    assert_eq!(
        b.provider_status(&provider).await.unwrap().value,
        Some(ProviderStatus::Offline)
    );
    assert_eq!(status(&b, &gpu("us", "V100", 60)).await, GpuStatus::Offline);
    a.update_provider_status(&provider, ProviderStatus::Online)
        .await
        .unwrap();
    settle().await;
    assert_eq!((states().await.available, states().await.offline), (140, 0));
    assert_eq!(
        b.provider_status(&provider).await.unwrap().value,
        Some(ProviderStatus::Online)
    );
}

#[tokio::test(start_paused = true)]
async fn new_gpus_and_new_shelves_are_found_on_every_node() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let all = AvailabilityQuery::default();
    assert_eq!(b.gpu_availability(&all).await.unwrap().value.len(), 4);
    let added = [
        record("us", "T4", 0, 4),
        record("us", "H100", 1, 0),
        record("eu", "H100", 1, 0),
    ];
    let touched = market.inventory.add(added).unwrap();
    assert!(matches!(a.stock_added(touched).await, Effects::Published { .. }));
    settle().await;
    assert_eq!(b.gpu_availability(&all).await.unwrap().value.len(), 7);
    assert_eq!(b.market_stats(None).await.unwrap().value.states.total(), 7);
}
