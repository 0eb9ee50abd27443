//! The model against stores that keep their word and stores that break it in one way each.
//!
//! Real races are in the conformance suite; here the mutants must be caught.

mod several;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{Operation, Recorder, history::Answer};
use super::*;
use crate::{
    BookingStore, BookingStoreError, Currency, Guarantee, IdempotencyKey, ManualClock, MemoryBookings, Money,
    Quote, StoreClock,
};

fn at(millis: i64) -> StoreTime {
    StoreTime::from_millis(millis)
}

fn hold(user: &str, start: i64, end: i64) -> HoldRequest {
    HoldRequest {
        user: UserId::new(user).unwrap(),
        key: IdempotencyKey::new(format!("hold-{start}-{end}")).unwrap(),
        gpu: GpuId::new("g").unwrap(),
        interval: Interval::new(at(start), at(end)).unwrap(),
        quote: Quote {
            price_per_hour: Money::from_micros(1, Currency::USD),
            version: PriceVersion::FIRST,
        },
        ttl: Duration::from_millis(50),
    }
}

fn won(id: &str, fence: u64) -> BookingOutcome {
    BookingOutcome::Won {
        id: BookingId::new(id).unwrap(),
        fence: Fence(fence),
    }
}

fn conflict(with: &str, next_free: i64) -> BookingOutcome {
    BookingOutcome::Conflict {
        with: BookingId::new(with).unwrap(),
        next_free: at(next_free),
    }
}

fn confirm(user: &str, id: &str, fence: u64) -> Call {
    let (user, id) = (UserId::new(user).unwrap(), BookingId::new(id).unwrap());
    let key = IdempotencyKey::new(format!("confirm-{id}")).unwrap();
    Call::Confirm(ConfirmRequest {
        user,
        key,
        id,
        fence: Fence(fence),
    })
}

fn cancel(user: &str, id: &str, fence: u64) -> Call {
    let (user, id) = (UserId::new(user).unwrap(), BookingId::new(id).unwrap());
    let key = IdempotencyKey::new(format!("cancel-{id}")).unwrap();
    Call::Cancel(CancelRequest {
        user,
        key,
        id,
        fence: Fence(fence),
    })
}

/// A history of calls one after the other; each has its store time and its answer.
fn sequence(calls: impl IntoIterator<Item = (Call, i64, Option<BookingOutcome>)>) -> History {
    let operation = |(index, (call, now, outcome)): (u64, (Call, i64, Option<BookingOutcome>))| Operation {
        call,
        began: index * 2,
        earliest: at(now),
        answer: outcome.map(|outcome| Answer {
            outcome,
            ended: index * 2 + 1,
            latest: at(now),
        }),
    };
    (0..).zip(calls).map(operation).collect()
}

fn verdict(calls: impl IntoIterator<Item = (Call, i64, Option<BookingOutcome>)>) -> bool {
    linearizable(&sequence(calls)).is_ok()
}

#[test]
fn a_history_of_one_winner_is_explained() {
    assert!(verdict([
        (Call::Hold(hold("a", 100, 200)), 0, Some(won("b-1", 1))),
        (Call::Hold(hold("b", 150, 250)), 0, Some(conflict("b-1", 200))),
        (confirm("a", "b-1", 1), 10, Some(won("b-1", 1))),
        (Call::Hold(hold("b", 200, 300)), 10, Some(won("b-2", 2))),
        (cancel("a", "b-1", 1), 20, Some(won("b-1", 1))),
        (Call::Hold(hold("c", 100, 200)), 20, Some(won("b-3", 3))),
    ]));
}

#[test]
fn two_winners_of_one_interval_are_found() {
    let first = (Call::Hold(hold("a", 100, 200)), 0, Some(won("b-1", 1)));
    assert!(!verdict([
        first.clone(),
        (Call::Hold(hold("b", 199, 300)), 0, Some(won("b-2", 2)))
    ]));
    let later = (Call::Hold(hold("b", 199, 300)), 50, Some(won("b-2", 2)));
    assert!(
        verdict([first.clone(), later]),
        "the first hold has lapsed by then"
    );
    let confirmed = (confirm("a", "b-1", 1), 0, Some(won("b-1", 1)));
    assert!(!verdict([
        first,
        confirmed,
        (Call::Hold(hold("b", 199, 300)), 50, Some(won("b-2", 2)))
    ]));
}

#[test]
fn a_conflict_with_nobody_and_a_wrong_next_start_are_found() {
    let first = (Call::Hold(hold("a", 100, 200)), 0, Some(won("b-1", 1)));
    let second = |outcome| (Call::Hold(hold("b", 150, 250)), 0, Some(outcome));
    assert!(!verdict([second(conflict("b-1", 200))]), "nobody holds it");
    assert!(!verdict([
        first.clone(),
        (Call::Hold(hold("b", 200, 300)), 0, Some(conflict("b-1", 300)))
    ]));
    assert!(
        !verdict([first.clone(), second(conflict("b-1", 199))]),
        "too early"
    );
    assert!(
        !verdict([first.clone(), second(conflict("b-1", 201))]),
        "200 was free"
    );
    assert!(verdict([first, second(conflict("b-1", 200))]));
}

#[test]
fn a_fence_that_does_not_rise_is_found() {
    let first = (Call::Hold(hold("a", 100, 200)), 0, Some(won("b-1", 1)));
    assert!(!verdict([
        first,
        (Call::Hold(hold("b", 200, 300)), 0, Some(won("b-2", 1)))
    ]));
}

#[test]
fn confirming_and_cancelling_both_winning_is_found() {
    let held = (Call::Hold(hold("a", 100, 200)), 0, Some(won("b-1", 1)));
    let cancelled = (cancel("a", "b-1", 1), 0, Some(won("b-1", 1)));
    let confirmed = (confirm("a", "b-1", 1), 0, Some(won("b-1", 1)));
    assert!(!verdict([held.clone(), cancelled, confirmed.clone()]));
    assert!(
        !verdict([held.clone(), (confirm("a", "b-1", 1), 50, Some(won("b-1", 1)))]),
        "it has lapsed"
    );
    assert!(
        !verdict([held.clone(), (confirm("a", "b-1", 2), 0, Some(won("b-1", 2)))]),
        "another fence"
    );
    assert!(
        !verdict([held.clone(), (confirm("b", "b-1", 1), 0, Some(won("b-1", 1)))]),
        "another user"
    );
    assert!(
        !verdict([
            held.clone(),
            (confirm("a", "b-1", 1), 0, Some(BookingOutcome::Gone))
        ]),
        "it was there"
    );
    assert!(
        !verdict([(confirm("a", "b-1", 1), 0, Some(won("b-1", 1)))]),
        "it was never granted"
    );
    let reprice = (
        Call::Reprice(GpuId::new("g").unwrap(), PriceVersion(1)),
        0,
        Some(BookingOutcome::Gone),
    );
    assert!(!verdict([held, reprice, confirmed]), "the price had moved");
}

#[test]
fn a_released_booking_frees_only_the_rest_of_its_interval() {
    let run = |start, end, outcome| {
        verdict([
            (Call::Hold(hold("a", 100, 200)), 60, Some(won("b-1", 1))),
            (confirm("a", "b-1", 1), 60, Some(won("b-1", 1))),
            (cancel("a", "b-1", 1), 150, Some(won("b-1", 1))),
            (Call::Hold(hold("b", start, end)), 150, Some(outcome)),
        ])
    };
    assert!(run(150, 250, won("b-2", 2)));
    assert!(!run(140, 240, won("b-2", 2)));
    assert!(run(140, 240, conflict("b-1", 150)));
}

#[test]
fn a_hold_without_an_answer_may_explain_a_conflict_and_need_not() {
    let lost = (Call::Hold(hold("a", 100, 200)), 0, None);
    let other = |outcome| (Call::Hold(hold("b", 100, 200)), 0, Some(outcome));
    assert!(verdict([lost.clone(), other(conflict("b-1", 200))]));
    assert!(verdict([lost.clone(), other(won("b-1", 1))]));
    let learned = (
        Call::Hold(hold("a", 100, 200)),
        0,
        Some(BookingOutcome::Replay(Box::new(won("b-1", 1)))),
    );
    assert!(verdict([
        lost.clone(),
        other(conflict("b-1", 200)),
        learned.clone()
    ]));
    assert!(!verdict([lost, other(won("b-2", 1)), learned]), "both took it");
}

/// A store that forgets the overlap check for one user, behind the port like any other.
struct Mutant(MemoryBookings);

#[async_trait]
impl BookingStore for Mutant {
    async fn hold(&self, request: HoldRequest) -> Result<BookingOutcome, BookingStoreError> {
        let outcome = self.0.hold(request.clone()).await?;
        let granted_twice = || won("b-99", 99);
        let refused = matches!(outcome, BookingOutcome::Conflict { .. });
        Ok(if refused && request.user.as_str() == "user-7" {
            granted_twice()
        } else {
            outcome
        })
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.0.confirm(request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.0.cancel(request).await
    }

    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError> {
        self.0.expire_holds(limit).await
    }

    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.0.reprice(gpu, version).await
    }

    fn guarantee(&self) -> Guarantee {
        self.0.guarantee()
    }
}

#[tokio::test]
async fn a_store_that_grants_twice_is_caught_among_many_requests() {
    let clock: Arc<dyn StoreClock> = Arc::new(ManualClock::at(at(0)));
    let honest = Arc::new(MemoryBookings::new(clock.clone()));
    let mutant = Arc::new(Mutant(MemoryBookings::new(clock.clone())));
    for (store, expected) in [(honest as Arc<dyn BookingStore>, true), (mutant, false)] {
        let recorder = Recorder::new(store, clock.clone());
        for user in 0..100 {
            recorder
                .hold(hold(&format!("user-{user}"), 100, 200))
                .await
                .unwrap();
        }
        assert_eq!(linearizable(&recorder.history()).is_ok(), expected);
    }
}
