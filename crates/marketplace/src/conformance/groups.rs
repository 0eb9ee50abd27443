//! Scenarios about several GPUs at once.
//!
//! One request at a time; racing requests are elsewhere.

use super::{Bench, TTL, at, hold, key, several};
use crate::{
    BookingId, BookingOutcome, BookingState, ConfirmSeveralRequest, ErrorKind, Fence, GpuId,
    HoldSeveralRequest, PriceVersion, UserId,
};

impl Bench {
    async fn ask_several(&self, request: HoldSeveralRequest) -> BookingOutcome {
        self.groups
            .hold_several(request)
            .await
            .expect("the store answers")
    }

    async fn confirm_several(&self, name: &str, bookings: &[(BookingId, Fence)]) -> BookingOutcome {
        let request = ConfirmSeveralRequest {
            user: UserId::new("ada").expect("a name"),
            key: key(name),
            bookings: bookings.to_vec(),
        };
        self.groups
            .confirm_several(request)
            .await
            .expect("the store answers")
    }
}

fn gpus(outcome: &BookingOutcome) -> Vec<&str> {
    outcome
        .granted()
        .iter()
        .map(|granted| granted.gpu.as_str())
        .collect()
}

fn named(outcome: &BookingOutcome) -> Vec<(BookingId, Fence)> {
    let granted = outcome.granted().iter();
    granted
        .map(|granted| (granted.id.clone(), granted.fence))
        .collect()
}

pub(super) async fn several_gpus_are_held_all_or_none(bench: Bench) {
    let all = ["gpu-3", "gpu-1", "gpu-2"];
    let outcome = bench.ask_several(several("ada", &all, 3, 100, 200)).await;
    assert_eq!(gpus(&outcome), all, "in the order asked for");
    let again = bench.ask_several(several("ada", &all, 3, 100, 200)).await;
    assert_eq!(again, BookingOutcome::Replay(Box::new(outcome.clone())));
    let in_the_way = bench
        .ask(hold("bob", "gpu-2", 300, 400))
        .await
        .won()
        .expect("it is free")
        .0;
    let changes = bench.changes().await.len();
    let refused = bench.ask_several(several("ada", &all, 3, 250, 350)).await;
    let expected = BookingOutcome::Conflict {
        with: in_the_way,
        next_free: at(400),
    };
    assert_eq!(
        refused, expected,
        "three at once are free only after the one in the way"
    );
    assert_eq!(bench.changes().await.len(), changes, "nothing of it was done");
    bench.clock.advance(TTL);
    assert_eq!(
        gpus(&bench.ask_several(several("cleo", &all, 3, 1_000, 1_100)).await),
        all
    );
}

pub(super) async fn of_many_candidates_the_first_that_are_free_are_taken(bench: Bench) {
    let cheapest_first = ["gpu-1", "gpu-2", "gpu-3", "gpu-4"];
    bench.ask(hold("bob", "gpu-2", 150, 160)).await;
    let one = bench
        .ask_several(several("ada", &cheapest_first, 1, 100, 200))
        .await;
    assert_eq!(gpus(&one), ["gpu-1"]);
    let two = bench
        .ask_several(several("cleo", &cheapest_first, 2, 100, 200))
        .await;
    assert_eq!(gpus(&two), ["gpu-3", "gpu-4"], "what is taken is passed by");
    let other = bench
        .ask_several(several("dan", &cheapest_first, 1, 100, 150))
        .await;
    assert_eq!(gpus(&other), ["gpu-2"], "it is free until 150");
    let late = bench
        .ask_several(several("eve", &cheapest_first, 2, 100, 150))
        .await;
    let BookingOutcome::Conflict { with, next_free } = late else {
        panic!("nothing is free: {late:?}");
    };
    assert_eq!(with, one.granted()[0].id, "on the first candidate");
    assert_eq!(
        next_free,
        at(200),
        "gpu-2 is free from 160 on, and a second one from 200"
    );
}

pub(super) async fn several_holds_are_confirmed_all_or_none(bench: Bench) {
    let all = ["gpu-1", "gpu-2"];
    let held = bench.ask_several(several("ada", &all, 2, 5_000, 6_000)).await;
    assert_eq!(
        bench.confirm_several("a", &named(&held)).await.granted(),
        held.granted()
    );
    let held = bench.ask_several(several("ada", &all, 2, 7_000, 8_000)).await;
    let bookings = named(&held);
    bench.cancel("ada", &bookings[1].0, bookings[1].1).await;
    assert_eq!(bench.confirm_several("b", &bookings).await, BookingOutcome::Gone);
    let left = bench
        .ledger
        .booking(&bookings[0].0)
        .await
        .expect("the ledger answers");
    let state = left.expect("it is known").state;
    assert_eq!(
        state,
        BookingState::Held { until: at(1_000) },
        "the other stays as it was"
    );
    bench.clock.advance(TTL);
    assert_eq!(
        bench.confirm_several("c", &bookings[..1]).await,
        BookingOutcome::Gone
    );
}

pub(super) async fn a_group_that_makes_no_sense_is_rejected(bench: Bench) {
    let refusal = async |request: HoldSeveralRequest| {
        let error = bench
            .groups
            .hold_several(request)
            .await
            .expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Rejected);
        error.to_string()
    };
    let twice = refusal(several("ada", &["gpu-1", "gpu-1"], 2, 100, 200)).await;
    assert!(twice.contains("named twice"), "{twice}");
    let few = refusal(several("ada", &["gpu-1"], 2, 100, 200)).await;
    assert!(few.contains("2 GPUs are wanted and 1 named"), "{few}");
    let none = refusal(several("ada", &[], 1, 100, 200)).await;
    assert!(none.contains("name one at least"), "{none}");
    let gpu = GpuId::new("gpu-1").expect("a name");
    bench
        .store
        .reprice(&gpu, PriceVersion(1))
        .await
        .expect("the store answers");
    let old = bench
        .ask_several(several("ada", &["gpu-1", "gpu-2"], 2, 100, 200))
        .await;
    assert_eq!(old, BookingOutcome::Gone, "one of the quotes is old");
    let other = bench
        .ask_several(several("bob", &["gpu-1", "gpu-2"], 1, 100, 200))
        .await;
    assert_eq!(gpus(&other), ["gpu-2"], "whose quote is not old");
}
