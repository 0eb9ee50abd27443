//! Scenarios in which requests race from many tasks, and the recordings are checked afterwards.
//!
//! They find what a run happens to do; the checks are the same for every run.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Bench, TTL, at, cancel, confirm, hold, key, several};
use crate::checks::{
    Recorder, cursors_are_dense, fences_increase, linearizable, no_overlap, one_outcome_per_key,
};
use crate::{BookingOutcome, BookingStore, ConfirmSeveralRequest, ExtendRequest, StoreTime, UserId};

impl Bench {
    /// The bench with a recorder in front of its store.
    fn recorded(self) -> (Arc<Recorder>, Self) {
        let recorder = Recorder::new(self.store.clone(), self.clock.clone());
        let recorder = Arc::new(recorder.with(self.groups.clone(), self.terms.clone()));
        (
            recorder.clone(),
            Self {
                store: recorder.clone(),
                groups: recorder.clone(),
                terms: recorder,
                ..self
            },
        )
    }

    async fn check(&self, recorder: &Recorder) {
        let (history, changes) = (recorder.history(), self.changes().await);
        let checks = [
            linearizable(&history),
            one_outcome_per_key(&history),
            no_overlap(&changes),
            fences_increase(&changes),
            cursors_are_dense(&changes),
        ];
        for check in checks {
            check.unwrap_or_else(|violation| panic!("{violation}"));
        }
    }
}

/// Runs one task for each of `tasks`, all let go at once, and returns what they returned.
async fn race<T, F>(tasks: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<F> = tasks.into_iter().collect();
    let gate = Arc::new(Barrier::new(tasks.len()));
    let mut running = JoinSet::new();
    for task in tasks {
        let gate = gate.clone();
        running.spawn(async move {
            gate.wait().await;
            task.await
        });
    }
    running.join_all().await
}

async fn ask(store: Arc<dyn BookingStore>, request: crate::HoldRequest) -> BookingOutcome {
    store.hold(request).await.expect("the store answers")
}

pub(super) async fn of_a_hundred_bookers_exactly_one_wins(bench: Bench) {
    let (recorder, bench) = bench.recorded();
    let bookers = (0..100).map(|n| ask(bench.store.clone(), hold(&format!("user-{n}"), "gpu-1", 100, 200)));
    let outcomes = race(bookers).await;
    let winners: Vec<_> = outcomes.iter().filter_map(BookingOutcome::won).collect();
    assert_eq!(winners.len(), 1);
    let lost = BookingOutcome::Conflict {
        with: winners[0].0.clone(),
        next_free: at(200),
    };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == lost).count(), 99);
    bench.check(&recorder).await;
}

pub(super) async fn confirm_cancel_and_expiry_have_one_winner(bench: Bench) {
    let (recorder, bench) = bench.recorded();
    for round in 0..40 {
        let start = 1_000_000 + round * 10;
        let (id, fence) = bench.held("ada", start, start + 10).await;
        let deadline = StoreTime::from_millis(1_000 * (round + 1));
        let confirming = {
            let (store, request) = (bench.store.clone(), confirm("ada", &id, fence));
            async move {
                store
                    .confirm(request)
                    .await
                    .expect("the store answers")
                    .won()
                    .is_some()
            }
        };
        let cancelling = {
            let (store, request) = (bench.store.clone(), cancel("ada", &id, fence));
            async move {
                store
                    .cancel(request)
                    .await
                    .expect("the store answers")
                    .won()
                    .is_some()
            }
        };
        let expiring = {
            let (store, clock) = (bench.store.clone(), bench.clock.clone());
            async move {
                clock.advance_to(deadline);
                store.expire_holds(10).await.expect("the store answers") > 0
            }
        };
        let tasks: Vec<std::pin::Pin<Box<dyn Future<Output = bool> + Send>>> =
            vec![Box::pin(confirming), Box::pin(cancelling), Box::pin(expiring)];
        race(tasks).await;
        let changes = bench.changes().await;
        let kinds: Vec<_> = changes
            .iter()
            .filter(|row| row.booking.id == id)
            .map(|row| row.kind)
            .collect();
        use crate::ChangeKind::{Cancelled, Confirmed, Expired, Held};
        let orders = [
            vec![Held, Confirmed],
            vec![Held, Cancelled],
            vec![Held, Expired],
            vec![Held, Confirmed, Cancelled],
        ];
        assert!(orders.contains(&kinds), "round {round}: {kinds:?}");
        bench.clock.advance_to(deadline);
    }
    bench.check(&recorder).await;
}

pub(super) async fn one_key_from_many_threads_is_decided_once(bench: Bench) {
    let (recorder, bench) = bench.recorded();
    let attempts = (0..50).map(|n| {
        let mut request = hold("ada", "gpu-1", 100, 200);
        request.key = key("the same");
        if n % 5 == 0 {
            request = crate::HoldRequest {
                key: key("the same"),
                ..hold("ada", "gpu-1", 300, 400)
            };
        }
        ask(bench.store.clone(), request)
    });
    let outcomes = race(attempts).await;
    let decided = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, BookingOutcome::Won { .. }))
        .count();
    assert_eq!(decided, 1);
    assert_eq!(bench.changes().await.len(), 1);
    bench.check(&recorder).await;
}

pub(super) async fn a_crowd_on_few_gpus_leaves_a_consistent_history(bench: Bench) {
    let (recorder, bench) = bench.recorded();
    let crowd = (0..16_i64).map(|user| {
        let (store, clock) = (bench.store.clone(), bench.clock.clone());
        async move {
            let name = format!("user-{user}");
            for turn in 0..20_i64 {
                let start = 10_000 + (user * 7 + turn * 13) % 40;
                let request = hold(
                    &name,
                    &format!("gpu-{}", (user + turn) % 3),
                    start,
                    start + 5 + turn % 4,
                );
                let request = crate::HoldRequest {
                    key: key(&format!("{turn}")),
                    ..request
                };
                let outcome = store.hold(request.clone()).await.expect("the store answers");
                let Some((id, fence)) = outcome.won() else {
                    continue;
                };
                if (user + turn) % 4 == 0 {
                    store.hold(request).await.expect("the store answers");
                }
                if (user + turn) % 3 != 0 {
                    store
                        .confirm(confirm(&name, &id, fence))
                        .await
                        .expect("the store answers");
                }
                if (user + turn) % 2 == 0 {
                    store
                        .cancel(cancel(&name, &id, fence))
                        .await
                        .expect("the store answers");
                }
                clock.advance(TTL / 50);
                store.expire_holds(10).await.expect("the store answers");
            }
        }
    });
    race(crowd).await;
    bench.check(&recorder).await;
}

pub(super) async fn crowds_that_want_several_gpus_leave_a_consistent_history(bench: Bench) {
    let (recorder, bench) = bench.recorded();
    let crowd = (0..12_i64).map(|user| {
        let (store, groups, terms, clock) = (
            bench.store.clone(),
            bench.groups.clone(),
            bench.terms.clone(),
            bench.clock.clone(),
        );
        async move {
            let name = format!("user-{user}");
            for turn in 0..12_i64 {
                let start = 10_000 + (user * 7 + turn * 13) % 40;
                let first = usize::try_from((user + turn) % 3).expect("not negative");
                let gpus = [
                    ["gpu-1", "gpu-2", "gpu-3"],
                    ["gpu-2", "gpu-3", "gpu-1"],
                    ["gpu-3", "gpu-1", "gpu-2"],
                ][first];
                let mut request = several(&name, &gpus, 2, start, start + 5);
                request.key = key(&format!("{turn}"));
                let outcome = groups
                    .hold_several(request.clone())
                    .await
                    .expect("the store answers");
                if turn % 4 == 0 {
                    groups.hold_several(request).await.expect("the store answers");
                }
                let [one, other] = outcome.granted() else { continue };
                let confirm = ConfirmSeveralRequest {
                    user: UserId::new(&name).expect("a name"),
                    key: key(&format!("confirm/{turn}")),
                    bookings: vec![(one.id.clone(), one.fence), (other.id.clone(), other.fence)],
                };
                if turn % 3 != 0 {
                    groups.confirm_several(confirm).await.expect("the store answers");
                    let extend = ExtendRequest {
                        user: UserId::new(&name).expect("a name"),
                        key: key(&format!("extend/{turn}")),
                        id: other.id.clone(),
                        fence: other.fence,
                        until: at(start + 9),
                    };
                    terms.extend(extend).await.expect("the store answers");
                }
                let given_back = if turn % 2 == 0 { one } else { other };
                store
                    .cancel(cancel(&name, &given_back.id, given_back.fence))
                    .await
                    .expect("the store answers");
                clock.advance(TTL / 50);
                store.expire_holds(10).await.expect("the store answers");
            }
        }
    });
    race(crowd).await;
    bench.check(&recorder).await;
}
