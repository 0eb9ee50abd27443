//! The in-memory store under the conformance suite, and what it alone promises.
//!
//! Everything that holds for any store is in the suite, not here.

use std::time::Duration;

use super::*;
use crate::bookings::{Completeness, KEY_RETENTION};
use crate::conformance::{self, Ports, Subject};
use crate::{
    BookingStore, Currency, HoldRequest, IdempotencyKey, Interval, ManualClock, Money, Quote, UserId,
};

struct InMemory;

#[async_trait]
impl Subject for InMemory {
    async fn open(&self, clock: Arc<ManualClock>) -> Ports {
        Ports::of(Arc::new(MemoryBookings::new(clock)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_to_the_booking_ports() {
    conformance::booking_store(&InMemory).await;
}

fn request(start: i64) -> HoldRequest {
    let at = StoreTime::from_millis;
    HoldRequest {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new(format!("{start}")).unwrap(),
        gpu: GpuId::new("gpu-1").unwrap(),
        interval: Interval::new(at(start), at(start + 10)).unwrap(),
        quote: Quote {
            price_per_hour: Money::from_micros(1, Currency::USD),
            version: PriceVersion::FIRST,
        },
        ttl: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn a_reader_that_fell_behind_is_told_that_it_lagged() {
    let store = MemoryBookings::with_log_rows(Arc::new(ManualClock::at(StoreTime::from_millis(0))), 3);
    for start in 0..5 {
        store.hold(request(start * 10)).await.unwrap();
    }
    let behind = store.changes_since(Cursor(1), 10).await.unwrap();
    assert_eq!(behind.completeness, Completeness::Lagged);
    assert_eq!(
        behind.rows.iter().map(|row| row.cursor.0).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    let caught_up = store.changes_since(Cursor(2), 10).await.unwrap();
    assert_eq!(
        (caught_up.completeness, caught_up.rows.len()),
        (Completeness::Complete, 3)
    );
    let ahead = store.changes_since(Cursor(9), 10).await.unwrap();
    assert_eq!((ahead.rows.len(), ahead.next), (0, Cursor(9)));
}

#[tokio::test]
async fn what_is_over_is_forgotten_after_a_day_and_its_key_is_free_again() {
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = MemoryBookings::new(clock.clone());
    let late = HoldRequest {
        interval: request(200_000_000).interval,
        ..request(1)
    };
    let (id, _) = store.hold(late.clone()).await.unwrap().won().unwrap();
    clock.advance(Duration::from_secs(2));
    assert_eq!(store.expire_holds(10).await.unwrap(), 1);
    clock.advance(KEY_RETENTION);
    store.expire_holds(10).await.unwrap();
    assert!(
        matches!(store.hold(late).await.unwrap(), BookingOutcome::Won { .. }),
        "decided afresh"
    );
    assert_eq!(store.booking(&id).await.unwrap(), None);
    assert_eq!(store.owners.len(), 1);
    assert_eq!(store.keys.remembered(), 1);
}

#[test]
fn decisions_on_one_gpu_stay_quick_behind_many_bookings() {
    let mut timeline = Timeline::default();
    let mut out = Vec::new();
    let now = StoreTime::from_millis(0);
    for number in 0..20_000 {
        let id = BookingId::new(format!("b-{number}")).unwrap();
        let outcome = timeline.hold(&request(number * 20), id, now, &mut out).unwrap();
        assert!(matches!(outcome, BookingOutcome::Won { .. }));
    }
    let id = BookingId::new("late").unwrap();
    let between = timeline
        .hold(&request(200_010), id.clone(), now, &mut out)
        .unwrap();
    assert!(matches!(between, BookingOutcome::Won { .. }));
    let taken = timeline.hold(&request(200_015), id, now, &mut out).unwrap();
    assert!(matches!(taken, BookingOutcome::Conflict { .. }));
}
