//! What happens to a change whose node dies, or whose shared store is away: nothing is lost.
//!
//! The cache's own promises under faults are the simulation's subject.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_memory::Cut;
use edge_cache::{Delivery, Filter};

use super::fixture::{HOUR, Market, book, gpu, request, settle, shelf};
use crate::*;

/// Decides a booking as a node that dies right after does it.
async fn commit_and_die(market: &Market, wanted: NewBooking) {
    let NewBooking {
        user,
        key,
        gpu,
        interval,
        quote,
    } = wanted;
    let ttl = Duration::from_secs(30);
    let hold = HoldRequest {
        user: user.clone(),
        key,
        gpu,
        interval,
        quote: quote.price(),
        ttl,
    };
    let (id, fence) = market.bookings.hold(hold).await.unwrap().won().unwrap();
    let key = IdempotencyKey::new("confirm").unwrap();
    let confirmed = market
        .bookings
        .confirm(ConfirmRequest { user, key, id, fence })
        .await
        .unwrap();
    assert!(confirmed.won().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_node_died_is_told_by_another_once() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let _subscription = a.cache().on(Filter::all(), move |delivery| {
        assert!(matches!(delivery, Delivery::Event(_)));
        *count.lock().unwrap() += 1;
        std::future::ready(())
    });
    let id = gpu("us", "T4", 0);
    commit_and_die(&market, request(&a, &id, "k").await).await;
    assert_eq!(
        a.gpu(&id).await.unwrap().value.unwrap().status,
        GpuStatus::Available,
        "nobody was told"
    );
    let early = b.drain_changes(Cursor::START).await.unwrap();
    assert_eq!(
        (early.next, early.repaired),
        (Cursor::START, 0),
        "its node may still tell"
    );
    market.clock.advance(Duration::from_secs(2));
    let drained = b.drain_changes(Cursor::START).await.unwrap();
    assert_eq!((drained.next, drained.repaired), (Cursor(2), 1));
    settle().await;
    assert_eq!(a.gpu(&id).await.unwrap().value.unwrap().status, GpuStatus::Busy);
    assert_eq!(
        a.drain_changes(Cursor::START).await.unwrap(),
        Drained {
            next: Cursor(2),
            repaired: 0
        }
    );
    assert_eq!(*told.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_tells_what_is_left_untold_and_ends_when_told_to() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let id = gpu("us", "T4", 0);
    commit_and_die(&market, request(&a, &id, "k").await).await;
    a.gpu(&id).await.unwrap();
    let stop = async {
        market.clock.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    b.follow_changes(stop).await;
    settle().await;
    assert_eq!(a.gpu(&id).await.unwrap().value.unwrap().status, GpuStatus::Busy);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_told_is_not_told_again() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    book(&a, &gpu("us", "T4", 0), "k").await;
    settle().await;
    market.clock.advance(Duration::from_secs(5));
    for node in [&a, &b] {
        assert_eq!(
            node.drain_changes(Cursor::START).await.unwrap(),
            Drained {
                next: Cursor(2),
                repaired: 0
            }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_booking_stands_while_the_shared_store_is_away_and_is_told_afterwards() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let id = gpu("us", "T4", 0);
    let wanted = request(&a, &id, "k").await;
    b.gpu(&id).await.unwrap();
    market.hub.partition("a", Cut::Data);
    let booked = a.create_booking(wanted).await.unwrap();
    assert!(booked.outcome.won().is_some());
    assert_eq!(booked.effects, Effects::Queued);
    assert_eq!(
        a.gpu(&id).await.unwrap().value.unwrap().status,
        GpuStatus::Busy,
        "this node knows"
    );
    market.hub.heal("a");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(a.cache().stats().owed, 0);
    assert_eq!(b.gpu(&id).await.unwrap().value.unwrap().status, GpuStatus::Busy);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_nobody_confirmed_is_free_again_for_everyone() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b) = (market.node("a").await, market.node("b").await);
    let NewBooking {
        user,
        key,
        gpu,
        interval,
        quote,
    } = request(&a, &gpu("us", "T4", 0), "k").await;
    let hold = HoldRequest {
        user,
        key,
        gpu: gpu.clone(),
        interval,
        quote: quote.price(),
        ttl: Duration::from_secs(30),
    };
    market.bookings.hold(hold).await.unwrap();
    market.clock.advance(Duration::from_secs(3));
    a.drain_changes(Cursor::START).await.unwrap();
    settle().await;
    assert_eq!(b.gpu(&gpu).await.unwrap().value.unwrap().status, GpuStatus::Busy);
    market.clock.advance(Duration::from_secs(30));
    market.bookings.expire_holds(10).await.unwrap();
    market.clock.advance(Duration::from_secs(2));
    a.drain_changes(Cursor::START).await.unwrap();
    settle().await;
    assert_eq!(
        b.gpu(&gpu).await.unwrap().value.unwrap().status,
        GpuStatus::Available
    );
}

#[tokio::test(start_paused = true)]
async fn a_view_ends_when_time_changes_what_it_shows() {
    let market = Market::of(&["us"], &["T4"], 4);
    let node = market.node("a").await;
    market.clock.advance_to(StoreTime::from_millis(10));
    book(&node, &gpu("us", "T4", 0), "k").await;
    market.clock.advance_to(StoreTime::from_millis(10 + HOUR - 4_000));
    node.dynamic_price(&shelf("us", "T4")).await;
    node.update_gpu_status(&gpu("us", "T4", 1), inventory::OperatorStatus::Maintenance)
        .await
        .unwrap();
    let states = async || node.market_stats(None).await.unwrap().value.states;
    assert_eq!((states().await.busy, states().await.available), (1, 2));
    market.clock.advance(Duration::from_secs(4));
    tokio::time::advance(Duration::from_secs(4)).await;
    settle().await;
    assert_eq!((states().await.busy, states().await.available), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn what_two_nodes_drain_at_once_is_handled_once() {
    let market = Market::of(&["us"], &["T4"], 4);
    let (a, b, c) = (
        market.node("a").await,
        market.node("b").await,
        market.node("c").await,
    );
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let handled = told.clone();
    let _subscription = c.on_bookings(move |news| handled.lock().unwrap().push((news.id, news.change)));
    let NewBooking {
        user,
        key,
        gpu,
        interval,
        quote,
    } = request(&a, &gpu("us", "T4", 0), "k").await;
    let ttl = Duration::from_secs(30);
    let hold = HoldRequest {
        user: user.clone(),
        key: key.clone(),
        gpu,
        interval,
        quote: quote.price(),
        ttl,
    };
    let (id, fence) = market.bookings.hold(hold).await.unwrap().won().unwrap();
    let key = IdempotencyKey::new("buy").unwrap();
    let confirm = ConfirmRequest {
        user,
        key,
        id: id.clone(),
        fence,
    };
    market.bookings.confirm(confirm).await.unwrap();
    market.clock.advance(Duration::from_secs(3));
    let (by_a, by_b) = tokio::join!(a.drain_changes(Cursor::START), b.drain_changes(Cursor::START));
    assert_eq!(
        (by_a.unwrap().repaired, by_b.unwrap().repaired),
        (1, 1),
        "both told of it"
    );
    settle().await;
    assert_eq!(*told.lock().unwrap(), [(id, ChangeKind::Confirmed)]);
}
