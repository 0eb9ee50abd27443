//! What every interval has to pass, whichever way it is made or moved, and what a failure half-way leaves behind.
//!
//! Whether an interval is free is the store's decision and tested there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::fixture::*;
use crate::inventory::{GpuRecord, InventoryPage, Located, OperatorStatus, Provider, ShelfListing};
use crate::shelf::PageKey;
use crate::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Leaves out the answers about single GPUs whose numbers are in the mask, the first being bit 0.
struct Failing {
    inventory: Arc<MemoryInventory>,
    asked: AtomicU32,
    fails: AtomicU32,
}

impl Failing {
    fn of(market: &mut Market) -> Arc<Self> {
        let failing = Arc::new(Self {
            inventory: market.inventory.clone(),
            asked: AtomicU32::new(0),
            fails: AtomicU32::new(0),
        });
        market.records.inventory = failing.clone();
        failing
    }

    /// From now on the answers of this mask fail.
    fn fail(&self, mask: u32) {
        self.asked.store(0, Ordering::Relaxed);
        self.fails.store(mask, Ordering::Relaxed);
    }
}

#[async_trait]
impl Inventory for Failing {
    async fn catalogue(&self) -> Result<Vec<ShelfListing>, InventoryError> {
        self.inventory.catalogue().await
    }

    async fn page(&self, key: &PageKey) -> Result<Option<InventoryPage>, InventoryError> {
        self.inventory.page(key).await
    }

    async fn gpu(&self, id: &GpuId) -> Result<Option<Located>, InventoryError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        if number < 32 && self.fails.load(Ordering::Relaxed) & (1 << number) != 0 {
            return Err(InventoryError::new(ErrorKind::Unavailable, "no connection"));
        }
        self.inventory.gpu(id).await
    }

    async fn provider(&self, id: &ProviderId) -> Result<Option<Provider>, InventoryError> {
        self.inventory.provider(id).await
    }

    async fn provider_gpus(&self, id: &ProviderId) -> Result<Vec<GpuRecord>, InventoryError> {
        self.inventory.provider_gpus(id).await
    }
}

/// The admission of a booking asks for its GPU, and the look before it is bought asks again: that answer fails.
const BEFORE_THE_SALE: u32 = 0b10;

fn at(millis: i64) -> StoreTime {
    StoreTime::from_millis(millis)
}

fn short() -> MarketSettings {
    MarketSettings {
        longest_booking: DAY,
        ..MarketSettings::default()
    }
}

fn too_long<T: std::fmt::Debug>(answer: Result<T, MarketError>) -> bool {
    matches!(answer.unwrap_err(), MarketError::Refused(Refusal::TooLong { longest, .. }) if longest == DAY)
}

fn extend(booked: &Booked, until: StoreTime, key: &str) -> ExtendRequest {
    let (id, fence) = booked.outcome.won().unwrap();
    let (user, key) = (UserId::new("ada").unwrap(), IdempotencyKey::new(key).unwrap());
    ExtendRequest {
        user,
        key,
        id,
        fence,
        until,
    }
}

async fn holder(market: &Market, gpu: &GpuId) -> Option<Holder> {
    let occupied = market
        .bookings
        .occupied(std::slice::from_ref(gpu), market.clock.now());
    occupied.await.unwrap().remove(0).holder
}

#[tokio::test(start_paused = true)]
async fn no_way_of_making_an_interval_longer_than_allowed_is_open() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node_with("a", short()).await;
    let right = request(&node, &gpu("us", "T4", 0), "k").await;
    let long = NewBooking {
        interval: hours(0, 25),
        ..right.clone()
    };
    assert!(too_long(node.create_booking(long.clone()).await));
    assert!(too_long(node.hold_booking(long, Duration::from_secs(60)).await));
    let here = shelf("us", "T4");
    assert!(too_long(node.candidates(&here, hours(0, 25), None, 3).await));
    let candidates = node.candidates(&here, hours(0, 24), None, 3).await.unwrap().value;
    let group = NewGroupBooking {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("group").unwrap(),
        interval: hours(0, 25),
        count: 2.try_into().unwrap(),
        candidates,
    };
    assert!(too_long(node.create_group_booking(group).await));
    let bid = NewBid {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("bid").unwrap(),
        shelf: here,
        at_most: Money::parse("9", Currency::USD).unwrap(),
        length: DAY + Duration::from_millis(1),
        until: at(HOUR),
    };
    assert!(too_long(node.post_bid(bid).await));
    let booked = node.create_booking(right).await.unwrap();
    assert!(too_long(
        node.extend_booking(extend(&booked, at(24 * HOUR + 1), "x")).await
    ));
    let whole = node
        .extend_booking(extend(&booked, at(24 * HOUR), "y"))
        .await
        .unwrap();
    assert!(matches!(whole.outcome, BookingOutcome::Won { .. }), "{whole:?}");
}

#[tokio::test(start_paused = true)]
async fn a_booking_is_not_extended_on_a_gpu_that_could_not_be_booked() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let only = gpu("us", "T4", 0);
    let booked = book(&node, &only, "k").await;
    let longer = node
        .extend_booking(extend(&booked, at(2 * HOUR), "in time"))
        .await
        .unwrap();
    assert!(matches!(longer.outcome, BookingOutcome::Won { .. }), "{longer:?}");
    let out_of_service = Some(Reason::OutOfService(only.clone()));
    node.update_gpu_status(&only, OperatorStatus::Maintenance)
        .await
        .unwrap();
    let refused = node
        .extend_booking(extend(&booked, at(3 * HOUR), "x"))
        .await
        .unwrap();
    assert_eq!(
        (refused.outcome, refused.reason),
        (BookingOutcome::Gone, out_of_service.clone())
    );
    let again = node
        .extend_booking(extend(&booked, at(2 * HOUR), "in time"))
        .await
        .unwrap();
    assert!(
        matches!(again.outcome, BookingOutcome::Replay(_)),
        "it was done before: {again:?}"
    );
    node.update_gpu_status(&only, OperatorStatus::InService)
        .await
        .unwrap();
    let provider = ProviderId::new("us-provider-0").unwrap();
    node.update_provider_status(&provider, ProviderStatus::Offline)
        .await
        .unwrap();
    let refused = node
        .extend_booking(extend(&booked, at(3 * HOUR), "x"))
        .await
        .unwrap();
    assert_eq!(
        (refused.outcome, refused.reason),
        (BookingOutcome::Gone, out_of_service)
    );
    node.update_provider_status(&provider, ProviderStatus::Online)
        .await
        .unwrap();
    let longer = node
        .extend_booking(extend(&booked, at(3 * HOUR), "x"))
        .await
        .unwrap();
    assert!(matches!(longer.outcome, BookingOutcome::Won { .. }), "{longer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_extension_at_an_outdated_price_tells_the_price_of_now() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    let only = gpu("us", "T4", 0);
    let booked = book(&node, &only, "k").await;
    node.update_gpu_pricing(&only, Money::parse("7", Currency::USD).unwrap())
        .await
        .unwrap();
    let refused = node
        .extend_booking(extend(&booked, at(2 * HOUR), "x"))
        .await
        .unwrap();
    assert!(
        matches!(refused.reason, Some(Reason::PriceMoved { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_repeated_after_its_look_failed_sells_no_gpu_in_maintenance() {
    let mut market = Market::of(&["us"], &["T4"], 3);
    let failing = Failing::of(&mut market);
    let node = market.node("a").await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    failing.fail(BEFORE_THE_SALE);
    let cut_off = node.create_booking(wanted.clone()).await;
    assert!(matches!(cut_off, Err(MarketError::Inventory(_))), "{cut_off:?}");
    assert!(holder(&market, &wanted.gpu).await.is_some(), "it is held");
    failing.fail(0);
    node.update_gpu_status(&wanted.gpu, OperatorStatus::Maintenance)
        .await
        .unwrap();
    let refused = node.create_booking(wanted.clone()).await.unwrap();
    assert_eq!(refused.reason, Some(Reason::OutOfService(wanted.gpu.clone())));
    assert_eq!(holder(&market, &wanted.gpu).await, None, "nothing is left held");
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_repeated_in_good_order_is_completed_and_then_replayed_whatever_happens() {
    let mut market = Market::of(&["us"], &["T4"], 3);
    let failing = Failing::of(&mut market);
    let settings = MarketSettings {
        quote_life: Duration::from_secs(10),
        ..MarketSettings::default()
    };
    let node = market.node_with("a", settings).await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    failing.fail(BEFORE_THE_SALE);
    node.create_booking(wanted.clone()).await.unwrap_err();
    failing.fail(0);
    // The quote has ended by now; it held when the GPU was taken.
    market.clock.advance(Duration::from_secs(20));
    let booked = node.create_booking(wanted.clone()).await.unwrap();
    assert!(matches!(booked.outcome, BookingOutcome::Won { .. }), "{booked:?}");
    node.update_gpu_status(&wanted.gpu, OperatorStatus::Maintenance)
        .await
        .unwrap();
    market.clock.advance(Duration::from_secs(3_000));
    let again = node.create_booking(wanted).await.unwrap();
    assert!(matches!(again.outcome, BookingOutcome::Replay(_)), "{again:?}");
    assert_eq!(again.outcome.won(), booked.outcome.won());
}

#[tokio::test(start_paused = true)]
async fn a_quote_that_had_ended_is_not_booked_by_repeating_the_request() {
    let mut market = Market::of(&["us"], &["T4"], 3);
    let failing = Failing::of(&mut market);
    let node = market.node("a").await;
    let wanted = request(&node, &gpu("us", "T4", 0), "k").await;
    market.clock.advance(Duration::from_secs(60));
    for lasts in [None, Some(Duration::from_secs(300))] {
        let key = IdempotencyKey::new(format!("{lasts:?}")).unwrap();
        let ask = async || {
            let wanted = NewBooking {
                key: key.clone(),
                ..wanted.clone()
            };
            match lasts {
                None => node.create_booking(wanted).await,
                Some(lasts) => node.hold_booking(wanted, lasts).await,
            }
        };
        failing.fail(BEFORE_THE_SALE);
        ask().await.unwrap_err();
        failing.fail(0);
        let refused = ask().await.unwrap();
        assert_eq!(refused.outcome, BookingOutcome::Gone);
        assert!(
            matches!(refused.reason, Some(Reason::QuoteEnded { .. })),
            "{refused:?}"
        );
        assert_eq!(holder(&market, &wanted.gpu).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_repeated_after_its_look_failed_takes_others_than_those_in_maintenance() {
    let mut market = Market::of(&["us"], &["T4"], 5);
    let failing = Failing::of(&mut market);
    let node = market.node("a").await;
    let candidates = node
        .candidates(&shelf("us", "T4"), hours(0, 1), None, 5)
        .await
        .unwrap()
        .value;
    let ids: Vec<GpuId> = candidates.list.iter().map(|one| one.gpu.clone()).collect();
    let group = NewGroupBooking {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("k").unwrap(),
        interval: hours(0, 1),
        count: 2.try_into().unwrap(),
        candidates,
    };
    failing.fail(0b10_0000);
    node.create_group_booking(group.clone()).await.unwrap_err();
    failing.fail(0);
    node.update_gpu_status(&ids[1], OperatorStatus::Maintenance)
        .await
        .unwrap();
    let booked = node.create_group_booking(group.clone()).await.unwrap();
    let granted = |booked: &Booked| -> Vec<GpuId> {
        booked
            .outcome
            .granted()
            .iter()
            .map(|one| one.gpu.clone())
            .collect()
    };
    assert_eq!(granted(&booked), ids[2..4], "{booked:?}");
    for left in [&ids[0], &ids[1], &ids[4]] {
        assert_eq!(holder(&market, left).await, None);
    }
    node.update_gpu_status(&ids[1], OperatorStatus::InService)
        .await
        .unwrap();
    let again = node.create_group_booking(group).await.unwrap();
    assert_eq!(granted(&again), ids[2..4], "a repeated request goes the same way");
}

#[tokio::test(start_paused = true)]
async fn a_bid_is_served_by_the_cheapest_gpu_that_is_free_for_all_of_its_length() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("a").await;
    // Two that are cheaper are free now, and booked from in half an hour.
    for number in 0..2 {
        let soon = NewBooking {
            interval: Interval::new(at(HOUR / 2), at(HOUR)).unwrap(),
            ..request(&node, &gpu("us", "T4", number), &format!("soon {number}")).await
        };
        assert!(node.create_booking(soon).await.unwrap().outcome.won().is_some());
    }
    let dear = gpu("us", "T4", 2);
    node.update_gpu_pricing(&dear, Money::parse("1.10", Currency::USD).unwrap())
        .await
        .unwrap();
    settle().await;
    let (bid, _) = node.post_bid(bid("2")).await.unwrap();
    let served = node.serve_bids(&shelf("us", "T4")).await.unwrap();
    assert_eq!(served.len(), 1, "{bid:?}");
    let (id, _) = served[0].1.won().unwrap();
    let booking = market.records.ledger.booking(&id).await.unwrap().unwrap();
    assert_eq!((booking.gpu, booking.interval), (dear.clone(), hours(0, 1)));
    let free = node
        .candidates(&shelf("us", "T4"), hours(0, 1), None, 9)
        .await
        .unwrap()
        .value;
    assert_eq!(free.list, [], "no GPU is free for the whole hour");
}

#[tokio::test(start_paused = true)]
async fn a_bid_that_cannot_have_the_cheapest_gpu_is_served_by_the_next_at_once() {
    let market = Market::of(&["us"], &["T4"], 3);
    let (a, b) = (market.node("a").await, market.node("b").await);
    // The records know of the maintenance, the view does not yet.
    a.cheapest_gpus(3, SearchFilter::default()).await.unwrap();
    market
        .records
        .control
        .set_status(&gpu("us", "T4", 0), OperatorStatus::Maintenance)
        .await
        .unwrap();
    let (posted, _) = b.post_bid(bid("2")).await.unwrap();
    let served = a.serve_bids(&shelf("us", "T4")).await.unwrap();
    let (id, _) = served[0].1.won().unwrap();
    let booking = market.records.ledger.booking(&id).await.unwrap().unwrap();
    assert_eq!((booking.gpu, booking.user), (gpu("us", "T4", 1), posted.user));
}

#[tokio::test(start_paused = true)]
async fn a_bid_whose_service_was_cut_off_is_served_once_in_the_next_round() {
    let mut market = Market::of(&["us"], &["T4"], 3);
    let failing = Failing::of(&mut market);
    let node = market.node("a").await;
    node.cheapest_gpus(3, SearchFilter::default()).await.unwrap();
    node.post_bid(bid("2")).await.unwrap();
    let here = shelf("us", "T4");
    failing.fail(BEFORE_THE_SALE);
    node.serve_bids(&here).await.unwrap_err();
    failing.fail(0);
    market.clock.advance(Duration::from_secs(1));
    let served = node.serve_bids(&here).await.unwrap();
    assert_eq!(
        served.len(),
        1,
        "under the key of the first round nothing else can be asked"
    );
    assert_eq!(node.serve_bids(&here).await.unwrap(), []);
    let mut taken = 0;
    for number in 0..3 {
        taken += usize::from(holder(&market, &gpu("us", "T4", number)).await.is_some());
    }
    assert_eq!(taken, 1);
}

fn bid(at_most: &str) -> NewBid {
    NewBid {
        user: UserId::new("bob").unwrap(),
        key: IdempotencyKey::new("bid").unwrap(),
        shelf: shelf("us", "T4"),
        at_most: Money::parse(at_most, Currency::USD).unwrap(),
        length: Duration::from_secs(3_600),
        until: at(HOUR),
    }
}
