//! A cache that nobody holds any more ends by itself.
//!
//! What a shutdown that is asked for does is tested with operations.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cache_core::{Namespace, Policy, SharedStore};
use cache_l1::MemoryStores;
use cache_memory::{Cut, Endpoint, Hub};
use edge_cache::{EdgeCache, Ports, Receipt};
use testkit::VirtualClock;
use tokio::runtime::Handle;

const NUMBERS: Namespace<u64> = Namespace::new("numbers", Policy::event_driven(Duration::from_secs(60)));

fn hub(clock: &Arc<VirtualClock>) -> Hub {
    Hub::builder().clock(clock.clone()).build()
}

fn start(hub: &Hub, clock: &Arc<VirtualClock>, name: &str) -> (EdgeCache, Weak<Endpoint>) {
    let node = Arc::new(hub.endpoint(name));
    let ports = Ports::new(Arc::new(MemoryStores), node.clone(), node.clone()).with_clock(clock.clone());
    let cache = EdgeCache::builder(ports)
        .namespace(&NUMBERS)
        .start()
        .expect("a right setup");
    (cache, Arc::downgrade(&node))
}

async fn ends(connections: &Weak<Endpoint>, tasks: usize) {
    let ended = async {
        while connections.strong_count() > 0 || Handle::current().metrics().num_alive_tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    let left = Handle::current().metrics().num_alive_tasks();
    assert!(
        ended.is_ok(),
        "{} connections, {left} tasks",
        connections.strong_count()
    );
}

#[tokio::test]
async fn the_last_handle_ends_the_tasks_and_closes_the_connections_and_no_other_does() {
    let clock = testkit::virtual_time();
    let (hub, before) = (hub(&clock), Handle::current().metrics().num_alive_tasks());
    for round in 0..20 {
        let (cache, connections) = start(&hub, &clock, &format!("node-{round}"));
        assert!(cache.ready(Duration::from_secs(5)).await);
        let other = cache.clone();
        drop(cache);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let key = NUMBERS.key(&[("id", &round)]);
        other.put(&key, 1).await.expect("a handle is left");
        drop(other);
        ends(&connections, before).await;
    }
}

#[tokio::test]
async fn the_last_handle_pays_what_is_owed_and_then_lets_go() {
    let clock = testkit::virtual_time();
    let (hub, before) = (hub(&clock), Handle::current().metrics().num_alive_tasks());
    let (cache, connections) = start(&hub, &clock, "node");
    assert!(cache.ready(Duration::from_secs(5)).await);
    let key = NUMBERS.key(&[("id", &1)]);
    cache.put(&key, 1).await.expect("published");
    hub.partition("node", Cut::Data);
    assert_eq!(cache.invalidate(&key).await.expect("owed"), Receipt::Queued);
    hub.heal("node");
    drop(cache);
    ends(&connections, before).await;
    let store = hub.endpoint("witness");
    let reply = store
        .read(
            key.shard(cache_core::ShardCount::DEFAULT),
            &[key.raw().clone()],
            cache_core::ReadFrom::Primary,
        )
        .await;
    assert_eq!(
        reply.expect("a store").answer,
        Some(vec![None]),
        "the invalidation was published"
    );
}

#[tokio::test]
async fn the_last_handle_lets_go_of_a_store_that_does_not_come_back() {
    let clock = testkit::virtual_time();
    let (hub, before) = (hub(&clock), Handle::current().metrics().num_alive_tasks());
    let (cache, connections) = start(&hub, &clock, "node");
    assert!(cache.ready(Duration::from_secs(5)).await);
    hub.partition("node", Cut::Both);
    cache.invalidate(&NUMBERS.key(&[("id", &1)])).await.expect("owed");
    drop(cache);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(connections.strong_count(), 0);
    // What was on its way is the backend's own, and ends with the cut.
    hub.heal("node");
    ends(&connections, before).await;
}
