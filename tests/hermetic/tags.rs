//! Invalidation of many at once, by tag, by namespace, and of everything.
//!
//! A node that starts later must find out by itself what was invalidated before.

use std::time::Duration;

use cache_core::{BARRIERS_KEPT, FailSafe, Lane, Namespace, Permille, Policy};
use edge_cache::{EdgeCacheBuilder, Put};
use futures_util::future::join;
use tests::{Fleet, FleetOptions, Node};
use tokio::time::sleep;

use crate::doubles::{Says, Source};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0));
const BULK: Namespace<u64> = Namespace::new("bulk", POLICY);
const BRIEF: Namespace<u64> = Namespace::new(
    "brief",
    Policy::event_driven(Duration::from_secs(10))
        .with_jitter(Permille(0))
        .with_stale_while_revalidate(Duration::from_millis(1))
        .with_fail_safe(FailSafe {
            max_stale: Duration::from_secs(60),
            throttle: Duration::from_secs(5),
        }),
);
const URGENT: Namespace<u64> = Namespace::new("urgent", POLICY.with_lane(Lane::Critical));

fn register(builder: EdgeCacheBuilder) -> EdgeCacheBuilder {
    builder.namespace(&BULK).namespace(&URGENT).namespace(&BRIEF)
}

/// Two nodes that hold tagged and untagged values of both lanes in memory.
async fn fleet() -> Fleet {
    let fleet = Fleet::start(FleetOptions::default(), register).await;
    for namespace in [&BULK, &URGENT] {
        let (tagged, plain) = (namespace.key(&[("tagged", &1)]), namespace.key(&[("plain", &1)]));
        fleet.nodes[0]
            .put(&tagged, Put::new(1).with_tag("eu").with_tag("vast"))
            .await
            .expect("put");
        fleet.nodes[0].put(&plain, 2).await.expect("put");
        for node in &fleet.nodes {
            assert!(
                node.get(&tagged).await.expect("get").is_some()
                    && node.get(&plain).await.expect("get").is_some()
            );
        }
    }
    fleet
}

/// Which values a node finds: tagged and plain of the bulk lane, then of the critical one.
async fn found(node: &Node) -> [bool; 4] {
    let mut found = Vec::new();
    for namespace in [&BULK, &URGENT] {
        for kind in ["tagged", "plain"] {
            found.push(
                node.get(&namespace.key(&[(kind, &1)]))
                    .await
                    .expect("get")
                    .is_some(),
            );
        }
    }
    found.try_into().expect("four")
}

async fn join_late(fleet: &mut Fleet) -> &Node {
    let late = fleet.join(register);
    assert!(late.ready(Duration::from_secs(5)).await);
    late
}

#[tokio::test(start_paused = true)]
async fn a_tag_kills_what_carries_it_in_both_lanes_on_every_node_also_one_that_starts_later() {
    let mut fleet = fleet().await;
    fleet.nodes[1].invalidate_tag("vast").await.expect("published");
    let rest = [false, true, false, true];
    assert_eq!(found(&fleet.nodes[1]).await, rest, "its writer sees it at once");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(found(&fleet.nodes[0]).await, rest);
    let late = join_late(&mut fleet).await;
    assert_eq!(found(late).await, rest);
    // The tagged ones were read and found dead; the plain ones are older than the node and had to be looked up.
    assert_eq!(late.stats().total().barred, 2);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_after_the_tag_was_invalidated_lives_on_every_node() {
    let mut fleet = fleet().await;
    fleet.nodes[1].invalidate_tag("vast").await.expect("published");
    // On both nodes: on the one that invalidated, and on one that may not have heard of it yet.
    fleet.nodes[1]
        .put(&BULK.key(&[("tagged", &1)]), Put::new(3).with_tag("vast"))
        .await
        .expect("put");
    sleep(Duration::from_millis(1)).await;
    fleet.nodes[0]
        .put(&URGENT.key(&[("tagged", &1)]), Put::new(3).with_tag("vast"))
        .await
        .expect("put");
    sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert_eq!(found(node).await, [true; 4]);
    }
    assert_eq!(found(join_late(&mut fleet).await).await, [true; 4]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_tagged_load_that_was_under_way_when_its_tag_was_invalidated_is_dead() {
    let fleet = fleet().await;
    let key = BULK.key(&[("loaded", &1)]);
    let source = Source::saying(Says::Tagged(1, "eu")).slow(Duration::from_millis(100));
    let reader = fleet.nodes[0].get_or_load(&key, source.loader());
    let invalidation = async {
        sleep(Duration::from_millis(50)).await;
        fleet.nodes[1].invalidate_tag("eu").await.expect("published");
    };
    let (answer, ()) = futures_util::future::join(reader, invalidation).await;
    answer.expect("loaded");
    source.set(Says::Tagged(2, "eu"));
    for node in &fleet.nodes {
        assert_eq!(
            node.get_or_load(&key, source.loader())
                .await
                .expect("loaded")
                .as_deref(),
            Some(&2)
        );
    }
    assert_eq!(source.calls(), 2);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn clearing_a_namespace_kills_all_of_it_and_nothing_else() {
    let mut fleet = fleet().await;
    fleet.nodes[0].clear(&BULK).await.expect("published");
    let rest = [false, false, true, true];
    assert_eq!(found(&fleet.nodes[0]).await, rest, "its writer sees it at once");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(found(&fleet.nodes[1]).await, rest);
    assert_eq!(found(join_late(&mut fleet).await).await, rest);
    fleet.nodes[0]
        .put(&BULK.key(&[("plain", &1)]), 5)
        .await
        .expect("put");
    assert_eq!(found(&fleet.nodes[1]).await, [false, true, true, true]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn clearing_everything_kills_all_namespaces_of_both_lanes() {
    let mut fleet = fleet().await;
    fleet.nodes[0].clear_all().await.expect("published");
    assert_eq!(found(&fleet.nodes[0]).await, [false; 4]);
    assert_eq!(fleet.nodes[0].stats().total().memory.entries, 0);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(found(&fleet.nodes[1]).await, [false; 4]);
    assert_eq!(found(join_late(&mut fleet).await).await, [false; 4]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_load_began_before_its_tag_was_invalidated_leaves_a_dead_value() {
    let fleet = fleet().await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], BULK.key(&[("tagged", &1)]));
    let source = Source::saying(Says::Tagged(3, "eu")).slow(Duration::from_millis(100));
    let (refreshed, ()) = join(here.refresh(&key, source.loader()), async {
        sleep(Duration::from_millis(50)).await;
        source.set(Says::Tagged(4, "eu"));
        there.invalidate_tag("eu").await.expect("published");
    })
    .await;
    refreshed.expect("published");
    for node in [here, there] {
        assert!(
            node.get(&key).await.expect("get").is_none(),
            "3 is older than the invalidation"
        );
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_modified_keeps_its_tags() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], BRIEF.key(&[("id", &1)]));
    let source = Source::saying(Says::Tagged(1, "eu"));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    sleep(Duration::from_secs(11)).await;
    source.set(Says::NotModified);
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    node.invalidate_tag("eu").await.expect("published");
    assert!(
        node.get(&key).await.expect("get").is_none(),
        "its tag was invalidated"
    );
    fleet.shutdown().await;
}

/// Takes away from the store, and from it alone, when anything was invalidated.
fn lose_barriers(fleet: &Fleet) {
    Lane::ALL
        .into_iter()
        .for_each(|lane| fleet.hub.evict_barriers(lane));
}

#[tokio::test(start_paused = true)]
async fn what_a_tag_killed_stays_dead_for_a_node_that_starts_after_the_store_lost_its_barriers() {
    let mut fleet = fleet().await;
    fleet.nodes[1].invalidate_tag("vast").await.expect("published");
    lose_barriers(&fleet);
    let late = found(join_late(&mut fleet).await).await;
    // Nobody knows any more what else was invalidated: all that was there before is read from its source again.
    assert_eq!(late, [false; 4]);
    for namespace in [&BULK, &URGENT] {
        let put = Put::new(3).with_tag("vast");
        fleet.nodes[0]
            .put(&namespace.key(&[("tagged", &1)]), put)
            .await
            .expect("put");
    }
    assert_eq!(
        found(join_late(&mut fleet).await).await,
        [true, false, true, false]
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_cleared_stays_so_for_a_node_that_starts_after_the_store_lost_its_barriers() {
    for everything in [false, true] {
        let mut fleet = fleet().await;
        match everything {
            true => fleet.nodes[1].clear_all().await.expect("published"),
            false => fleet.nodes[1].clear(&BULK).await.expect("published"),
        };
        lose_barriers(&fleet);
        let late = found(join_late(&mut fleet).await).await;
        assert_eq!(late[..2], [false; 2], "everything: {everything}");
        fleet.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_table_is_noticed_by_the_next_invalidation_too_and_revives_nothing() {
    let mut fleet = fleet().await;
    fleet.nodes[1].invalidate_tag("vast").await.expect("published");
    lose_barriers(&fleet);
    fleet.nodes[1].invalidate_tag("another").await.expect("published");
    assert_eq!(found(join_late(&mut fleet).await).await, [false; 4]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_of_a_year_is_dead_months_after_its_tag_was_invalidated() {
    const DAY: u64 = 24 * 3600;
    const YEARLY: Namespace<u64> = Namespace::new(
        "yearly",
        Policy::event_driven(Duration::from_secs(365 * DAY)).with_jitter(Permille(0)),
    );
    let register = |builder: EdgeCacheBuilder| builder.namespace(&YEARLY);
    let mut fleet = Fleet::start(FleetOptions::default(), register).await;
    let (dead, alive) = (YEARLY.key(&[("id", &1)]), YEARLY.key(&[("id", &2)]));
    for (key, tag) in [(&dead, "vast"), (&alive, "other")] {
        fleet.nodes[0]
            .put(key, Put::new(1).with_tag(tag))
            .await
            .expect("put");
    }
    fleet.nodes[0].invalidate_tag("vast").await.expect("published");
    fleet.hub.set_clock_ahead(90 * DAY as i64 * 1000);
    let late = fleet.join(register);
    assert!(late.ready(Duration::from_secs(5)).await);
    assert!(
        late.get(&alive).await.expect("get").is_some(),
        "it lives for a year"
    );
    assert!(late.get(&dead).await.expect("get").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn more_invalidated_tags_than_are_kept_end_older_tagged_values_and_no_others() {
    let mut fleet = fleet().await;
    fleet.nodes[1].invalidate_tag("vast").await.expect("published");
    let tagged = BULK.key(&[("tagged", &1)]);
    fleet.nodes[1]
        .put(&tagged, Put::new(3).with_tag("kept"))
        .await
        .expect("put");
    for index in 0..BARRIERS_KEPT + 10 {
        fleet.nodes[1]
            .invalidate_tag(format!("unused-{index}"))
            .await
            .expect("published");
        if index == BARRIERS_KEPT / 2 {
            assert_eq!(
                found(join_late(&mut fleet).await).await,
                [true, true, false, true]
            );
        }
    }
    let late = found(join_late(&mut fleet).await).await;
    assert_eq!(
        late,
        [false, true, false, true],
        "when its tag was invalidated is not known any more"
    );
    fleet.nodes[1]
        .put(&tagged, Put::new(4).with_tag("kept"))
        .await
        .expect("put");
    assert!(
        join_late(&mut fleet)
            .await
            .get(&tagged)
            .await
            .expect("get")
            .is_some()
    );
    fleet.shutdown().await;
}
