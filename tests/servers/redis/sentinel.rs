//! A master that Sentinel watches, with a replica: nodes find it by its name, and follow when it is replaced.
//!
//! One sentinel decides alone here; how several agree is theirs.

use std::collections::BTreeMap;

use cache_core::{ErrorKind, Lane, ReadFrom, Shard, SharedStore as _};
use cache_redis::{Address, RedisTier, Sentinel, Servers, Settings};
use edge_cache::EdgeCache;

use crate::nodes::{NONE, PATIENCE, bound_passes, eventually, key, read, stale, tag, warm};
use crate::server::Server;

/// A master, its replica, and who watches them.
pub(crate) struct Scene {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    pub(crate) sentinel: Server,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let (master, replica) = (Server::start().await, Server::start().await);
        replica.follow(&master).await;
        let sentinel = Server::start_sentinel(&[], &format!("port 6379\n{}", watches(&master))).await;
        Self {
            master,
            replica,
            sentinel,
        }
    }

    /// Settings that reach the master of this name.
    pub(crate) fn settings(&self, name: &str) -> Settings {
        let reached = |server: &Server| Address::new(&server.host, server.port);
        // One that is down is no reason to be.
        let addresses = vec![Address::new("127.0.0.1", 1), reached(&self.sentinel)];
        let sentinel = Sentinel {
            master: name.to_owned(),
            addresses,
            username: None,
            password: None,
        };
        let mut settings = Settings::of(Servers::Sentinel(sentinel)).with_prefix("test");
        let servers = [&self.master, &self.replica].into_iter();
        settings.reached_at = servers
            .map(|server| (Address::new(&server.inside, 6379), reached(server)))
            .collect::<BTreeMap<_, _>>();
        settings
    }
}

/// A sentinel's configuration that has it watch this master, alone.
pub(crate) fn watches(master: &Server) -> String {
    format!(
        "sentinel monitor market {} 6379 1\nsentinel down-after-milliseconds market 1000\n\
         sentinel failover-timeout market 10000\n",
        master.inside
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_is_found_by_its_name_and_its_successor_followed() {
    let mut scene = Scene::start().await;
    let nodes = [
        warm(scene.settings("market")).await,
        warm(scene.settings("market")).await,
    ];
    both_share(&nodes).await;
    scene.master.kill().await;
    both_work(&nodes).await;
    none_is_stale(nodes).await;
}

/// What one writes the other reads.
pub(crate) async fn both_share(nodes: &[EdgeCache; 2]) {
    for id in 0..20 {
        nodes[0].put(&key(id), id).await.expect("put");
        assert_eq!(read(&nodes[1], id).await, Some(id));
    }
}

/// Waits until both work at the successor.
pub(crate) async fn both_work(nodes: &[EdgeCache; 2]) {
    for id in 0..20 {
        eventually("both work at the successor", PATIENCE, async || {
            nodes[0].put(&key(id), 1_000 + id).await.is_ok() && read(&nodes[1], id).await == Some(1_000 + id)
        })
        .await;
    }
}

/// After the bound nothing is stale of what [`both_work`] wrote.
pub(crate) async fn none_is_stale(nodes: [EdgeCache; 2]) {
    bound_passes().await;
    for node in &nodes {
        assert_eq!(stale(node, 0..20, |id| 1_000 + id).await, NONE);
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_successor_is_followed_at_once_though_the_old_master_goes_on_answering() {
    let scene = Scene::start().await;
    let node = warm(scene.settings("market")).await;
    for id in 0..20 {
        node.put(&key(id), id).await.expect("put");
    }
    eventually("Sentinel replaces the master", PATIENCE, async || {
        // It may not yet have heard what its replica has.
        let _ = scene.sentinel.attempt(&["SENTINEL", "FAILOVER", "market"]).await;
        scene.replica.replicates_with("role:master").await
    })
    .await;
    let channel = format!("{}:c:0", tag(1));
    eventually("the node listens to the successor", PATIENCE, async || {
        let answer = scene.replica.command(&["PUBSUB", "SHARDNUMSUB", &channel]).await;
        let (_, listeners): (String, u64) = redis::from_redis_value(answer).expect("a count");
        listeners == 1
    })
    .await;
    // Sentinel lets it be for some seconds: nothing had failed, and what is written there would be lost.
    let old = scene.master.text(&["INFO", "replication"]).await;
    assert!(
        old.contains("role:master"),
        "the node was not told, but refused: {old}"
    );
    eventually("the node writes to the successor", PATIENCE, async || {
        node.put(&key(1), 1_000).await.is_ok()
    })
    .await;
    let stream = format!("{}:e", tag(1));
    let lengths = [&scene.master, &scene.replica].map(async |server: &Server| -> u64 {
        redis::from_redis_value(server.command(&["XLEN", &stream]).await).expect("a length")
    });
    let [old, new] = lengths;
    assert!(old.await < new.await, "the write is at the successor");
    bound_passes().await;
    assert_eq!(stale(&node, 1..2, |_| 1_000).await, NONE);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replicas_of_a_watched_master_answer_reads_if_the_settings_allow_it() {
    let scene = Scene::start().await;
    let mut settings = scene.settings("market");
    settings.read_replicas = true;
    let node = warm(settings).await;
    for id in 0..20 {
        node.put(&key(id), id).await.expect("put");
    }
    crate::replicas::meets(&node, std::slice::from_ref(&scene.replica)).await;
    for id in 0..20 {
        assert_eq!(read(&node, id).await, Some(id));
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_watches_is_said() {
    let scene = Scene::start().await;
    let tier = RedisTier::new(scene.settings("unknown")).expect("right settings");
    let asked = tier.read(Shard::barriers(Lane::Bulk), &[], ReadFrom::Primary);
    let refused = asked.await.expect_err("there is no such master");
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
}
