//! Scenarios about the ends of bookings, and the time that is free between them.
//!
//! One request at a time; racing requests are elsewhere.

use super::{Bench, TTL, at, hold, key};
use crate::{
    Booking, BookingId, BookingOutcome, BookingState, ChangeKind, CompleteRequest, ErrorKind, ExtendRequest,
    Fence, GpuId, Interval, PriceVersion, UserId,
};

fn extend(id: &BookingId, fence: Fence, until: i64) -> ExtendRequest {
    ExtendRequest {
        user: UserId::new("ada").expect("a name"),
        key: key(&format!("extend/{id}/{until}")),
        id: id.clone(),
        fence,
        until: at(until),
    }
}

fn complete(name: &str, id: &BookingId, fence: Fence) -> CompleteRequest {
    CompleteRequest {
        user: UserId::new("ada").expect("a name"),
        key: key(name),
        id: id.clone(),
        fence,
    }
}

impl Bench {
    async fn extended(&self, id: &BookingId, fence: Fence, until: i64) -> BookingOutcome {
        self.terms
            .extend(extend(id, fence, until))
            .await
            .expect("the store answers")
    }

    async fn completed(&self, name: &str, id: &BookingId, fence: Fence) -> BookingOutcome {
        self.terms
            .complete(complete(name, id, fence))
            .await
            .expect("the store answers")
    }

    async fn stored(&self, id: &BookingId) -> Booking {
        let stored = self.ledger.booking(id).await.expect("the ledger answers");
        stored.expect("it is known")
    }
}

fn span(start: i64, end: i64) -> Interval {
    Interval::new(at(start), at(end)).expect("not empty")
}

pub(super) async fn a_booking_is_extended_while_its_gpu_is_free(bench: Bench) {
    let (id, fence) = bench.booked("ada", 0, 3_600_000).await;
    let (next, _) = bench.booked("bob", 7_200_000, 7_300_000).await;
    let won = BookingOutcome::Won {
        id: id.clone(),
        fence,
    };
    assert_eq!(
        bench.extended(&id, fence, 7_200_000).await,
        won,
        "up to the next one"
    );
    let replay = BookingOutcome::Replay(Box::new(won));
    assert_eq!(bench.extended(&id, fence, 7_200_000).await, replay);
    let stored = bench.stored(&id).await;
    assert_eq!(stored.interval, span(0, 7_200_000));
    assert_eq!(stored.total_cost.to_string(), "7.20 USD", "two hours at 3.60");
    assert_eq!(stored.fence, fence);
    let taken = BookingOutcome::Conflict {
        with: next,
        next_free: at(7_300_000),
    };
    assert_eq!(bench.extended(&id, fence, 7_200_001).await, taken);
    assert_eq!(bench.stored(&id).await, stored);
    let refused = bench.hold("cleo", 7_199_999, 7_200_000).await;
    assert!(
        matches!(refused, BookingOutcome::Conflict { .. }),
        "the time added is taken: {refused:?}"
    );
    let last = bench.changes().await.pop().expect("there are changes");
    assert_eq!((last.kind, last.booking.id), (ChangeKind::Extended, id));
}

pub(super) async fn only_a_bought_booking_at_its_price_is_extended(bench: Bench) {
    let (held, held_fence) = bench.held("ada", 100, 200).await;
    assert_eq!(
        bench.extended(&held, held_fence, 300).await,
        BookingOutcome::Gone,
        "not bought"
    );
    let (id, fence) = bench.booked("ada", 1_000, 2_000).await;
    let backwards = bench
        .terms
        .extend(extend(&id, fence, 2_000))
        .await
        .expect_err("it is refused");
    assert_eq!(backwards.kind(), ErrorKind::Rejected);
    assert!(backwards.to_string().contains("ends at 2000 ms"), "{backwards}");
    assert_eq!(
        bench.extended(&id, Fence(99), 2_100).await,
        BookingOutcome::Gone,
        "another fence"
    );
    let gpu = GpuId::new("gpu-1").expect("a name");
    bench
        .store
        .reprice(&gpu, PriceVersion(1))
        .await
        .expect("the store answers");
    assert_eq!(
        bench.extended(&id, fence, 2_200).await,
        BookingOutcome::Gone,
        "another price"
    );
    let mut requoted = hold("ada", "gpu-1", 3_000, 4_000);
    requoted.quote.version = PriceVersion(1);
    let (id, fence) = bench.ask(requoted).await.won().expect("it is free");
    bench.confirm("ada", &id, fence).await;
    bench.clock.advance_to(at(4_000));
    assert_eq!(
        bench.extended(&id, fence, 5_000).await,
        BookingOutcome::Gone,
        "it is over"
    );
}

pub(super) async fn a_completed_booking_costs_what_was_used(bench: Bench) {
    let (id, fence) = bench.booked("ada", 1_000, 7_201_000).await;
    assert_eq!(
        bench.completed("early", &id, fence).await,
        BookingOutcome::Gone,
        "not begun"
    );
    bench.clock.advance_to(at(1_801_000));
    assert!(bench.completed("done", &id, fence).await.won().is_some());
    let stored = bench.stored(&id).await;
    assert_eq!(
        (stored.state, stored.interval),
        (BookingState::Done, span(1_000, 1_801_000))
    );
    assert_eq!(stored.total_cost.to_string(), "1.80 USD", "half an hour at 3.60");
    assert_eq!(bench.completed("again", &id, fence).await, BookingOutcome::Gone);
    assert!(
        bench.hold("bob", 1_801_000, 1_900_000).await.won().is_some(),
        "the rest is free"
    );
    let last = bench
        .changes()
        .await
        .into_iter()
        .find(|change| change.kind == ChangeKind::Completed);
    assert_eq!(last.map(|change| change.booking.id), Some(id));
}

pub(super) async fn free_time_is_what_nothing_takes(bench: Bench) {
    let gpus = ["gpu-2", "gpu-1"].map(|gpu| GpuId::new(gpu).expect("a name"));
    let free = async |start, end| {
        bench
            .ledger
            .free(&gpus, span(start, end))
            .await
            .expect("the ledger answers")
    };
    bench.booked("ada", 100, 200).await;
    bench.booked("ada", 200, 300).await;
    let (held, fence) = bench.held("bob", 5_000, 6_000).await;
    let whole = vec![span(50, 9_000)];
    let around = vec![span(50, 100), span(300, 5_000), span(6_000, 9_000)];
    assert_eq!(free(50, 9_000).await, [whole.clone(), around]);
    assert_eq!(free(150, 250).await[1], []);
    assert_eq!(free(150, 310).await[1], [span(300, 310)]);
    assert_eq!(free(5_500, 6_500).await[1], [span(6_000, 6_500)]);
    bench.cancel("bob", &held, fence).await;
    assert_eq!(free(50, 9_000).await[1], [span(50, 100), span(300, 9_000)]);
    bench.held("cleo", 5_000, 6_000).await;
    bench.clock.advance(TTL);
    assert_eq!(
        free(4_000, 9_000).await[1],
        [span(4_000, 9_000)],
        "the hold has lapsed"
    );
}
