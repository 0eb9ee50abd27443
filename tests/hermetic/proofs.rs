//! How long ago a stale answer was current: from when that was proven, which a lease that still stands does not change.
//!
//! Jitter is off, so that every expiry is exact. The bus is cut a while before, so that nothing newer is proven.

use std::time::Duration;

use cache_core::{FailSafe, Key, Namespace, Permille, Policy};
use cache_memory::{Cut, Faults};
use edge_cache::{CacheError, Fetched, Freshness, Timing};
use futures_util::future::join;
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep, sleep_until};

use crate::doubles::{Says, Source};

const TTL: Duration = Duration::from_secs(10);
const PLAIN: Policy = Policy::event_driven(TTL).with_jitter(Permille(0));
const REVALIDATED: Namespace<u64> = Namespace::new(
    "revalidated",
    PLAIN.with_stale_while_revalidate(Duration::from_secs(20)),
);
const GUARDED: Namespace<u64> = Namespace::new("guarded", safe_for(60_000));
const BRIEFLY: Namespace<u64> = Namespace::new("briefly", safe_for(1_500));

const fn safe_for(millis: u64) -> Policy {
    PLAIN.with_fail_safe(FailSafe {
        max_stale: Duration::from_millis(millis),
        throttle: Duration::from_secs(5),
    })
}

/// A fleet of two, and when both have in memory what the second will be asked for.
async fn holding(key: &Key<u64>) -> (Fleet, Instant) {
    let fleet = Fleet::start(FleetOptions::default(), |builder| {
        builder
            .namespace(&REVALIDATED)
            .namespace(&GUARDED)
            .namespace(&BRIEFLY)
    })
    .await;
    fleet.nodes[0].put(key, 1).await.expect("published");
    let put = Instant::now();
    fleet.nodes[1].get(key).await.expect("read").expect("in memory");
    (fleet, put)
}

fn stale_by(answer: &Fetched<u64>) -> Duration {
    match answer.freshness() {
        Freshness::Stale { at_most } => at_most,
        fresh => panic!("{fresh:?} where it should be stale"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_has_just_expired_is_as_stale_as_what_it_lacks_under_a_lease_that_still_stands() {
    let key = REVALIDATED.key(&[("id", &1)]);
    let (fleet, put) = holding(&key).await;
    sleep_until(put + TTL - Duration::from_millis(1_800)).await;
    fleet.hub.partition("node-1", Cut::Bus);
    fleet.nodes[0].put(&key, 2).await.expect("published");
    let published = Instant::now();
    sleep_until(put + TTL + Duration::from_millis(100)).await;
    let answer = fleet.nodes[1].get(&key).await.expect("read").expect("there");
    assert_eq!(*answer, 1);
    let bound = stale_by(&answer);
    assert!(
        bound >= published.elapsed(),
        "{answer:?} lacks what is {:?} old",
        published.elapsed()
    );
    assert!(bound <= Timing::default().lease, "{answer:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn fail_safe_serves_nothing_that_was_proven_longer_ago_than_max_stale() {
    for (key, served) in [
        (GUARDED.key(&[("id", &1)]), true),
        (BRIEFLY.key(&[("id", &1)]), false),
    ] {
        let (fleet, put) = holding(&key).await;
        sleep_until(put + TTL - Duration::from_millis(1_800)).await;
        fleet.hub.partition("node-1", Cut::Both);
        sleep_until(put + TTL + Duration::from_millis(100)).await;
        let source = Source::saying(Says::Error);
        let answer = fleet.nodes[1].get_or_load(&key, source.loader()).await;
        match answer {
            Ok(Some(answer)) if served => assert!(stale_by(&answer) >= Duration::from_millis(1_900)),
            Err(CacheError::Load(_)) if !served => {}
            other => panic!("expired 100 ms ago and proven 1.9 s ago: {other:?}"),
        }
        fleet.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_from_the_shared_store_may_have_come_from_a_copy_that_lags_by_a_lease() {
    let key = GUARDED.key(&[("id", &1)]);
    let (fleet, put) = holding(&key).await;
    sleep_until(put + TTL - Duration::from_millis(1_800)).await;
    fleet.hub.partition("node-1", Cut::Bus);
    fleet.nodes[0].put(&key, 2).await.expect("published");
    let published = Instant::now();
    let delay = Duration::from_millis(20);
    fleet.hub.set_faults(Faults {
        lagging_read: Permille(1_000),
        lag: 1,
        request_delay: delay..=delay,
        ..Faults::NONE
    });
    sleep_until(put + TTL + Duration::from_millis(100)).await;
    // Past memory: what stands in is what the copy says, since nobody else answers after that.
    let options = edge_cache::Options::default().with_l1(edge_cache::TierUse::Skip);
    let source = Source::saying(Says::Error);
    let read = fleet.nodes[1].get_or_load_with(&key, options, source.loader());
    let (answer, ()) = join(read, async {
        sleep(Duration::from_millis(50)).await;
        fleet.hub.partition("node-1", Cut::Both);
    })
    .await;
    let answer = answer.expect("a stand-in").expect("there");
    assert_eq!(*answer, 1);
    let bound = stale_by(&answer);
    assert!(
        bound >= published.elapsed(),
        "{answer:?} lacks what is {:?} old",
        published.elapsed()
    );
    fleet.shutdown().await;
}
