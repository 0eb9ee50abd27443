//! Scenarios about what the ledger tells.
//!
//! Who may read it is not its business.

use super::{Bench, TTL, at};
use crate::checks::cursors_are_dense;
use crate::{ChangeKind, Completeness, Cursor, GpuId, Holder};

pub(super) async fn every_decision_is_logged_once_and_in_order(bench: Bench) {
    let (bought, bought_fence) = bench.booked("ada", 5_000, 6_000).await;
    let (running, running_fence) = bench.booked("ada", 0, 3_000).await;
    bench.hold("bob", 100, 200).await;
    let (lapsed, _) = bench.held("bob", 7_000, 8_000).await;
    bench.cancel("ada", &bought, bought_fence).await;
    bench.clock.advance(TTL);
    bench.cancel("ada", &running, running_fence).await;
    bench.store.expire_holds(100).await.expect("the store answers");
    let changes = bench.changes().await;
    use ChangeKind::{Cancelled, Confirmed, Expired, Held, Released};
    let expected = [
        (Held, &bought),
        (Confirmed, &bought),
        (Held, &running),
        (Confirmed, &running),
        (Held, &lapsed),
        (Cancelled, &bought),
        (Released, &running),
        (Expired, &lapsed),
    ];
    let logged: Vec<_> = changes
        .iter()
        .map(|change| (change.kind, &change.booking.id))
        .collect();
    assert_eq!(logged, expected);
    assert_eq!(cursors_are_dense(&changes), Ok(()));
    assert_eq!((changes[0].at, changes[7].at), (at(0), at(1_000)));
}

pub(super) async fn the_log_is_read_in_pieces_without_loss(bench: Bench) {
    for start in 0..10 {
        bench.held("ada", start * 10, start * 10 + 10).await;
    }
    let mut cursor = Cursor::START;
    let mut rows = Vec::new();
    loop {
        let changes = bench
            .ledger
            .changes_since(cursor, 3)
            .await
            .expect("the ledger answers");
        assert_eq!(changes.completeness, Completeness::Complete);
        assert!(changes.rows.len() <= 3);
        if changes.rows.is_empty() {
            assert_eq!(changes.next, cursor, "nothing new: stay");
            break;
        }
        cursor = changes.next;
        rows.extend(changes.rows);
    }
    assert_eq!(rows, bench.changes().await);
    assert_eq!(rows.len(), 10);
}

pub(super) async fn occupancy_says_who_has_a_gpu_and_until_when(bench: Bench) {
    let (bought, bought_fence) = bench.booked("ada", 100, 200).await;
    let (held, held_fence) = bench.held("bob", 500, 9_000).await;
    let gpus = [
        GpuId::new("gpu-2").expect("a name"),
        GpuId::new("gpu-1").expect("a name"),
    ];
    let by_bought = Holder {
        booking: bought.clone(),
        fence: bought_fence,
    };
    let by_held = Holder {
        booking: held.clone(),
        fence: held_fence,
    };
    for (when, holder, changes_at) in [
        (99, None, Some(100)),
        (100, Some(&by_bought), Some(200)),
        (199, Some(&by_bought), Some(200)),
        (200, None, Some(500)),
        (999, Some(&by_held), Some(1_000)),
        (1_000, None, None),
    ] {
        let occupied = bench
            .ledger
            .occupied(&gpus, at(when))
            .await
            .expect("the ledger answers");
        let asked: Vec<_> = occupied.iter().map(|one| &one.gpu).collect();
        assert_eq!(asked, [&gpus[0], &gpus[1]], "one answer for each GPU, in order");
        assert_eq!(
            (occupied[0].holder.as_ref(), occupied[0].changes_at),
            (None, None)
        );
        assert_eq!(occupied[1].holder.as_ref(), holder, "at {when}");
        assert_eq!(occupied[1].changes_at, changes_at.map(at), "at {when}");
    }
    bench.cancel("ada", &bought, bought_fence).await;
    bench.cancel("bob", &held, held_fence).await;
    let occupied = bench
        .ledger
        .occupied(&gpus, at(150))
        .await
        .expect("the ledger answers");
    assert_eq!(
        (occupied[1].holder.as_ref(), occupied[1].changes_at),
        (None, None)
    );
}
