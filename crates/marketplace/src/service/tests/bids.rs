//! Bids on several nodes: shown everywhere, served in order, at most once.
//!
//! What the record of bids itself promises is tested beside it.

use std::time::Duration;

use super::fixture::{HOUR, Market, book, cancel, gpu, settle, shelf};
use crate::*;

fn usd(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

fn wanted(user: &str, at_most: &str) -> NewBid {
    NewBid {
        user: UserId::new(user).unwrap(),
        key: IdempotencyKey::new("bid").unwrap(),
        shelf: shelf("us", "T4"),
        at_most: usd(at_most),
        length: Duration::from_secs(3_600),
        until: StoreTime::from_millis(HOUR),
    }
}

async fn shown(node: &Marketplace) -> Vec<(String, u64)> {
    let book = node.order_book(&shelf("us", "T4")).await.unwrap().value.unwrap();
    let levels = book.bids.iter();
    levels
        .map(|level| (level.price.to_string(), level.count))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn bids_are_shown_on_every_node_by_price_the_highest_first() {
    let market = Market::of(&["us"], &["T4"], 1);
    let (a, b) = (market.node("a").await, market.node("b").await);
    assert_eq!(shown(&b).await, []);
    let mut posted = Vec::new();
    for (user, price) in [("ada", "0.40"), ("bob", "0.50"), ("cyd", "0.40")] {
        let (bid, effects) = a.post_bid(wanted(user, price)).await.unwrap();
        assert!(matches!(effects, Effects::Published { .. }), "{effects:?}");
        posted.push(bid);
    }
    settle().await;
    let two = ("0.40 USD".to_owned(), 2);
    assert_eq!(shown(&b).await, [("0.50 USD".to_owned(), 1), two.clone()]);
    let (withdrawn, _) = b.withdraw_bid(&posted[1].user, &posted[1].id).await.unwrap();
    assert!(withdrawn);
    settle().await;
    assert_eq!(shown(&a).await, [two]);
    market.clock.advance_to(StoreTime::from_millis(HOUR));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(shown(&a).await, [], "all are over");
}

#[tokio::test(start_paused = true)]
async fn returning_supply_is_booked_by_who_asked_first_among_those_who_pay_enough() {
    let market = Market::of(&["us"], &["T4"], 1);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let taken = book(&a, &gpu("us", "T4", 0), "k").await;
    for (user, price) in [("poor", "0.99"), ("first", "1.00"), ("second", "9.00")] {
        a.post_bid(wanted(user, price)).await.unwrap();
    }
    settle().await;
    assert_eq!(
        b.serve_bids(&shelf("us", "T4")).await.unwrap(),
        [],
        "nothing is free"
    );
    cancel(&a, &taken, "c").await;
    settle().await;
    let here = shelf("us", "T4");
    let (by_a, by_b) = tokio::join!(a.serve_bids(&here), b.serve_bids(&here));
    let served = [by_a.unwrap(), by_b.unwrap()].concat();
    // Both may have served it, at the same moment: the second is told what the first has booked.
    let (id, _) = served[0].1.won().unwrap();
    for (bid, outcome) in &served {
        assert_eq!(
            (bid, outcome.won().map(|(id, _)| id)),
            (&served[0].0, Some(id.clone()))
        );
    }
    let booking = market.records.ledger.booking(&id).await.unwrap().unwrap();
    assert_eq!(
        (booking.user.as_str(), booking.quote.price_per_hour),
        ("first", usd("1.00"))
    );
    settle().await;
    let left = [("9.00 USD".to_owned(), 1), ("0.99 USD".to_owned(), 1)];
    assert_eq!(shown(&b).await, left);
}

#[tokio::test(start_paused = true)]
async fn a_follower_serves_bids_by_itself() {
    let market = Market::of(&["us"], &["T4"], 2);
    let a = market.node("a").await;
    let (bid, _) = a.post_bid(wanted("ada", "2")).await.unwrap();
    a.follow_changes(tokio::time::sleep(Duration::from_secs(3))).await;
    assert_eq!(market.records.bids.waiting(&bid.shelf).await.unwrap(), []);
    assert_eq!(a.market_stats(None).await.unwrap().value.states.busy, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_bid_is_refused_with_what_would_be_right() {
    let market = Market::of(&["us"], &["T4"], 1);
    let node = market.node("a").await;
    let right = wanted("ada", "1");
    let table: [(NewBid, &str); 6] = [
        (
            wanted("ada", "-1"),
            "the price is -1.00 USD; it must not be below zero",
        ),
        (
            NewBid {
                at_most: Money::parse("1", "EUR".parse().unwrap()).unwrap(),
                ..right.clone()
            },
            "the price is 1.00 EUR; prices of this market are in USD",
        ),
        (
            NewBid {
                until: StoreTime::from_millis(0),
                ..right.clone()
            },
            "the bid ends at 0 ms, and it is 0 ms; a bid must end later than it is posted",
        ),
        (
            NewBid {
                length: Duration::from_secs(31_536_001),
                ..right.clone()
            },
            "the booking takes 31536001 s; the longest takes 31536000 s",
        ),
        (
            NewBid {
                length: Duration::ZERO,
                ..right.clone()
            },
            "the booking takes less than the millisecond that it must take",
        ),
        (
            NewBid {
                shelf: shelf("su", "T4"),
                ..right
            },
            "there is no region su",
        ),
    ];
    for (wrong, said) in table {
        let Err(MarketError::Refused(refusal)) = node.post_bid(wrong).await else {
            panic!("not refused: {said}")
        };
        assert_eq!(refusal.to_string(), said);
    }
}
