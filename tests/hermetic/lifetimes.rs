//! How long values, and the knowledge that there are none, live in both tiers.
//!
//! What is served after that is in `stale`.

use std::time::Duration;

use cache_core::{FailSafe, Namespace, Permille, Policy};
use cache_memory::{Cut, Faults};
use edge_cache::{Freshness, Put, Tier};
use futures_util::future::join_all;
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::{Says, Source, Watch};

const TTL: Duration = Duration::from_secs(10);
const EXACT: Policy = Policy::event_driven(TTL).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", EXACT);
const NEGATIVE: Namespace<u64> = Namespace::new("negative", EXACT.with_negative_ttl(Duration::from_secs(5)));
const SHORT_IN_MEMORY: Namespace<u64> =
    Namespace::new("short_in_memory", EXACT.with_l1_ttl(Duration::from_secs(2)));
const JITTERED: Namespace<u64> = Namespace::new(
    "jittered",
    Policy::event_driven(Duration::from_secs(100))
        .with_l1_ttl(TTL)
        .with_jitter(Permille(100)),
);
const KEPT: Namespace<u64> =
    Namespace::new("kept", EXACT.with_stale_while_revalidate(Duration::from_secs(1)));
const BY_TTL: Namespace<u64> = Namespace::new("by_ttl", Policy::ttl_only(TTL).with_jitter(Permille(0)));

async fn fleet() -> Fleet {
    watched(&Watch::default()).await
}

async fn watched(watch: &Watch) -> Fleet {
    let options = FleetOptions {
        shared: watch.wrap(),
        ..FleetOptions::default()
    };
    Fleet::start(options, |builder| {
        let builder = builder
            .namespace(&NUMBERS)
            .namespace(&NEGATIVE)
            .namespace(&SHORT_IN_MEMORY);
        builder.namespace(&JITTERED).namespace(&KEPT).namespace(&BY_TTL)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_value_is_gone_from_both_tiers_after_its_ttl_and_not_before() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(1));
    fleet.nodes[0]
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded");
    sleep(TTL - Duration::from_millis(50)).await;
    assert_eq!(
        fleet.nodes[0]
            .get(&key)
            .await
            .expect("get")
            .expect("there")
            .tier(),
        Tier::L1
    );
    assert_eq!(
        fleet.nodes[1]
            .get(&key)
            .await
            .expect("get")
            .expect("there")
            .tier(),
        Tier::L2
    );
    sleep(Duration::from_millis(50)).await;
    for node in &fleet.nodes {
        assert!(node.get(&key).await.expect("get").is_none());
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn memory_forgets_after_its_own_ttl_and_reads_the_shared_store_again() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], SHORT_IN_MEMORY.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    sleep(Duration::from_secs(2)).await;
    let answer = node
        .get_or_load(&key, source.loader())
        .await
        .expect("read")
        .expect("there");
    assert_eq!((*answer, answer.tier(), source.calls()), (1, Tier::L2, 1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_on_every_node_for_its_own_ttl() {
    let fleet = fleet().await;
    let (key, source) = (NEGATIVE.key(&[("id", &1)]), Source::saying(Says::Absent));
    for node in fleet.nodes.iter().chain(&fleet.nodes) {
        assert!(
            node.get_or_load(&key, source.loader())
                .await
                .expect("absent")
                .is_none()
        );
        assert_eq!(source.calls(), 1);
    }
    source.set(Says::Value(1));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        fleet.nodes[0]
            .get_or_load(&key, source.loader())
            .await
            .expect("loaded")
            .as_deref(),
        Some(&1)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn absence_is_not_remembered_unless_the_policy_says_so() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::saying(Says::Absent));
    for calls in 1..=3 {
        assert!(
            fleet.nodes[0]
                .get_or_load(&key, source.loader())
                .await
                .expect("absent")
                .is_none()
        );
        assert_eq!(source.calls(), calls);
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_remembered_absence() {
    let fleet = fleet().await;
    let (key, source) = (NEGATIVE.key(&[("id", &1)]), Source::saying(Says::Absent));
    for node in &fleet.nodes {
        assert!(
            node.get_or_load(&key, source.loader())
                .await
                .expect("absent")
                .is_none()
        );
    }
    fleet.nodes[0].put(&key, 3).await.expect("put");
    sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&3));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_loader_and_a_put_may_choose_the_ttl() {
    let fleet = fleet().await;
    let (node, short) = (&fleet.nodes[0], Duration::from_secs(2));
    let (loaded, put) = (NUMBERS.key(&[("id", &1)]), NUMBERS.key(&[("id", &2)]));
    let source = Source::saying(Says::ValueFor(1, short));
    node.get_or_load(&loaded, source.loader()).await.expect("loaded");
    node.put(&put, Put::new(2).with_ttl(short)).await.expect("put");
    sleep(short - Duration::from_millis(10)).await;
    assert!(node.get(&loaded).await.expect("get").is_some() && node.get(&put).await.expect("get").is_some());
    sleep(Duration::from_millis(10)).await;
    assert!(node.get(&loaded).await.expect("get").is_none() && node.get(&put).await.expect("get").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn not_modified_gives_the_earlier_value_a_new_life() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], KEPT.key(&[("id", &1)]), Source::of(7));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    assert_eq!(source.previous(), None);
    source.set(Says::NotModified);
    sleep(TTL + Duration::from_millis(500)).await;
    node.get_or_load(&key, source.loader())
        .await
        .expect("stale, refreshed behind");
    sleep(Duration::from_millis(1)).await;
    assert_eq!((source.calls(), source.previous()), (2, Some(7)));
    sleep(TTL - Duration::from_millis(50)).await;
    for node in &fleet.nodes {
        let answer = node.get(&key).await.expect("get").expect("still there");
        assert_eq!(*answer, 7);
        assert!(
            matches!(answer.freshness(), Freshness::Current { .. }),
            "{answer:?}"
        );
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_lives_by_at_most_its_share_and_not_all_alike() {
    let watch = Watch::default();
    let fleet = watched(&watch).await;
    let node = &fleet.nodes[0];
    let keys: Vec<_> = (0..200).map(|id| JITTERED.key(&[("id", &id)])).collect();
    for key in &keys {
        node.put(key, 1).await.expect("put");
    }
    let in_memory = || {
        keys.iter()
            .filter(|key| node.peek(key).expect("registered").is_some())
            .count()
    };
    sleep(Duration::from_secs(9)).await;
    assert_eq!(in_memory(), 200);
    sleep(Duration::from_millis(500)).await;
    assert!((50..150).contains(&in_memory()), "{} of 200 left", in_memory());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(in_memory(), 0);

    for key in &keys {
        node.get_or_load_with(
            key,
            edge_cache::Options::default().with_l2(edge_cache::TierUse::WriteOnly),
            Source::of(1).loader(),
        )
        .await
        .expect("loaded");
    }
    let lives = watch.lives();
    assert_eq!(lives.len(), 200);
    let (shortest, longest) = (
        lives.iter().min().expect("some"),
        lives.iter().max().expect("some"),
    );
    assert!(
        *shortest >= Duration::from_secs(90) && *longest <= Duration::from_secs(100),
        "{shortest:?} {longest:?}"
    );
    assert!(
        *longest - *shortest > Duration::from_secs(8),
        "{shortest:?} {longest:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_bounded_by_ttl_alone_needs_no_lease() {
    let fleet = fleet().await;
    let (node, by_ttl, by_event) = (
        &fleet.nodes[0],
        BY_TTL.key(&[("id", &1)]),
        NUMBERS.key(&[("id", &1)]),
    );
    join_all([node.put(&by_ttl, 1), node.put(&by_event, 1)])
        .await
        .into_iter()
        .for_each(|put| {
            put.expect("put");
        });
    fleet.hub.partition("node-0", Cut::Both);
    sleep(Duration::from_secs(5)).await;
    assert!(
        node.peek(&by_event).expect("registered").is_none(),
        "its lease is over"
    );
    let answer = node.peek(&by_ttl).expect("registered").expect("in memory");
    assert_eq!(
        answer.freshness(),
        Freshness::WithinTtl {
            at_most: answer.age()
        }
    );
    assert!(
        answer.age() >= Duration::from_secs(5) && answer.age() < TTL,
        "{answer:?}"
    );
    sleep(TTL).await;
    assert!(node.peek(&by_ttl).expect("registered").is_none());
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_loaded_value_counts_from_before_its_load_on_every_node() {
    let fleet = fleet().await;
    let (key, source) = (
        BY_TTL.key(&[("id", &1)]),
        Source::of(1).slow(Duration::from_millis(1_500)),
    );
    let asked = Instant::now();
    fleet.nodes[0]
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded");
    for node in &fleet.nodes {
        node.get(&key).await.expect("answered");
        let hit = node.peek(&key).expect("registered").expect("in memory");
        let Freshness::WithinTtl { at_most } = hit.freshness() else {
            panic!("{hit:?}");
        };
        assert!(at_most >= asked.elapsed() && at_most == hit.age(), "{hit:?}");
        sleep(Duration::from_millis(100)).await;
    }
    fleet.shutdown().await;
}

fn slow_requests() -> Faults {
    let delay = Duration::from_millis(300);
    Faults {
        request_delay: delay..=delay,
        ..Faults::NONE
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_loaded_value_counts_the_time_it_took_to_store_it() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], BY_TTL.key(&[("id", &1)]), Source::of(1));
    fleet.hub.set_faults(slow_requests());
    let asked = Instant::now();
    let answer = node
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded")
        .expect("there");
    // It is read, asked for and stored, 600 ms each; the loader was called after the second.
    let since_load = asked.elapsed() - Duration::from_millis(1_200);
    assert!(
        since_load >= Duration::from_millis(600) && answer.age() >= since_load,
        "{answer:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn memory_does_not_outlive_the_ttl_by_the_time_that_writing_took() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], BY_TTL.key(&[("id", &1)]));
    fleet.hub.set_faults(slow_requests());
    let began = Instant::now();
    node.put(&key, 1).await.expect("put");
    sleep(TTL + Duration::from_millis(1) - began.elapsed()).await;
    assert!(node.peek(&key).expect("registered").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_ttl_without_end_is_a_long_one() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    let source = Source::saying(Says::ValueFor(1, Duration::MAX));
    let answer = node.get_or_load(&key, source.loader()).await.expect("loaded");
    assert_eq!((answer.as_deref(), source.calls()), (Some(&1), 1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn ttls_and_shares_at_their_extremes_are_served_and_panic_nowhere() {
    const fn extreme(ttl: Duration, share: u16) -> Policy {
        let fail_safe = FailSafe {
            max_stale: ttl,
            throttle: ttl,
        };
        Policy::event_driven(ttl)
            .with_jitter(Permille(share))
            .with_negative_ttl(ttl)
            .with_stale_while_revalidate(ttl)
            .with_fail_safe(fail_safe)
            .with_eager_refresh(Permille(if share < 1000 { share } else { 999 }))
    }
    const MILLISECOND: Duration = Duration::from_millis(1);
    const EXTREMES: [Namespace<u64>; 4] = [
        Namespace::new("least", extreme(MILLISECOND, 0)),
        Namespace::new("least_drawn", extreme(MILLISECOND, 1000)),
        Namespace::new("for_ever", extreme(Duration::MAX, 0)),
        Namespace::new("for_ever_drawn", extreme(Duration::MAX, 1000)),
    ];
    let fleet = Fleet::start(FleetOptions::default(), |builder| {
        EXTREMES
            .iter()
            .fold(builder, |builder, namespace| builder.namespace(namespace))
    })
    .await;
    for namespace in &EXTREMES {
        let (key, source) = (namespace.key(&[("id", &1)]), Source::of(1));
        for node in &fleet.nodes {
            let read = node.get_or_load(&key, source.loader()).await;
            assert_eq!(*read.expect("no failure").expect("loaded"), 1, "{namespace:?}");
            node.put(&key, Put::new(1)).await.expect("written");
            node.get(&key).await.expect("no failure");
        }
    }
    sleep(Duration::from_secs(24 * 3600)).await;
    let kept = EXTREMES[2].key(&[("id", &1)]);
    // The last one who wrote.
    let read = fleet.nodes[1].get(&kept).await.expect("no failure");
    assert_eq!(read.expect("it lives").tier(), Tier::L1);
    fleet.shutdown().await;
}
