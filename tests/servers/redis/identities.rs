//! A server whose history gets another name while it goes on: its connections still agree on who it is, whichever of them are
//! made anew.
//!
//! The first replica that attaches gives the history a new name, and so does the end of the log that was kept for the last one.

use std::time::Duration;

use edge_cache::{EdgeCache, Receipt};
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::nodes::{LEASE, PATIENCE, Pair, eventually, key, warm};
use crate::sentinel::Scene;
use crate::server::Server;

/// What `INFO replication` calls the history.
async fn name(server: &Server) -> String {
    let info = server.text(&["INFO", "replication"]).await;
    let name = info.lines().find_map(|line| line.strip_prefix("master_replid:"));
    name.expect("a server names its history").trim().to_owned()
}

/// Its first replica attaches, and its history is called something else from then on.
async fn gets_its_first_replica(server: &Server) -> Server {
    let before = name(server).await;
    let replica = Server::start().await;
    replica.follow(server).await;
    assert_ne!(name(server).await, before, "the fault is real");
    replica
}

/// For two leases, whatever the heartbeats tell, each change is acknowledged and nothing is owed.
async fn acknowledges_everything(node: &EdgeCache) {
    eventually("the node has seen to the new name", PATIENCE, async || {
        node.put(&key(0), 0).await.is_ok() && node.stats().events.iter().any(|tally| tally.servers > 0)
    })
    .await;
    sleep(LEASE).await;
    let end = Instant::now() + LEASE * 2;
    let mut id = 0;
    while Instant::now() < end {
        id += 1;
        let put = node.put(&key(id), id).await;
        assert!(matches!(put, Ok(Receipt::Published { .. })), "put {id}: {put:?}");
        let told = node.invalidate(&key(id)).await;
        assert!(
            matches!(told, Ok(Receipt::Published { .. })),
            "invalidate {id}: {told:?}"
        );
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(node.stats().owed, 0);
    assert!(
        node.stats().events.iter().all(|tally| tally.forks == 0),
        "nothing was lost"
    );
}

/// The first replica attaches, some connections are killed, and the nodes go on.
async fn with_connections_lost(kinds: &[&str]) {
    let pair = Pair::start().await;
    pair.share(0..20).await;
    let flushes = pair.far.stats().events[1].flushes;
    let _replica = gets_its_first_replica(&pair.server).await;
    for kind in kinds {
        pair.server.command(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    for node in [&pair.near, &pair.far] {
        acknowledges_everything(node).await;
    }
    assert_eq!(
        pair.far.stats().events[1].flushes,
        flushes,
        "the same history costs no flush"
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_new_name_is_followed_by_connections_that_all_stay() {
    with_connections_lost(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_new_name_is_followed_when_only_the_bus_connects_anew() {
    with_connections_lost(&["pubsub"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_new_name_is_followed_when_only_requests_connect_anew() {
    with_connections_lost(&["normal"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_new_name_is_followed_when_all_connections_are_made_anew() {
    with_connections_lost(&["pubsub", "normal"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinel_a_history_with_a_new_name_is_followed() {
    let mut scene = Scene::start().await;
    scene
        .master
        .command(&["CONFIG", "SET", "repl-backlog-ttl", "1"])
        .await;
    let node = warm(scene.settings("market")).await;
    let before = name(&scene.master).await;
    scene.replica.kill().await;
    eventually("the master forgets its last replica", PATIENCE, async || {
        name(&scene.master).await != before
    })
    .await;
    scene.master.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    acknowledges_everything(&node).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_a_cluster_whose_history_gets_a_new_name_is_followed() {
    let mut cluster = Cluster::start().await;
    for master in &cluster.servers[..3] {
        master.command(&["CONFIG", "SET", "repl-backlog-ttl", "1"]).await;
    }
    let node = warm(cluster.settings()).await;
    let (first, replicas) = cluster.servers.split_at_mut(3);
    let before = name(&first[0]).await;
    for replica in replicas {
        replica.kill().await;
    }
    eventually("a master forgets its last replica", PATIENCE, async || {
        name(&first[0]).await != before
    })
    .await;
    for master in &*first {
        master.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    }
    acknowledges_everything(&node).await;
    node.shutdown().await;
}
