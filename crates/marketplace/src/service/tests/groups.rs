//! Several GPUs at once, longer and shorter bookings, and free time, as a node offers them.
//!
//! What the store decides is the conformance suite's.

use std::time::Duration;

use super::fixture::*;
use crate::inventory::OperatorStatus;
use crate::*;

fn group(now: i64, count: usize, candidates: Vec<Candidate>, key: &str) -> NewGroupBooking {
    let at = StoreTime::from_millis;
    NewGroupBooking {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new(key).unwrap(),
        interval: Interval::new(at(now), at(now + HOUR)).unwrap(),
        count: count.try_into().unwrap(),
        candidates: Candidates {
            list: candidates,
            valid_until: StoreTime::from_millis(60_000),
        },
    }
}

async fn status(node: &Marketplace, id: &GpuId) -> GpuStatus {
    node.gpu(id).await.unwrap().value.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn any_gpus_of_a_model_are_booked_cheapest_first_and_every_node_shows_them_busy() {
    let market = Market::of(&["us"], &["T4", "A10"], 6);
    let (here, there) = (market.node("here").await, market.node("there").await);
    let dear = gpu("us", "T4", 0);
    here.update_gpu_pricing(&dear, Money::parse("9", Currency::USD).unwrap())
        .await
        .unwrap();
    let candidates = here
        .candidates(&shelf("us", "T4"), hours(0, 1), None, 100)
        .await
        .unwrap()
        .value
        .list;
    assert_eq!(candidates.len(), 6);
    assert_eq!(candidates[5].gpu, dear, "the dearest comes last");
    let most = Money::parse("5", Currency::USD).unwrap();
    let cheap = here
        .candidates(&shelf("us", "T4"), hours(0, 1), Some(most), 100)
        .await
        .unwrap()
        .value
        .list;
    assert_eq!(cheap, candidates[..5]);

    let booked = here
        .create_group_booking(group(0, 3, cheap.clone(), "three"))
        .await
        .unwrap();
    let granted: Vec<GpuId> = booked
        .outcome
        .granted()
        .iter()
        .map(|one| one.gpu.clone())
        .collect();
    let wanted: Vec<GpuId> = cheap[..3].iter().map(|candidate| candidate.gpu.clone()).collect();
    assert_eq!(granted, wanted);
    settle().await;
    for id in &granted {
        assert_eq!(
            (status(&here, id).await, status(&there, id).await),
            (GpuStatus::Busy, GpuStatus::Busy)
        );
    }
    let again = there
        .create_group_booking(group(0, 3, cheap.clone(), "three"))
        .await
        .unwrap();
    assert_eq!(
        again.outcome.granted(),
        booked.outcome.granted(),
        "repeated on another node"
    );
    let refused = here
        .create_group_booking(group(0, 4, cheap, "four"))
        .await
        .unwrap();
    assert!(
        matches!(refused.outcome, BookingOutcome::Conflict { .. }),
        "two are left: {:?}",
        refused.outcome
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_with_a_gpu_out_of_service_is_gone_and_leaves_nothing_held() {
    let market = Market::of(&["us"], &["T4"], 3);
    let node = market.node("here").await;
    let candidates = node
        .candidates(&shelf("us", "T4"), hours(0, 1), None, 3)
        .await
        .unwrap();
    let candidates = candidates.value.list;
    node.update_gpu_status(&candidates[1].gpu, OperatorStatus::Maintenance)
        .await
        .unwrap();
    let booked = node
        .create_group_booking(group(0, 3, candidates.clone(), "all"))
        .await
        .unwrap();
    assert_eq!(booked.outcome, BookingOutcome::Gone);
    assert_eq!(
        booked.reason,
        Some(Reason::OutOfService(candidates[1].gpu.clone()))
    );
    let ids: Vec<GpuId> = candidates.into_iter().map(|candidate| candidate.gpu).collect();
    let occupied = market
        .bookings
        .occupied(&ids, StoreTime::from_millis(0))
        .await
        .unwrap();
    assert!(occupied.iter().all(|one| one.holder.is_none()), "{occupied:?}");
}

#[tokio::test(start_paused = true)]
async fn a_booking_is_made_longer_and_then_ended_early_and_the_next_free_time_follows() {
    let market = Market::of(&["us"], &["T4"], 1);
    let node = market.node("here").await;
    let only = gpu("us", "T4", 0);
    let (id, fence) = book(&node, &only, "one").await.outcome.won().unwrap();
    let at = StoreTime::from_millis;
    let day = Interval::new(at(0), at(24 * HOUR)).unwrap();
    let next = async || {
        let found = node
            .next_free(&shelf("us", "T4"), Duration::from_secs(60), day)
            .await
            .unwrap();
        found.map(|(gpu, interval)| (gpu, interval.start().as_millis()))
    };
    assert_eq!(next().await, Some((only.clone(), HOUR)));
    let extend = ExtendRequest {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("longer").unwrap(),
        id: id.clone(),
        fence,
        until: at(24 * HOUR),
    };
    assert!(node.extend_booking(extend).await.unwrap().outcome.won().is_some());
    assert_eq!(next().await, None, "it is taken for the whole day");
    market.clock.advance(Duration::from_secs(60));
    let complete = CompleteRequest {
        user: UserId::new("ada").unwrap(),
        key: IdempotencyKey::new("done").unwrap(),
        id,
        fence,
    };
    assert!(
        node.complete_booking(complete)
            .await
            .unwrap()
            .outcome
            .won()
            .is_some()
    );
    assert_eq!(next().await, Some((only.clone(), 60_000)));
    settle().await;
    assert_eq!(status(&node, &only).await, GpuStatus::Available);
}
