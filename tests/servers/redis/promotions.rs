//! A cluster whose masters change: replicas are promoted by hand and after a death, and nodes follow at once.
//!
//! What is lost by a promotion is told in `failovers`; here it is who is heard.

use std::time::Duration;

use cache_core::{Lane, Shard};
use edge_cache::EdgeCache;

use crate::cluster::Cluster;
use crate::nodes::{LEASE, NONE, PATIENCE, SHARDS, bound_passes, eventually, key, read, stale, tag, warm};
use crate::proxy::{Kind, Passage, Proxy};

/// Enough keys that every master has some.
pub(crate) const KEYS: std::ops::Range<u64> = 0..60;

/// A cluster, a node that reaches it through proxies, and a node that reaches it directly; both hold the same keys.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) far: EdgeCache,
    pub(crate) near: EdgeCache,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        let proxies = cluster.proxies().await;
        let far = warm(cluster.through(&proxies)).await;
        let near = warm(cluster.settings()).await;
        let scene = Self {
            cluster,
            proxies,
            far,
            near,
        };
        scene.share(0).await;
        scene
    }

    /// Both nodes hold every key with this much more than its number.
    pub(crate) async fn share(&self, more: u64) {
        for id in KEYS {
            eventually("written", PATIENCE, async || {
                self.near.put(&key(id), more + id).await.is_ok()
            })
            .await;
            assert_eq!(read(&self.near, id).await, Some(more + id));
            eventually("read", PATIENCE, async || {
                read(&self.far, id).await == Some(more + id)
            })
            .await;
        }
    }

    /// Every node hears of every write.
    pub(crate) async fn works(&self, more: u64) {
        self.share(more).await;
        bound_passes().await;
        for node in [&self.near, &self.far] {
            assert_eq!(stale(node, KEYS, |id| more + id).await, NONE);
        }
    }

    /// Waits until both nodes are subscribed to a key's channel at this server.
    pub(crate) async fn both_listen_at(&self, id: u64, server: usize, limit: Duration) {
        let channel = format!("{}:c:0", tag(id));
        eventually("both listen where the shard is", limit, async || {
            let words = ["PUBSUB", "SHARDNUMSUB", &channel];
            let Ok(answer) = self.cluster.servers[server].attempt(&words).await else {
                return false;
            };
            let (_, listeners): (String, u64) = redis::from_redis_value(answer).expect("a count");
            listeners == 2
        })
        .await;
    }

    /// Histories that a node had to give up.
    pub(crate) fn lineages(&self) -> [u64; 2] {
        [&self.near, &self.far].map(|node| node.stats().events[Lane::Bulk.index()].lineages)
    }

    pub(crate) async fn shutdown(self) {
        self.far.shutdown().await;
        self.near.shutdown().await;
    }
}

/// The stream of a key's shard.
pub(crate) fn stream(id: u64) -> String {
    format!("{}:e", tag(id))
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_a_promotion_by_hand_is_followed_by_data_and_bus_and_nothing_is_missed() {
    let scene = Scene::start().await;
    let old = scene.cluster.number_of(&stream(1)).await;
    let new = Cluster::partner(old);
    scene.cluster.servers[new].take_over().await;
    scene.both_listen_at(1, new, PATIENCE).await;
    scene.works(1_000).await;
    assert_eq!(scene.lineages(), [0, 0], "the history went on");
    // And back, with the roles exchanged.
    scene.cluster.servers[old].take_over().await;
    scene.both_listen_at(1, old, PATIENCE).await;
    scene.works(2_000).await;
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_a_promotion_that_nobody_tells_is_found_by_the_next_heartbeat() {
    let scene = Scene::start().await;
    let old = scene.cluster.number_of(&stream(1)).await;
    let new = Cluster::partner(old);
    // The node is never told that its channels are gone; all else passes, and every question is answered.
    scene.proxies[old].weather(Kind::Bus, Passage::Open, Passage::WithoutTakebacks);
    scene.cluster.servers[new].take_over().await;
    eventually("the roles are exchanged", PATIENCE, async || {
        scene.cluster.number_of(&stream(1)).await == new
    })
    .await;
    scene.both_listen_at(1, new, PATIENCE).await;
    assert!(
        scene.proxies[old].swallowed() > 0,
        "the server took channels back, and nobody heard it"
    );
    scene.works(1_000).await;
    assert_eq!(scene.lineages(), [0, 0], "the history went on");
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_dies_is_replaced_and_the_others_are_not_disturbed() {
    let mut scene = Scene::start().await;
    // Who holds the barriers of a lane disturbs all of it: without them no value is known to be alive.
    let barriers = scene
        .cluster
        .number_of(&format!("{{test:{SHARDS}:{}}}:e", Shard::barriers(Lane::Bulk)))
        .await;
    let (mut gone, mut elsewhere) = (None, Vec::new());
    for id in KEYS {
        let number = scene.cluster.number_of(&stream(id)).await;
        match gone {
            None if number != barriers => gone = Some((id, number)),
            Some((_, dead)) if number != dead => elsewhere.push(id),
            _ => {}
        }
    }
    let (lost, dead) = gone.expect("every master has keys");
    scene.cluster.servers[dead].kill().await;
    // The others serve as before, long before anybody is promoted.
    for id in &elsewhere {
        scene
            .near
            .put(&key(*id), 500 + id)
            .await
            .expect("a master that lives");
        eventually("heard", LEASE, async || {
            read(&scene.far, *id).await == Some(500 + id)
        })
        .await;
    }
    scene.both_listen_at(lost, Cluster::partner(dead), PATIENCE).await;
    scene.works(1_000).await;
    scene.shutdown().await;
}
