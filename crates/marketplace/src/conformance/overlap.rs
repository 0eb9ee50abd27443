//! Scenarios about which intervals can be had.
//!
//! One request at a time; racing requests are elsewhere.

use std::time::Duration;

use super::{Bench, at, hold};
use crate::{BookingOutcome, ChangeKind, Currency, ErrorKind, Money};

pub(super) async fn holds_that_overlap_conflict_and_touching_ones_do_not(bench: Bench) {
    bench.held("ada", 100, 200).await;
    for (start, end) in [(100, 200), (120, 150), (50, 250), (50, 101), (199, 300)] {
        let outcome = bench.hold("bob", start, end).await;
        assert!(
            matches!(outcome, BookingOutcome::Conflict { .. }),
            "[{start}, {end}) was answered {outcome:?}"
        );
    }
    bench.held("bob", 50, 100).await;
    bench.held("bob", 200, 250).await;
}

pub(super) async fn a_conflict_names_the_earliest_in_the_way_and_the_next_free_start(bench: Bench) {
    let (first, _) = bench.held("ada", 100, 200).await;
    let (second, _) = bench.held("ada", 230, 300).await;
    bench.held("ada", 350, 400).await;
    let conflict = |with, next_free| BookingOutcome::Conflict {
        with,
        next_free: at(next_free),
    };
    assert_eq!(
        bench.hold("bob", 150, 180).await,
        conflict(first.clone(), 200),
        "30 ms fit at 200"
    );
    assert_eq!(
        bench.hold("bob", 150, 190).await,
        conflict(first.clone(), 300),
        "40 ms fit at 300"
    );
    assert_eq!(
        bench.hold("bob", 150, 500).await,
        conflict(first, 400),
        "350 ms fit after all"
    );
    assert_eq!(
        bench.hold("bob", 210, 260).await,
        conflict(second, 300),
        "the gap before 230 is too short"
    );
}

pub(super) async fn a_lapsed_hold_stands_in_nobodys_way(bench: Bench) {
    let (lapsed, _) = bench.held("ada", 5_000, 6_000).await;
    bench.clock.advance(Duration::from_millis(500));
    let (standing, _) = bench.held("ada", 6_000, 7_000).await;
    bench.clock.advance(Duration::from_millis(500));
    let next_free = at(7_000);
    assert_eq!(
        bench.hold("bob", 5_500, 6_500).await,
        BookingOutcome::Conflict {
            with: standing,
            next_free
        }
    );
    bench.held("bob", 5_000, 6_000).await;
    let expired: Vec<_> = bench
        .changes()
        .await
        .into_iter()
        .filter(|row| row.kind == ChangeKind::Expired)
        .collect();
    assert_eq!(
        expired.iter().map(|row| &row.booking.id).collect::<Vec<_>>(),
        [&lapsed],
        "it was logged as expired"
    );
}

pub(super) async fn other_gpus_are_not_concerned(bench: Bench) {
    bench.held("ada", 100, 200).await;
    assert!(bench.ask(hold("bob", "gpu-2", 100, 200)).await.won().is_some());
}

pub(super) async fn what_cannot_be_booked_is_rejected(bench: Bench) {
    bench.clock.advance(Duration::from_millis(200));
    let over = bench.store.hold(hold("ada", "gpu-1", 100, 200)).await;
    assert_eq!(over.expect_err("it is over").kind(), ErrorKind::Rejected);
    let mut dear = hold("ada", "gpu-1", 200, 100_000_000);
    dear.quote.price_per_hour = Money::from_micros(i64::MAX, Currency::USD);
    assert_eq!(
        bench.store.hold(dear).await.expect_err("it does not fit").kind(),
        ErrorKind::Rejected
    );
    assert!(
        bench.hold("ada", 100, 201).await.won().is_some(),
        "an interval may have begun"
    );
}
