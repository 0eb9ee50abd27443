//! The shared store is away: what memory serves all the same, and what it says of it.
//!
//! What is answered where memory serves nothing is tested with outages.

use std::time::Duration;

use cache_core::{Key, Namespace, OutageReads, Permille, Policy};
use cache_memory::Cut;
use edge_cache::{Freshness, Tier};
use tests::{Fleet, FleetOptions, Node};
use tokio::time::sleep;

use crate::doubles::{Says, Source};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(60)).with_jitter(Permille(0));
const SERVING: Namespace<u64> = Namespace::new("serving", POLICY.with_outage_reads(OutageReads::WithinTtl));
const LOADING: Namespace<u64> = Namespace::new("loading", POLICY);
const TTL_ONLY: Namespace<u64> = Namespace::new(
    "ttl_only",
    Policy::ttl_only(Duration::from_secs(60)).with_jitter(Permille(0)),
);
/// Longer than a lease: by then a node knows that the store is away.
const KNOWN: Duration = Duration::from_secs(4);
/// By then, debts are paid after a partition has healed.
const SETTLED: Duration = Duration::from_secs(5);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder
            .namespace(&SERVING)
            .namespace(&LOADING)
            .namespace(&TTL_ONLY)
    })
    .await
}

fn key(namespace: &Namespace<u64>) -> Key<u64> {
    namespace.key(&[("id", &1)])
}

async fn read(node: &Node, key: &Key<u64>, source: &Source) -> (u64, Tier, Freshness) {
    let answer = node
        .get_or_load(key, source.loader())
        .await
        .expect("answered")
        .expect("there");
    (*answer, answer.tier(), answer.freshness())
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_bounded_by_its_ttl_loads_once_while_the_store_is_away() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], key(&TTL_ONLY), Source::of(1));
    fleet.hub.partition("node-0", Cut::Both);
    for _ in 0..100 {
        assert_eq!(read(node, &key, &source).await.0, 1);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(source.calls(), 1, "100 reads");
    assert!(matches!(
        read(node, &key, &source).await.2,
        Freshness::WithinTtl { .. }
    ));
    sleep(Duration::from_secs(60)).await;
    read(node, &key, &source).await;
    assert_eq!(source.calls(), 2, "its TTL is over");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_without_the_store_serves_a_ttl_only_namespace_from_memory() {
    let options = FleetOptions {
        nodes: 0,
        ..FleetOptions::default()
    };
    let mut fleet = Fleet::start(options, |builder| builder).await;
    fleet.hub.partition("node-0", Cut::Both);
    let (node, source) = (
        fleet.join(|builder| builder.namespace(&TTL_ONLY)).clone(),
        Source::of(1),
    );
    for _ in 0..10 {
        assert_eq!(read(&node, &key(&TTL_ONLY), &source).await.0, 1);
    }
    assert_eq!(source.calls(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_own_invalidation_ends_what_memory_serves_without_the_store() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(1));
    fleet.hub.partition("node-0", Cut::Both);
    sleep(KNOWN).await;
    for namespace in [&TTL_ONLY, &SERVING] {
        source.set(Says::Value(1));
        read(node, &key(namespace), &source).await;
        source.set(Says::Value(2));
        assert_eq!(read(node, &key(namespace), &source).await.0, 1, "from memory");
        node.invalidate(&key(namespace)).await.expect("owed");
        assert_eq!(read(node, &key(namespace), &source).await.0, 2, "loaded anew");
        source.set(Says::Value(3));
        assert_eq!(read(node, &key(namespace), &source).await.0, 2, "and kept again");
        node.clear(namespace).await.expect("owed");
        assert_eq!(read(node, &key(namespace), &source).await.0, 3);
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_says_so_is_served_within_its_ttl_while_the_store_is_away_and_tells_that_nothing_proves_it()
 {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(1));
    for namespace in [&SERVING, &LOADING] {
        node.put(&key(namespace), 1).await.expect("published");
    }
    fleet.hub.partition("node-0", Cut::Both);
    sleep(Duration::from_secs(20)).await;
    for _ in 0..10 {
        let (value, tier, freshness) = read(node, &key(&SERVING), &source).await;
        assert_eq!((value, tier), (1, Tier::L1));
        let Freshness::Unproven { at_most } = freshness else {
            panic!("{freshness:?}");
        };
        assert!(
            at_most >= Duration::from_secs(20) && at_most < Duration::from_secs(25),
            "{at_most:?}"
        );
    }
    assert!(node.peek(&key(&SERVING)).expect("registered").is_some());
    assert_eq!((source.calls(), node.stats().total().unproven), (0, 11));
    for calls in 1..=5 {
        read(node, &key(&LOADING), &source).await;
        assert_eq!(
            source.calls(),
            calls,
            "a namespace that does not say so loads every time"
        );
    }
    sleep(Duration::from_secs(40)).await;
    source.set(Says::Value(2));
    assert_eq!(read(node, &key(&SERVING), &source).await.0, 2, "its TTL is over");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_during_an_outage_is_served_during_it_and_never_as_current_after_it() {
    let fleet = fleet().await;
    let (node, other, source) = (&fleet.nodes[0], &fleet.nodes[1], Source::of(1));
    fleet.hub.partition("node-0", Cut::Both);
    sleep(KNOWN).await;
    assert_eq!(read(node, &key(&SERVING), &source).await.1, Tier::Source);
    sleep(Duration::from_secs(10)).await;
    let (value, tier, freshness) = read(node, &key(&SERVING), &source).await;
    assert_eq!((value, tier, source.calls()), (1, Tier::L1, 1));
    assert!(matches!(freshness, Freshness::Unproven { at_most } if at_most >= Duration::from_secs(10)));
    other.put(&key(&SERVING), 2).await.expect("published");
    assert_eq!(
        read(node, &key(&SERVING), &source).await.0,
        1,
        "the node cannot know"
    );
    source.set(Says::Value(2));
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    let (value, _, freshness) = read(node, &key(&SERVING), &source).await;
    assert_eq!(value, 2);
    assert!(matches!(freshness, Freshness::Current { .. }));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_can_be_asked_nothing_is_served_unproven() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(2));
    node.put(&key(&SERVING), 1).await.expect("published");
    // Events are late: heads tell of more than was applied, so that there is no lease, and the store answers.
    let late = Duration::from_secs(30);
    fleet.hub.set_faults(cache_memory::Faults {
        event_delay: late..=late,
        ..cache_memory::Faults::NONE
    });
    fleet.nodes[1].put(&key(&SERVING), 2).await.expect("published");
    fleet.hub.trim_logs();
    for _ in 0..100 {
        let (_, _, freshness) = read(node, &key(&SERVING), &source).await;
        assert!(!matches!(freshness, Freshness::Unproven { .. }), "{freshness:?}");
        sleep(Duration::from_millis(100)).await;
    }
    fleet.shutdown().await;
}

/// Reads of 100 keys, 1,000 a second for 30 s; how many of them reached the source.
async fn loads_of(fleet: &Fleet, namespace: &'static Namespace<u64>) -> usize {
    let source = Source::of(1).slow(Duration::from_millis(5));
    let mut reads = tokio::task::JoinSet::new();
    for read in 0..30_000_u64 {
        let key = namespace.key(&[("id", &(read * 37 % 100))]);
        let (node, loader) = (fleet.nodes[0].clone(), source.loader());
        reads.spawn(async move { node.get_or_load(&key, loader).await });
        sleep(Duration::from_millis(1)).await;
    }
    while let Some(answer) = reads.join_next().await {
        answer.expect("no panic").expect("answered");
    }
    source.calls()
}

/// The figures of the README and of docs/redis.md.
#[tokio::test(start_paused = true)]
async fn the_source_receives_the_read_rate_of_an_outage_unless_memory_serves_within_the_ttl() {
    const TEN: Policy = Policy::event_driven(Duration::from_secs(10));
    const HEALTHY: Namespace<u64> = Namespace::new("healthy", TEN);
    const DEFAULT: Namespace<u64> = Namespace::new("default", TEN);
    const WITHIN: Namespace<u64> = Namespace::new("within", TEN.with_outage_reads(OutageReads::WithinTtl));
    const TTL: Namespace<u64> = Namespace::new("ttl", Policy::ttl_only(Duration::from_secs(10)));
    static ALL: [Namespace<u64>; 4] = [HEALTHY, DEFAULT, WITHIN, TTL];
    let fleet = Fleet::start(FleetOptions::default(), |builder| {
        ALL.iter()
            .fold(builder, |builder, namespace| builder.namespace(namespace))
    })
    .await;
    let mut loads = vec![loads_of(&fleet, &ALL[0]).await];
    // The server's address refuses connections, at once.
    fleet.hub.set_faults(cache_memory::Faults {
        timeout: Duration::from_millis(1),
        ..cache_memory::Faults::NONE
    });
    fleet.hub.partition("node-0", Cut::Both);
    sleep(KNOWN).await;
    for namespace in &ALL[1..] {
        loads.push(loads_of(&fleet, namespace).await);
    }
    println!("loads of 30,000 reads: healthy, in an outage by default, within the TTL, TTL only: {loads:?}");
    assert!(loads[0] < 500 && loads[2] < 500 && loads[3] < 500, "{loads:?}");
    assert!(loads[1] > 29_000, "{loads:?}");
    fleet.shutdown().await;
}
