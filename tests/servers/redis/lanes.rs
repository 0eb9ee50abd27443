//! Two lanes over a line that is too narrow: what is critical arrives while bulk waits behind bulk.
//!
//! How fast each is on a healthy line is measured elsewhere.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Key, Lane, Namespace, Permille, Policy, Propagation};
use cache_l1::MemoryStores;
use cache_redis::{RedisTier, Settings};
use edge_cache::{EdgeCache, Ports};
use futures_util::future::join_all;

use crate::nodes::{PATIENCE, TIMING, eventually, through};
use crate::proxy::{Kind, Passage, Proxy};
use crate::server::Server;

/// Their values travel inside the events.
const BULKY: Namespace<Vec<u8>> = Namespace::new(
    "bulky",
    Policy::event_driven(Duration::from_secs(300))
        .with_jitter(Permille(0))
        .with_propagation(Propagation::Value),
);

const URGENT: Namespace<u64> = Namespace::new(
    "urgent",
    Policy::event_driven(Duration::from_secs(300))
        .with_jitter(Permille(0))
        .with_lane(Lane::Critical),
);

/// What the line carries in a second, of each connection.
const NARROW: u64 = 100_000;

async fn node(settings: Settings) -> EdgeCache {
    let tier = Arc::new(RedisTier::new(settings).expect("right settings"));
    let node = EdgeCache::builder(Ports::new(Arc::new(MemoryStores), tier.clone(), tier))
        .timing(TIMING)
        .namespace(&BULKY)
        .namespace(&URGENT)
        .start()
        .expect("a right setup");
    assert!(
        node.ready(PATIENCE).await,
        "a node over a healthy server becomes ready"
    );
    node
}

fn urgent(id: u64) -> Key<u64> {
    URGENT.key(&[("id", &id)])
}

fn bulky(id: u64) -> Key<Vec<u8>> {
    BULKY.key(&[("id", &id)])
}

#[tokio::test(flavor = "multi_thread")]
async fn s49_critical_events_arrive_while_the_bulk_lane_is_saturated() {
    let server = Server::start().await;
    let proxy = Proxy::to(&server).await;
    let (far, near) = (node(through(&proxy)).await, node(server.settings()).await);
    for id in 0..20 {
        near.put(&urgent(id), 1).await.expect("put");
        assert_eq!(far.get(&urgent(id)).await.expect("read").as_deref(), Some(&1));
    }
    proxy.weather(Kind::Bus, Passage::Open, Passage::Narrow(NARROW));
    // Ten seconds' worth of the line, sent in a moment.
    const BULK: u64 = 1_250;
    let applied = |lane: Lane| far.stats().events[lane.index()].applied;
    let bulk = applied(Lane::Bulk);
    let keys: Vec<_> = (0..BULK).map(bulky).collect();
    for keys in keys.chunks(50) {
        for put in join_all(keys.iter().map(|key| near.put(key, vec![7; 800]))).await {
            put.expect("put");
        }
    }
    for id in 0..20 {
        near.put(&urgent(id), 2).await.expect("put");
        eventually("the critical event has come", PATIENCE, async || {
            far.get(&urgent(id)).await.ok().flatten().as_deref() == Some(&2)
        })
        .await;
    }
    let bulk = applied(Lane::Bulk) - bulk;
    assert!(
        bulk < BULK,
        "the bulk lane was not saturated: {bulk} of its events have come"
    );
    proxy.calm();
    far.shutdown().await;
    near.shutdown().await;
}
