//! What a node finds out about itself: hits compared with the log afterwards, and canaries.
//!
//! That the comparison finds something where there is something is shown by the simulation, with rules taken out.

use std::time::Duration;

use cache_core::{Lane, Namespace, Policy};
use cache_memory::Cut;
use edge_cache::Stats;
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::Source;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY.with_lane(Lane::Critical));
const BY_TTL: Namespace<u64> = Namespace::new("by_ttl", Policy::ttl_only(Duration::from_secs(300)));
const EVERY: Duration = Duration::from_secs(1);

async fn fleet(canaries: Option<Duration>) -> Fleet {
    let options = FleetOptions {
        canaries,
        ..FleetOptions::default()
    };
    Fleet::start(options, |builder| builder.namespace(&NUMBERS).namespace(&BY_TTL)).await
}

/// Waits until the statistics of a node are as wanted.
async fn until(fleet: &Fleet, node: usize, wanted: impl Fn(&Stats) -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !wanted(&fleet.nodes[node].stats()) {
        assert!(Instant::now() < patience, "{:?}", fleet.nodes[node].stats());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn hits_are_compared_with_the_log_and_found_to_lack_nothing() {
    let fleet = fleet(None).await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(1));
    for round in 0..20 {
        fleet.nodes[round % 2].invalidate(&key).await.expect("published");
        for node in &fleet.nodes {
            for _read in 0..3 {
                node.get_or_load(&key, source.loader()).await.expect("answered");
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
    until(&fleet, 1, |stats| stats.spot_checks.consistent >= 20).await;
    for node in &fleet.nodes {
        let checks = node.stats().spot_checks;
        assert_eq!((checks.inconsistent, checks.undecided), (0, 0));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_bounded_by_its_ttl_alone_is_not_checked() {
    let fleet = fleet(None).await;
    let (key, source) = (BY_TTL.key(&[("id", &1)]), Source::of(1));
    for _read in 0..100 {
        fleet.nodes[0]
            .get_or_load(&key, source.loader())
            .await
            .expect("answered");
        sleep(Duration::from_millis(100)).await;
    }
    let stats = fleet.nodes[0].stats();
    assert!(stats.total().l1_hits > 90, "{stats:?}");
    assert_eq!(stats.spot_checks, edge_cache::SpotCheckTally::default());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_tells_each_node_how_old_its_view_is() {
    let fleet = fleet(Some(EVERY)).await;
    let young = |stats: &Stats| stats.canary_age.is_some_and(|age| age <= EVERY * 3 / 2);
    until(&fleet, 0, young).await;
    until(&fleet, 1, young).await;
    fleet.hub.partition("node-1", Cut::Bus);
    until(&fleet, 1, |stats| {
        stats.canary_age.is_some_and(|age| age > EVERY * 5)
    })
    .await;
    assert!(young(&fleet.nodes[0].stats()), "the other one is not cut off");
    fleet.hub.heal("node-1");
    until(&fleet, 1, young).await;
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_canaries_nobody_claims_to_know_the_age() {
    let fleet = fleet(None).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(fleet.nodes[1].stats().canary_age, None);
    fleet.shutdown().await;
}
