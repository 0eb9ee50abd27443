//! Bookings in two steps on several nodes.
//!
//! Who wins a race for a hold is the conformance suite's subject.

use std::time::Duration;

use super::fixture::{Market, book, gpu, request, settle};
use crate::inventory::OperatorStatus;
use crate::*;

const LASTS: Duration = Duration::from_secs(300);

async fn held(node: &Marketplace) -> (NewBooking, ConfirmRequest) {
    let wanted = request(node, &gpu("us", "T4", 0), "k").await;
    let held = node.hold_booking(wanted.clone(), LASTS).await.unwrap();
    assert!(matches!(held.effects, Effects::Published { .. }), "{held:?}");
    let (id, fence) = held.outcome.won().unwrap();
    let (user, key) = (wanted.user.clone(), IdempotencyKey::new("buy").unwrap());
    (wanted, ConfirmRequest { user, key, id, fence })
}

async fn status(node: &Marketplace) -> GpuStatus {
    node.gpu(&gpu("us", "T4", 0)).await.unwrap().value.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_held_gpu_is_shown_as_taken_and_bought_at_its_price_after_the_quote_has_ended() {
    let market = Market::of(&["us"], &["T4"], 3);
    let (a, b) = (market.node("a").await, market.node("b").await);
    assert_eq!(status(&b).await, GpuStatus::Available);
    let (wanted, confirm) = held(&a).await;
    settle().await;
    assert_eq!(status(&b).await, GpuStatus::Busy);
    book(&b, &gpu("us", "T4", 1), "scarcer").await;
    market.clock.advance(LASTS - Duration::from_millis(1));
    let bought = b.confirm_booking(confirm.clone()).await.unwrap();
    assert!(matches!(bought.outcome, BookingOutcome::Won { .. }), "{bought:?}");
    let booking = market.records.ledger.booking(&confirm.id).await.unwrap().unwrap();
    assert_eq!(booking.quote, wanted.quote.price());
    let again = a.confirm_booking(confirm).await.unwrap().outcome;
    assert!(matches!(again, BookingOutcome::Replay(_)), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_not_bought_after_it_has_lapsed() {
    let market = Market::of(&["us"], &["T4"], 3);
    let a = market.node("a").await;
    let (_, confirm) = held(&a).await;
    market.clock.advance(LASTS);
    let late = a.confirm_booking(confirm).await.unwrap();
    assert_eq!((late.outcome, late.reason), (BookingOutcome::Gone, None));
}

#[tokio::test(start_paused = true)]
async fn a_hold_whose_base_price_moved_is_given_back_with_the_price_of_now() {
    let market = Market::of(&["us"], &["T4"], 3);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let (wanted, confirm) = held(&a).await;
    a.update_gpu_pricing(&wanted.gpu, Money::parse("7", Currency::USD).unwrap())
        .await
        .unwrap();
    let refused = a.confirm_booking(confirm).await.unwrap();
    let Some(Reason::PriceMoved { now }) = refused.reason else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (refused.outcome, now.version),
        (BookingOutcome::Gone, PriceVersion(1))
    );
    settle().await;
    assert_eq!(status(&b).await, GpuStatus::Available);
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_a_gpu_that_went_out_of_service_is_given_back() {
    let market = Market::of(&["us"], &["T4"], 3);
    let a = market.node("a").await;
    let (wanted, confirm) = held(&a).await;
    a.update_gpu_status(&wanted.gpu, OperatorStatus::Maintenance)
        .await
        .unwrap();
    let refused = a.confirm_booking(confirm).await.unwrap();
    assert_eq!(refused.reason, Some(Reason::OutOfService(wanted.gpu.clone())));
    a.update_gpu_status(&wanted.gpu, OperatorStatus::InService)
        .await
        .unwrap();
    assert_eq!(status(&a).await, GpuStatus::Available);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_would_keep_others_out_is_refused() {
    let market = Market::of(&["us"], &["T4"], 3);
    let a = market.node("a").await;
    let wanted = request(&a, &gpu("us", "T4", 0), "k").await;
    let Err(MarketError::Refused(refusal)) = a.hold_booking(wanted, Duration::from_secs(901)).await else {
        panic!("not refused")
    };
    assert_eq!(
        refusal.to_string(),
        "the hold is to last 901 s; the longest lasts 900 s"
    );
}
