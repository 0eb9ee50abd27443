//! What values weigh in memory, and that whatever fits its namespace's limit is kept.
//!
//! What the allocator really takes is measured by `cache-l1`'s test `memory`, in a process of its own.

use std::time::Duration;

use cache_core::{Namespace, Policy};
use edge_cache::{NamespaceStats, Tier};
use tests::{Fleet, FleetOptions, Node};
use tracing::Level;

use crate::log::Log;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(60));
const LISTS: Namespace<Vec<String>> = Namespace::new("lists", POLICY.with_memory(16 << 20, 10_000));

fn of(node: &Node) -> NamespaceStats {
    node.stats().total()
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_what_values_take_in_memory_and_the_statistics_show_both_numbers() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&LISTS)).await;
    let (node, strings) = (&fleet.nodes[0], 20_000);
    for id in 0..100 {
        let key = LISTS.key(&[("id", &id)]);
        node.put(&key, vec![String::new(); strings]).await.expect("put");
        let memory = of(node).memory;
        assert!(memory.bytes <= 16 << 20, "{memory:?}");
    }
    let memory = of(node).memory;
    // Each is at least 24 bytes a string in memory, and a byte a string as encoded.
    let (least, most) = ((strings * 24) as u64, (strings * 24 * 2) as u64);
    assert!(
        (16 << 20) / most <= memory.entries && memory.entries <= (16 << 20) / least,
        "{memory:?}"
    );
    assert!(
        memory.encoded_bytes >= memory.entries * strings as u64,
        "{memory:?}"
    );
    assert!(
        memory.encoded_bytes <= memory.entries * (strings as u64 + 10),
        "{memory:?}"
    );
    fleet.shutdown().await;
}

const TEXTS: Namespace<String> = Namespace::new("texts", POLICY);

#[tokio::test(start_paused = true)]
async fn a_value_that_fits_the_default_limit_is_read_from_memory_whatever_its_size() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&TEXTS)).await;
    for mebibytes in [1_usize, 3, 4, 5, 16, 40] {
        let key = TEXTS.key(&[("mebibytes", &mebibytes)]);
        fleet.nodes[0]
            .put(&key, "x".repeat(mebibytes << 20))
            .await
            .expect("put");
        for node in &fleet.nodes {
            node.get(&key).await.expect("read").expect("stored");
            let again = node.get(&key).await.expect("read").expect("stored");
            assert_eq!((again.len(), again.tier()), (mebibytes << 20, Tier::L1));
        }
    }
    assert_eq!(of(&fleet.nodes[1]).too_heavy, 0);
    fleet.shutdown().await;
}

const SMALL: Namespace<String> = Namespace::new("small", POLICY.with_memory(1 << 20, 100));
const OFF: Namespace<String> = Namespace::new("off", POLICY.with_memory(0, 0));

#[tokio::test(start_paused = true)]
async fn values_heavier_than_their_memory_are_counted_and_said_once_and_a_memory_that_is_off_is_silent() {
    let (log, _listening) = Log::listen();
    let one = FleetOptions {
        nodes: 1,
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(one, |builder| builder.namespace(&SMALL).namespace(&OFF)).await;
    let node = &fleet.nodes[0];
    for id in 0..3 {
        for namespace in [&SMALL, &OFF] {
            let key = namespace.key(&[("id", &id)]);
            node.put(&key, "x".repeat(2 << 20)).await.expect("put");
            assert!(node.peek(&key).expect("registered").is_none());
        }
    }
    let counts: Vec<_> = node
        .stats()
        .namespaces
        .iter()
        .map(|(name, stats)| (*name, stats.too_heavy))
        .collect();
    assert_eq!(counts, [("small", 3), ("off", 0)]);
    let lines = log.take();
    let [(Level::WARN, words)] = &*lines else {
        panic!("{lines:?}");
    };
    assert!(words.contains("small") && words.contains("1048576"), "{words}");
    fleet.shutdown().await;
}

const WEIGHED: Namespace<Vec<u8>> =
    Namespace::new("weighed", POLICY.with_memory(10_000, 100)).with_weight(|value| value.len() * 1_000);

#[tokio::test(start_paused = true)]
async fn a_namespace_may_weigh_its_values_itself() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&WEIGHED)).await;
    for (id, bytes) in [(1, 5), (2, 20)] {
        let key = WEIGHED.key(&[("id", &id)]);
        fleet.nodes[0].put(&key, vec![7; bytes]).await.expect("put");
        let in_memory = fleet.nodes[0].peek(&key).expect("registered").is_some();
        assert_eq!(in_memory, bytes == 5);
    }
    fleet.shutdown().await;
}
