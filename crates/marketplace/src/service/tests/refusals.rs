//! Requests that are wrong, each answered by an error that says what would be right; and quotes that do not hold.
//!
//! Texts that are no names and ends before starts are refused where they are made: see `name` and `interval`.

use std::time::Duration;

use super::fixture::{HOUR, Market, gpu, record, request, shelf};
use crate::inventory::{InventoryFault, OperatorStatus};
use crate::*;

const YEAR: i64 = 365 * 24 * HOUR;

fn refusal<T: std::fmt::Debug>(answer: Result<T, MarketError>) -> String {
    match answer.unwrap_err() {
        MarketError::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn fault<T: std::fmt::Debug>(answer: Result<T, MarketError>) -> String {
    match answer.unwrap_err() {
        MarketError::Inventory(error) => inventory_fault(&error),
        other => panic!("{other:?}"),
    }
}

fn inventory_fault(error: &InventoryError) -> String {
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let cause = std::error::Error::source(error).unwrap();
    cause.downcast_ref::<InventoryFault>().unwrap().to_string()
}

fn at(millis: i64) -> StoreTime {
    StoreTime::from_millis(millis)
}

fn euros(text: &str) -> Money {
    Money::parse(text, "EUR".parse().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_booking_is_refused_with_what_would_be_right() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let right = request(&node, &gpu("us", "T4", 0), "k").await;
    let quote = right.quote;
    let interval = |start, end| Interval::new(at(start), at(end)).unwrap();
    let table: [(NewBooking, &str); 6] = [
        (
            NewBooking {
                gpu: gpu("us", "T4", 9),
                ..right.clone()
            },
            "there is no GPU us/T4/9; a search tells which there are",
        ),
        (
            NewBooking {
                interval: interval(0, YEAR + 1_000),
                ..right.clone()
            },
            "the booking takes 31536001 s; the longest takes 31536000 s",
        ),
        (
            NewBooking {
                interval: interval(YEAR + 1, YEAR + HOUR),
                ..right.clone()
            },
            "the booking begins at 31536000001 ms; the latest that may be is 31536000000 ms",
        ),
        (
            NewBooking {
                quote: TimedQuote {
                    price_per_hour: Money::parse("-1", Currency::USD).unwrap(),
                    ..quote
                },
                ..right.clone()
            },
            "the price is -1.00 USD; it must not be below zero",
        ),
        (
            NewBooking {
                quote: TimedQuote {
                    price_per_hour: euros("1"),
                    ..quote
                },
                ..right.clone()
            },
            "the price is 1.00 EUR; prices of this market are in USD",
        ),
        (
            NewBooking {
                key: IdempotencyKey::new("k".repeat(101)).unwrap(),
                ..right.clone()
            },
            "the idempotency key has 101 bytes; the longest has 100",
        ),
    ];
    for (wrong, said) in table {
        assert_eq!(refusal(node.create_booking(wrong).await), said);
    }
    assert!(node.create_booking(right).await.unwrap().outcome.won().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_answered_with_those_it_may_have_meant() {
    let market = Market::of(&["us-east", "us-west", "europe"], &["T4", "H100"], 1);
    let node = market.node("a").await;
    let (region, model) = (Region::new("US-esat").unwrap(), GpuModel::new("H10O").unwrap());
    let of_region = SearchFilter {
        region: Some(region.clone()),
        ..SearchFilter::default()
    };
    let of_model = SearchFilter {
        model: Some(model.clone()),
        ..SearchFilter::default()
    };
    let no_region = "there is no region US-esat; did you mean us-east or us-west?";
    let no_model = "there is no GPU model H10O; did you mean H100?";
    let query = AvailabilityQuery {
        region: Some(region.clone()),
        ..AvailabilityQuery::default()
    };
    assert_eq!(refusal(node.gpu_availability(&query).await), no_region);
    assert_eq!(refusal(node.search_gpus(of_region.clone(), 1).await), no_region);
    assert_eq!(refusal(node.cheapest_gpus(1, of_model.clone()).await), no_model);
    assert_eq!(refusal(node.top_performing_gpus(1, of_region).await), no_region);
    assert_eq!(refusal(node.nearby_gpus(of_model, 1).await), no_model);
    assert_eq!(refusal(node.market_stats(Some(&region)).await), no_region);
    assert_eq!(refusal(node.model_stats(&model, None).await), no_model);
    let nowhere = shelf("US-esat", "T4");
    let hour = Interval::new(at(0), at(HOUR)).unwrap();
    assert_eq!(refusal(node.gpu_pricing(&nowhere).await), no_region);
    assert_eq!(refusal(node.order_book(&nowhere).await), no_region);
    assert_eq!(refusal(node.price_history(&nowhere).await), no_region);
    assert_eq!(refusal(node.candidates(&nowhere, hour, None, 1).await), no_region);
    let unlike = Region::new("mars").unwrap();
    assert_eq!(
        refusal(node.market_stats(Some(&unlike)).await),
        "there is no region mars"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_change_of_the_inventory_is_refused_with_what_would_be_right() {
    let market = Market::of(&["us"], &["T4"], 1);
    let node = market.node("a").await;
    let (known, unknown) = (gpu("us", "T4", 0), gpu("us", "T4", 9));
    let dollar = Money::parse("1", Currency::USD).unwrap();
    let negative = Money::parse("-0.01", Currency::USD).unwrap();
    assert_eq!(
        fault(node.update_gpu_status(&unknown, OperatorStatus::Offline).await),
        "there is no GPU us/T4/9"
    );
    assert_eq!(
        fault(node.update_gpu_pricing(&unknown, dollar).await),
        "there is no GPU us/T4/9"
    );
    assert_eq!(
        fault(node.update_gpu_pricing(&known, negative).await),
        "the price is -0.01 USD; it must not be below zero"
    );
    assert_eq!(
        fault(node.update_gpu_pricing(&known, euros("1")).await),
        "the price is 1.00 EUR; prices of this market are in USD"
    );
    let nobody = ProviderId::new("nobody").unwrap();
    assert_eq!(
        fault(
            node.update_provider_status(&nobody, ProviderStatus::Offline)
                .await
        ),
        "there is no provider nobody"
    );
    let twice = market.inventory.add([record("us", "T4", 0, 0)]).unwrap_err();
    assert_eq!(
        inventory_fault(&twice),
        "GPU us/T4/0 is listed already, on page us/T4/0; every GPU needs a name of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_begins_in_the_past_is_gone_and_says_when_it_may_begin() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let late = request(&node, &gpu("us", "T4", 0), "k").await;
    let start = late.interval.start();
    market.clock.advance(Duration::from_secs(60));
    let fresh = TimedQuote {
        valid_until: at(HOUR),
        ..late.quote
    };
    let in_time = NewBooking {
        key: IdempotencyKey::new("in time").unwrap(),
        quote: fresh,
        ..late.clone()
    };
    assert!(
        node.create_booking(in_time.clone())
            .await
            .unwrap()
            .outcome
            .won()
            .is_some()
    );
    market.clock.advance(Duration::from_millis(1));
    let late = NewBooking {
        gpu: gpu("us", "T4", 1),
        quote: fresh,
        ..late
    };
    let refused = node.create_booking(late.clone()).await.unwrap();
    let earliest = at(1);
    assert_eq!(refused.outcome, BookingOutcome::Gone);
    assert_eq!(refused.reason, Some(Reason::InThePast { start, earliest }));
    let free = market
        .bookings
        .occupied(std::slice::from_ref(&late.gpu), market.clock.now())
        .await
        .unwrap();
    assert_eq!(free[0].holder, None);
    let again = node.create_booking(in_time).await.unwrap().outcome;
    assert!(
        matches!(again, BookingOutcome::Replay(_)),
        "a repeated request is answered however late: {again:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quote_is_honoured_while_it_lives_however_scarce_gpus_became() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    for number in 1..3 {
        super::fixture::book(&node, &gpu("us", "T4", number), &format!("other {number}")).await;
    }
    let dearer = node.quote(&wanted.gpu).await.unwrap().value.unwrap();
    assert!(dearer.price_per_hour > wanted.quote.price_per_hour);
    market.clock.advance(Duration::from_millis(59_999));
    let booked = node.create_booking(wanted.clone()).await.unwrap();
    let (id, _) = booked.outcome.won().unwrap();
    let booking = market.records.ledger.booking(&id).await.unwrap().unwrap();
    assert_eq!(booking.quote, wanted.quote.price());
}

#[tokio::test(start_paused = true)]
async fn a_quote_that_has_ended_is_refused_with_the_price_of_now() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    for number in 1..3 {
        super::fixture::book(&node, &gpu("us", "T4", number), &format!("other {number}")).await;
    }
    market.clock.advance(Duration::from_secs(60));
    let refused = node.create_booking(wanted.clone()).await.unwrap();
    let Some(Reason::QuoteEnded { now }) = refused.reason else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.outcome, BookingOutcome::Gone);
    assert_eq!(now.price_per_hour.to_string(), "1.20 USD", "one of three is left");
    let again = NewBooking {
        key: IdempotencyKey::new("again").unwrap(),
        quote: now,
        ..wanted
    };
    assert!(node.create_booking(again).await.unwrap().outcome.won().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quote_of_an_older_base_price_is_refused_with_the_price_of_now() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    node.update_gpu_pricing(&wanted.gpu, Money::parse("7", Currency::USD).unwrap())
        .await
        .unwrap();
    let refused = node.create_booking(wanted).await.unwrap();
    assert_eq!(refused.outcome, BookingOutcome::Gone);
    let Some(Reason::PriceMoved { now }) = refused.reason else {
        panic!("{:?}", refused.reason)
    };
    assert_eq!(now.price_per_hour.to_string(), "7.00 USD");
}

#[tokio::test(start_paused = true)]
async fn candidates_whose_prices_have_ended_are_not_booked() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let candidates = node
        .candidates(
            &shelf("us", "T4"),
            Interval::new(at(60_000), at(HOUR)).unwrap(),
            None,
            3,
        )
        .await
        .unwrap()
        .value;
    market.clock.advance(Duration::from_secs(60));
    let group = NewGroupBooking {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("k").unwrap(),
        interval: Interval::new(at(60_000), at(HOUR)).unwrap(),
        count: 2.try_into().unwrap(),
        candidates,
    };
    let refused = node.create_group_booking(group).await.unwrap();
    assert_eq!(refused.outcome, BookingOutcome::Gone);
    assert!(
        matches!(refused.reason, Some(Reason::QuoteEnded { .. })),
        "{:?}",
        refused.reason
    );
}
