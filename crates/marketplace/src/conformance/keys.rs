//! Scenarios about idempotency keys.
//!
//! One request at a time; racing requests are elsewhere.

use std::time::Duration;

use super::{Bench, at, hold};
use crate::{BookingOutcome, KEY_RETENTION, UserId};

pub(super) async fn a_repeated_request_is_replayed_whatever_was_decided(bench: Bench) {
    let replay = |outcome: &BookingOutcome| BookingOutcome::Replay(Box::new(outcome.clone()));
    let won = bench.hold("ada", 100, 200).await;
    let conflict = bench.hold("bob", 100, 200).await;
    let (id, fence) = won.won().expect("the interval was free");
    let gone = bench.confirm("bob", &id, fence).await;
    let confirmed = bench.confirm("ada", &id, fence).await;
    bench.clock.advance(Duration::from_secs(60));
    bench.store.expire_holds(100).await.expect("the store answers");
    for _ in 0..2 {
        assert_eq!(bench.hold("ada", 100, 200).await, replay(&won));
        assert_eq!(bench.hold("bob", 100, 200).await, replay(&conflict));
        assert_eq!(bench.confirm("bob", &id, fence).await, replay(&gone));
        assert_eq!(bench.confirm("ada", &id, fence).await, replay(&confirmed));
    }
    assert_eq!(bench.changes().await.len(), 2, "one hold and one confirmation");
}

pub(super) async fn another_request_under_a_used_key_is_refused(bench: Bench) {
    bench.hold("ada", 100, 200).await;
    let mut other = hold("ada", "gpu-1", 100, 200);
    other.ttl += Duration::from_millis(1);
    assert_eq!(bench.ask(other).await, BookingOutcome::IdempotencyMismatch);
    let mut other = hold("ada", "gpu-1", 300, 400);
    other.key = hold("ada", "gpu-1", 100, 200).key;
    assert_eq!(bench.ask(other).await, BookingOutcome::IdempotencyMismatch);
    assert!(
        matches!(bench.hold("ada", 100, 200).await, BookingOutcome::Replay(_)),
        "the key keeps its first request"
    );
}

pub(super) async fn keys_of_different_users_are_different(bench: Bench) {
    bench.hold("ada", 100, 200).await;
    let mut same_key = hold("ada", "gpu-1", 300, 400);
    same_key.key = hold("ada", "gpu-1", 100, 200).key;
    same_key.user = UserId::new("bob").expect("a name");
    assert!(matches!(bench.ask(same_key).await, BookingOutcome::Won { .. }));
}

pub(super) async fn a_key_is_remembered_for_24_hours(bench: Bench) {
    let start = 1_000_000_000;
    bench.hold("ada", start, start + 1).await;
    let almost = i64::try_from(KEY_RETENTION.as_millis()).expect("a day fits") - 1;
    bench.clock.advance_to(at(almost));
    bench.store.expire_holds(100).await.expect("the store answers");
    assert!(matches!(
        bench.hold("ada", start, start + 1).await,
        BookingOutcome::Replay(_)
    ));
}
