//! The model of requests about several GPUs and about the ends of bookings: made-up answers that a store could not have
//! given.
//!
//! Answers that it could are those of the conformance suite, which are checked as they come.

use super::*;
use crate::{
    BookingGroups, BookingTerms, Candidate, CompleteRequest, ConfirmSeveralRequest, ExtendRequest, Granted,
    HoldSeveralRequest,
};

fn several(gpus: &[&str], count: usize) -> HoldSeveralRequest {
    let single = hold("ada", 100, 200);
    let candidate = |gpu: &&str| Candidate {
        gpu: GpuId::new(gpu).unwrap(),
        quote: single.quote,
    };
    HoldSeveralRequest {
        user: single.user.clone(),
        key: IdempotencyKey::new(format!("several-{}", gpus.len())).unwrap(),
        interval: single.interval,
        count: count.try_into().unwrap(),
        candidates: gpus.iter().map(candidate).collect(),
        ttl: Duration::from_secs(10),
    }
}

async fn recorded() -> (Arc<Recorder>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(at(0)));
    let store = Arc::new(MemoryBookings::new(clock.clone()));
    let recorder = Recorder::new(store.clone(), clock.clone()).with(store.clone(), store);
    (Arc::new(recorder), clock)
}

/// The history with another outcome in place of its last.
fn forged(recorder: &Recorder, outcome: BookingOutcome) -> History {
    let mut history = recorder.history();
    let last = history.last_mut().and_then(|operation| operation.answer.as_mut());
    last.unwrap().outcome = outcome;
    history
}

#[tokio::test]
async fn a_group_that_was_granted_what_is_taken_is_found_and_so_is_one_that_passed_by_what_is_free() {
    let (recorder, _) = recorded().await;
    let mut taken = hold("bob", 150, 160);
    taken.gpu = GpuId::new("b").unwrap();
    recorder.hold(taken).await.unwrap();
    let request = several(&["a", "b", "c"], 2);
    let outcome = recorder.hold_several(request).await.unwrap();
    assert_eq!(linearizable(&recorder.history()), Ok(()));
    let grants = |gpus: [&str; 2]| {
        let granted = |gpu: &str| Granted {
            gpu: GpuId::new(gpu).unwrap(),
            id: BookingId::new(format!("forged-{gpu}")).unwrap(),
            fence: Fence(9),
        };
        BookingOutcome::WonSeveral(gpus.map(granted).to_vec())
    };
    assert_eq!(outcome.granted().len(), 2);
    assert!(linearizable(&forged(&recorder, grants(["a", "c"]))).is_ok());
    assert!(
        linearizable(&forged(&recorder, grants(["a", "b"]))).is_err(),
        "b is taken"
    );
    assert!(
        linearizable(&forged(&recorder, conflict("b-1", 160))).is_err(),
        "two are free"
    );
    assert!(
        linearizable(&forged(&recorder, BookingOutcome::Gone)).is_err(),
        "no price has moved"
    );
    let (recorder, _) = recorded().await;
    recorder.hold_several(several(&["a", "b", "c"], 2)).await.unwrap();
    assert!(
        linearizable(&forged(&recorder, grants(["a", "c"]))).is_err(),
        "b was free and came first"
    );
}

#[tokio::test]
async fn a_group_that_was_confirmed_in_part_is_found() {
    let (recorder, _) = recorded().await;
    let held = recorder.hold_several(several(&["a", "b"], 2)).await.unwrap();
    let [one, other] = held.granted() else {
        panic!("both are free")
    };
    let give_back = CancelRequest {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("back").unwrap(),
        id: other.id.clone(),
        fence: other.fence,
    };
    recorder.cancel(give_back).await.unwrap();
    let confirm = ConfirmSeveralRequest {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("buy").unwrap(),
        bookings: vec![(one.id.clone(), one.fence), (other.id.clone(), other.fence)],
    };
    assert_eq!(
        recorder.confirm_several(confirm).await.unwrap(),
        BookingOutcome::Gone
    );
    assert_eq!(linearizable(&recorder.history()), Ok(()));
    let half = BookingOutcome::WonSeveral(held.granted().to_vec());
    assert!(linearizable(&forged(&recorder, half)).is_err());
}

#[tokio::test]
async fn an_extension_into_another_booking_is_found_and_so_is_one_refused_without_need() {
    let (recorder, clock) = recorded().await;
    let (id, fence) = recorder.hold(hold("ada", 100, 200)).await.unwrap().won().unwrap();
    let user = UserId::new("ada").unwrap();
    let key = |text: &str| IdempotencyKey::new(text).unwrap();
    let confirm = ConfirmRequest {
        user: user.clone(),
        key: key("buy"),
        id: id.clone(),
        fence,
    };
    recorder.confirm(confirm).await.unwrap();
    recorder.hold(hold("bob", 250, 300)).await.unwrap();
    let extend = |until: i64| ExtendRequest {
        user: user.clone(),
        key: key(&format!("extend-{until}")),
        id: id.clone(),
        fence,
        until: at(until),
    };
    let won = BookingOutcome::Won {
        id: id.clone(),
        fence,
    };
    recorder.extend(extend(251)).await.unwrap();
    assert_eq!(linearizable(&recorder.history()), Ok(()));
    assert!(
        linearizable(&forged(&recorder, won.clone())).is_err(),
        "bob is in the way"
    );
    recorder.extend(extend(250)).await.unwrap();
    assert_eq!(linearizable(&recorder.history()), Ok(()));
    assert!(
        linearizable(&forged(&recorder, conflict("b-2", 300))).is_err(),
        "nobody is in the way"
    );
    assert!(
        linearizable(&forged(&recorder, BookingOutcome::Gone)).is_err(),
        "it is bought"
    );
    let complete = CompleteRequest {
        user: user.clone(),
        key: key("done"),
        id,
        fence,
    };
    recorder.complete(complete.clone()).await.unwrap();
    assert!(linearizable(&forged(&recorder, won)).is_err(), "it has not begun");
    clock.advance_to(at(150));
    let again = CompleteRequest {
        key: key("done now"),
        ..complete
    };
    assert!(recorder.complete(again).await.unwrap().won().is_some());
    assert_eq!(linearizable(&recorder.history()), Ok(()));
    assert!(
        linearizable(&forged(&recorder, BookingOutcome::Gone)).is_err(),
        "it runs"
    );
}
