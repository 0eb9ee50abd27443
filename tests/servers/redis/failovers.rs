//! Servers that forget what they had acknowledged: nodes notice, start a new history, and load anew.
//!
//! Two servers play a failover: one copies the other, is promoted, and the name is led to it.

use std::time::Duration;

use cache_core::Lane;
use edge_cache::EdgeCache;

use crate::nodes::{NONE, PATIENCE, bound_passes, eventually, key, read, stale, tag, through, warm};
use crate::proxy::Proxy;
use crate::server::Server;

/// Two nodes that reach whichever server the name leads to, and hold the keys 0 to 19 with their numbers as values.
struct Scene {
    first: Server,
    second: Server,
    name: Proxy,
    nodes: [EdgeCache; 2],
}

impl Scene {
    async fn start() -> Self {
        let (first, second) = (Server::start().await, Server::start().await);
        let name = Proxy::to(&first).await;
        let nodes = [warm(through(&name)).await, warm(through(&name)).await];
        for id in 0..20 {
            nodes[0].put(&key(id), id).await.expect("put");
            assert_eq!(read(&nodes[1], id).await, Some(id));
        }
        second.follow(&first).await;
        Self {
            first,
            second,
            name,
            nodes,
        }
    }

    /// Forks and lineages that a node has counted.
    fn counted(&self, node: usize) -> (u64, u64) {
        let events = self.nodes[node].stats().events[Lane::Bulk.index()];
        (events.forks, events.lineages)
    }

    /// One node at least saw that the history had forked, and both took up a new lineage. Which of them meets the server
    /// first, and thereby sees the fork, is a race: the other may find the repair made.
    fn was_noticed(&self) {
        let counted = [self.counted(0), self.counted(1)];
        assert!(
            counted.iter().any(|(forks, _)| *forks >= 1)
                && counted.iter().all(|(_, lineages)| *lineages >= 1),
            "forks and lineages of each: {counted:?}"
        );
    }

    /// Both nodes write and hear each other.
    async fn works(&self) {
        eventually("both nodes work", PATIENCE, async || {
            self.nodes[0].put(&key(500), 1).await.is_ok() && read(&self.nodes[1], 500).await == Some(1)
        })
        .await;
        self.nodes[0].invalidate(&key(500)).await.expect("published");
    }

    /// After the bound, no node answers less than `least` for the keys, whatever the servers have forgotten.
    async fn nothing_stale(&self, ids: std::ops::Range<u64>, least: impl Fn(u64) -> u64 + Copy) {
        bound_passes().await;
        for node in &self.nodes {
            assert_eq!(stale(node, ids.clone(), least).await, NONE);
        }
    }

    async fn shutdown(self) {
        for node in &self.nodes {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_a_promoted_copy_that_has_everything_costs_no_flush() {
    let mut scene = Scene::start().await;
    let before = [scene.counted(0), scene.counted(1)];
    scene.first.kill().await;
    scene.second.promote().await;
    scene.name.move_to(&scene.second);
    scene.works().await;
    assert_eq!(
        [scene.counted(0), scene.counted(1)],
        before,
        "the history went on"
    );
    for node in &scene.nodes {
        assert_eq!(read(node, 3).await, Some(3));
    }
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_a_promoted_copy_that_lost_acknowledged_writes_is_noticed_and_repaired() {
    let mut scene = Scene::start().await;
    scene.second.promote().await;
    for id in 0..5 {
        scene.nodes[0]
            .put(&key(id), 1_000 + id)
            .await
            .expect("acknowledged, and lost");
    }
    scene.first.kill().await;
    scene.name.move_to(&scene.second);
    scene.works().await;
    scene.nothing_stale(0..5, |id| 1_000 + id).await;
    scene.was_noticed();
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_lost_numbers_that_were_issued_again_are_told_apart_by_their_ids() {
    let mut scene = Scene::start().await;
    scene.second.promote().await;
    for id in 0..5 {
        scene.nodes[0]
            .put(&key(id), 1_000 + id)
            .await
            .expect("acknowledged, and lost");
    }
    // On the new server, others go on with the same numbers, and further.
    let other = warm(scene.second.settings()).await;
    for id in 0..5 {
        for round in 1..=4 {
            other.put(&key(id), 10_000 * round + id).await.expect("put");
        }
    }
    scene.first.kill().await;
    scene.name.move_to(&scene.second);
    scene.works().await;
    bound_passes().await;
    for node in &scene.nodes {
        for id in 0..5 {
            let value = read(node, id).await;
            assert!(
                value.is_none_or(|value| value == 40_000 + id),
                "{value:?} is of the lost history"
            );
        }
    }
    scene.was_noticed();
    other.shutdown().await;
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_a_second_failover_that_loses_the_repair_is_repaired_again() {
    let mut scene = Scene::start().await;
    let third = Server::start().await;
    third.follow(&scene.first).await;
    scene.second.promote().await;
    third.promote().await;
    for id in 0..5 {
        scene.nodes[0]
            .put(&key(id), 1_000 + id)
            .await
            .expect("acknowledged, and lost");
    }
    scene.first.kill().await;
    scene.name.move_to(&scene.second);
    scene.works().await;
    // The third server knows neither the lost writes nor the repair.
    scene.second.kill().await;
    scene.name.move_to(&third);
    scene.works().await;
    scene.nothing_stale(0..5, |id| 1_000 + id).await;
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_server_that_starts_from_an_old_dump_at_the_same_address_is_noticed() {
    let mut scene = Scene::start().await;
    scene.first.command(&["SAVE"]).await;
    for id in 0..5 {
        scene.nodes[0]
            .put(&key(id), 1_000 + id)
            .await
            .expect("acknowledged, and lost");
    }
    scene.first.restart().await;
    scene.name.move_to(&scene.first);
    scene.works().await;
    scene.nothing_stale(0..5, |id| 1_000 + id).await;
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s27_a_wiped_server_is_taken_over_once_and_all_memory_is_dropped_within_a_heartbeat() {
    let scene = Scene::start().await;
    scene.first.command(&["FLUSHALL"]).await;
    eventually("nothing of before is left", crate::nodes::LEASE, async || {
        let mut left = Vec::new();
        for node in &scene.nodes {
            left.extend(stale(node, 0..20, |_| u64::MAX).await);
        }
        left.is_empty()
    })
    .await;
    scene.works().await;
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s27_a_lost_head_brings_no_dead_record_back_to_life() {
    let scene = Scene::start().await;
    let tag = tag(3);
    for round in 0..10 {
        scene.nodes[0].put(&key(3), round).await.expect("put");
    }
    // Everybody leaves; the head is evicted; whoever comes first knows nothing of how high the versions were.
    for node in &scene.nodes {
        node.shutdown().await;
    }
    scene
        .first
        .command(&["DEL", &format!("{tag}:h"), &format!("{tag}:e")])
        .await;
    let newcomer = warm(scene.first.settings()).await;
    assert_eq!(
        read(&newcomer, 3).await,
        None,
        "a record of the history that was lost"
    );
    newcomer.put(&key(3), 77).await.expect("put");
    assert_eq!(read(&newcomer, 3).await, Some(77));
    newcomer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s28_a_failover_to_a_server_without_scripts_loses_and_doubles_nothing() {
    let mut scene = Scene::start().await;
    scene.second.promote().await;
    scene.second.command(&["SCRIPT", "FLUSH"]).await;
    scene.first.kill().await;
    scene.name.move_to(&scene.second);
    scene.works().await;
    // The first to meet a new server in a shard is told nothing for certain.
    eventually("the shard follows the new server", PATIENCE, async || {
        scene.nodes[0].put(&key(3), 0).await.is_ok()
    })
    .await;
    let before = sequence(&scene.second).await;
    for round in 0..10 {
        scene.nodes[0].put(&key(3), round).await.expect("put");
    }
    assert_eq!(sequence(&scene.second).await, before + 10);
    scene.shutdown().await;
}

async fn sequence(server: &Server) -> u64 {
    let stream = format!("{}:e", tag(3));
    let newest = server
        .command(&["XREVRANGE", &stream, "+", "-", "COUNT", "1"])
        .await;
    let entries: Vec<(String, redis::Value)> = redis::from_redis_value(newest).expect("entries");
    entries[0]
        .0
        .strip_prefix("0-")
        .and_then(|seq| seq.parse().ok())
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_node_that_slept_longer_than_its_lease_reads_nothing_old_when_it_wakes() {
    let scene = Scene::start().await;
    let direct = warm(scene.first.settings()).await;
    // Frozen servers of its own are what a frozen process sees: no answer, no event, and then all at once.
    use crate::proxy::Passage::{Frozen, Open};
    scene.name.weather_everywhere(Open, Frozen);
    for id in 0..20 {
        direct.put(&key(id), 1_000 + id).await.expect("put");
    }
    bound_passes().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for node in &scene.nodes {
        assert_eq!(stale(node, 0..20, |id| 1_000 + id).await, NONE);
    }
    scene.name.calm();
    scene.works().await;
    direct.shutdown().await;
    scene.shutdown().await;
}
