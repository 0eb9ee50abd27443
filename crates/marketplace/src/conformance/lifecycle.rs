//! Scenarios about the states a booking passes through.
//!
//! One request at a time; racing requests are elsewhere.

use std::time::Duration;

use super::{Bench, TTL, at, cancel, confirm, key};
use crate::{
    Booking, BookingId, BookingOutcome, BookingState, CancelRequest, ConfirmRequest, Fence, Interval,
};

async fn state(bench: &Bench, id: &BookingId) -> BookingState {
    read(bench, id).await.state
}

async fn read(bench: &Bench, id: &BookingId) -> Booking {
    bench
        .ledger
        .booking(id)
        .await
        .expect("the ledger answers")
        .expect("the booking is known")
}

pub(super) async fn a_booking_passes_from_held_to_done(bench: Bench) {
    let (id, fence) = bench.held("ada", 100, 7_200_100).await;
    let held = read(&bench, &id).await;
    assert_eq!(held.state, BookingState::Held { until: at(1_000) });
    assert_eq!(held.total_cost.to_string(), "7.20 USD", "two hours at 3.60");
    assert_eq!(
        (held.created, held.fence, held.user.as_str()),
        (at(0), fence, "ada")
    );
    assert_eq!(
        bench.confirm("ada", &id, fence).await,
        BookingOutcome::Won {
            id: id.clone(),
            fence
        }
    );
    assert_eq!(state(&bench, &id).await, BookingState::Confirmed);
    bench.clock.advance_to(at(100));
    assert_eq!(state(&bench, &id).await, BookingState::Active);
    bench.clock.advance_to(at(7_200_100));
    assert_eq!(state(&bench, &id).await, BookingState::Done);
    let unknown = BookingId::new("nobody").expect("a name");
    assert_eq!(
        bench.ledger.booking(&unknown).await.expect("the ledger answers"),
        None
    );
}

pub(super) async fn a_cancelled_booking_frees_its_interval(bench: Bench) {
    for confirmed in [false, true] {
        let (id, fence) = if confirmed {
            bench.booked("ada", 100, 200).await
        } else {
            bench.held("cleo", 100, 200).await
        };
        let user = if confirmed { "ada" } else { "cleo" };
        assert!(bench.cancel(user, &id, fence).await.won().is_some());
        assert_eq!(state(&bench, &id).await, BookingState::Cancelled);
    }
    bench.held("bob", 100, 200).await;
}

pub(super) async fn cancelling_an_active_booking_releases_the_rest(bench: Bench) {
    let (id, fence) = bench.booked("ada", 0, 3_600_000).await;
    bench.clock.advance_to(at(1_800_000));
    assert!(bench.cancel("ada", &id, fence).await.won().is_some());
    let released = read(&bench, &id).await;
    assert_eq!(released.state, BookingState::Done);
    assert_eq!(Interval::new(at(0), at(1_800_000)), Ok(released.interval));
    assert_eq!(
        released.total_cost.to_string(),
        "1.80 USD",
        "half an hour at 3.60"
    );
    let (_, next) = bench.held("bob", 1_800_000, 3_600_000).await;
    assert!(next > fence);
    let past = BookingOutcome::Conflict {
        with: id,
        next_free: at(3_600_000),
    };
    assert_eq!(
        bench.hold("bob", 1_799_999, 1_900_000).await,
        past,
        "what was used is not free again"
    );
}

pub(super) async fn a_hold_lapses_at_its_deadline_and_not_before(bench: Bench) {
    let (early, early_fence) = bench.held("ada", 5_000, 6_000).await;
    let (late, late_fence) = bench.held("ada", 7_000, 8_000).await;
    let (short, _) = bench.held("ada", 100, 200).await;
    assert_eq!(
        state(&bench, &short).await,
        BookingState::Held { until: at(200) },
        "not beyond its interval"
    );
    bench.clock.advance(TTL - Duration::from_millis(1));
    assert!(bench.confirm("ada", &early, early_fence).await.won().is_some());
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(state(&bench, &late).await, BookingState::Expired);
    assert_eq!(
        bench.confirm("ada", &late, late_fence).await,
        BookingOutcome::Gone
    );
    assert_eq!(
        bench.store.expire_holds(100).await.expect("the store answers"),
        1,
        "the short one was left"
    );
    assert_eq!(bench.store.expire_holds(100).await.expect("the store answers"), 0);
    assert_eq!(state(&bench, &early).await, BookingState::Confirmed);
}

pub(super) async fn only_its_user_at_its_fence_moves_a_booking(bench: Bench) {
    let (id, fence) = bench.held("ada", 100, 200).await;
    let wrong = Fence(fence.0 + 1);
    assert_eq!(bench.confirm("bob", &id, fence).await, BookingOutcome::Gone);
    assert_eq!(bench.cancel("bob", &id, fence).await, BookingOutcome::Gone);
    assert_eq!(bench.confirm("ada", &id, wrong).await, BookingOutcome::Gone);
    assert_eq!(bench.cancel("ada", &id, wrong).await, BookingOutcome::Gone);
    let unknown = BookingId::new("nobody").expect("a name");
    assert_eq!(bench.confirm("ada", &unknown, fence).await, BookingOutcome::Gone);
    assert!(bench.confirm("ada", &id, fence).await.won().is_some());
}

pub(super) async fn a_finished_booking_cannot_be_moved(bench: Bench) {
    let (id, fence) = bench.booked("ada", 100, 200).await;
    let again = ConfirmRequest {
        key: key("again"),
        ..confirm("ada", &id, fence)
    };
    assert_eq!(
        bench.store.confirm(again).await.expect("the store answers"),
        BookingOutcome::Gone
    );
    bench.clock.advance_to(at(200));
    assert_eq!(
        bench.cancel("ada", &id, fence).await,
        BookingOutcome::Gone,
        "it is over"
    );
    let (id, fence) = bench.booked("ada", 300, 400).await;
    bench.cancel("ada", &id, fence).await;
    let again = CancelRequest {
        key: key("once more"),
        ..cancel("ada", &id, fence)
    };
    assert_eq!(
        bench.store.cancel(again).await.expect("the store answers"),
        BookingOutcome::Gone
    );
}
