//! Connections that are not there, break, hang, or are taken away: what is answered meanwhile, and that all heals.
//!
//! What may be stale meanwhile is told in `faults`.

use std::time::Duration;

use cache_core::{ErrorKind, Lane, ReadFrom, Shard, SharedStore as _};
use cache_redis::{RedisTier, Settings};
use tokio::time::Instant;

use crate::nodes::{PATIENCE, Pair, cold, eventually, key, read, shard, through, warm};
use crate::proxy::{Kind, Passage, Proxy};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_while_its_server_is_away_and_joins_when_it_comes() {
    let server = Server::start().await;
    let proxy = Proxy::to(&server).await;
    proxy.accept(false);
    let node = cold(through(&proxy));
    let loaded = node
        .get_or_load(&key(1), |_| async { Ok::<_, std::io::Error>(7) })
        .await;
    assert_eq!(loaded.expect("the source answers").as_deref(), Some(&7));
    assert!(!node.health().await.store.connected);
    proxy.accept(true);
    assert!(node.ready(PATIENCE).await, "it heals by itself");
    node.put(&key(2), 2).await.expect("put");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_that_are_dropped_without_a_shutdown_leave_no_connection_open() {
    let server = Server::start().await;
    let open = async || server.text(&["CLIENT", "LIST"]).await.lines().count();
    let alone = open().await;
    let nodes = futures_util::future::join_all((0..5).map(|_| warm(server.settings()))).await;
    for (id, node) in (0..).zip(&nodes) {
        node.put(&key(id), id).await.expect("put");
    }
    assert!(
        open().await >= alone + 5 * 3,
        "lanes and requests have connections of their own"
    );
    drop(nodes);
    eventually("all of them are closed", PATIENCE, async || open().await <= alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_server_that_is_away_names_its_address_and_the_cause() {
    let port = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.local_addr().expect("a bound address").port()
    };
    let node = cold(Settings::at("127.0.0.1", port).with_prefix("test"));
    eventually("the error tells all", PATIENCE, async || {
        let error = node.get(&key(1)).await.expect_err("nobody listens there");
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        words.contains("refused") && words.contains(&format!("127.0.0.1:{port}"))
    })
    .await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_empty_is_taken_over() {
    let mut pair = Pair::start().await;
    pair.share(0..20).await;
    let next = Server::start().await;
    // The other node is led to the new server as well, as a name would lead it.
    let far_too = warm(through(&pair.proxy)).await;
    pair.server.kill().await;
    pair.proxy.move_to(&next);
    eventually(
        "both write to the new server and hear each other",
        PATIENCE,
        async || pair.far.put(&key(1), 100).await.is_ok() && read(&far_too, 1).await == Some(100),
    )
    .await;
    assert_eq!(read(&far_too, 2).await, None, "what the new server never had");
    far_too.shutdown().await;
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_kills_are_made_anew_and_nothing_is_missed() {
    let pair = Pair::start().await;
    pair.share(0..20).await;
    for kind in ["normal", "pubsub"] {
        pair.server.command(&["CLIENT", "KILL", "TYPE", kind]).await;
        eventually("the node writes again", PATIENCE, async || {
            pair.near.invalidate(&key(1)).await.is_ok()
        })
        .await;
        for id in 0..20 {
            pair.near.put(&key(id), 1_000 + id).await.expect("put");
        }
        eventually("the other hears all of it", PATIENCE, async || {
            crate::nodes::stale(&pair.far, 0..20, |id| 1_000 + id)
                .await
                .is_empty()
        })
        .await;
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_a_request_its_timeout_and_no_more() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.response_timeout = Duration::from_millis(200);
    let tier = RedisTier::new(settings).expect("right settings");
    let shard = Shard::barriers(Lane::Bulk);
    tier.read(shard, &[], ReadFrom::Primary).await.expect("a read");
    server.freeze().await;
    let asked = Instant::now();
    let refused = tier
        .read(shard, &[], ReadFrom::Primary)
        .await
        .expect_err("no answer");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(
        asked.elapsed() < Duration::from_millis(600),
        "{:?}",
        asked.elapsed()
    );
    server.thaw().await;
    eventually("it answers again", PATIENCE, async || {
        tier.read(shard, &[], ReadFrom::Primary).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_cut_in_the_middle_is_a_broken_connection_and_not_a_wrong_answer() {
    let pair = Pair::start().await;
    pair.near.put(&key(1), 1).await.expect("put");
    for limit in [1, 7, 40, 90] {
        pair.proxy
            .weather(Kind::Data, Passage::Open, Passage::CutAfter(limit));
        let answer = pair
            .far
            .get_or_load(&key(1), |_| async { Ok::<_, std::io::Error>(1) })
            .await;
        assert_eq!(answer.expect("the source at least").as_deref(), Some(&1));
        pair.proxy.calm();
        eventually("it writes again", PATIENCE, async || {
            pair.far.invalidate(&key(1)).await.is_ok()
        })
        .await;
        pair.near.put(&key(1), 1).await.expect("put");
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_with_different_prefixes_or_databases_do_not_see_each_other() {
    let server = Server::start().await;
    let mut elsewhere = server.settings();
    elsewhere.database = 1;
    let node = warm(server.settings()).await;
    let others = [
        warm(server.settings().with_prefix("other")).await,
        warm(elsewhere).await,
    ];
    node.put(&key(1), 1).await.expect("put");
    for other in &others {
        assert_eq!(read(other, 1).await, None);
        other.put(&key(1), 2).await.expect("put");
    }
    assert_eq!(read(&node, 1).await, Some(1));
    let before = node.stats().events;
    for other in &others {
        other.clear_all().await.expect("cleared");
        other.shutdown().await;
    }
    assert_eq!(read(&node, 1).await, Some(1));
    assert_eq!(node.stats().events, before, "it hears nothing of the others");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_down_node_leaves_no_connection() {
    let server = Server::start().await;
    let named = |settings: Settings| settings.with_client_name("leaving");
    let node = warm(named(server.settings())).await;
    node.put(&key(1), 1).await.expect("put");
    let connections = async || {
        let list: String = redis::from_redis_value(server.command(&["CLIENT", "LIST"]).await).expect("text");
        list.matches("name=leaving").count()
    };
    assert!(connections().await >= 3, "a bus for each lane, and data");
    node.shutdown().await;
    drop(node);
    eventually("all connections are closed", PATIENCE, async || {
        connections().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_request_disturbs_none_of_the_others() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    for id in 0..200 {
        node.put(&key(id), id).await.expect("put");
    }
    for id in 0..200 {
        node.expire(&key(id)).await.ok();
        // Long enough to be sent, too short for an answer, most of the time.
        let _ = tokio::time::timeout(Duration::from_micros(50), node.get(&key(id))).await;
        node.put(&key(id), 1_000 + id).await.expect("put");
        assert_eq!(crate::nodes::read(&node, id).await, Some(1_000 + id));
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prefix_owns_is_listed_and_removed_without_a_search() {
    let server = Server::start().await;
    let (node, other) = (
        warm(server.settings()).await,
        warm(server.settings().with_prefix("other")).await,
    );
    let tier = RedisTier::new(server.settings()).expect("right settings");
    node.put(&key(1), 1).await.expect("put");
    other.put(&key(1), 2).await.expect("put");
    let owned = tier.owned().await.expect("listed");
    assert_eq!(owned.len(), 130, "both lanes' shards and barriers");
    let logged = owned
        .iter()
        .find(|owned| owned.shard == shard(1))
        .expect("the key's shard")
        .logged;
    assert!(logged >= 2, "its beginning and the write: {logged}");
    node.shutdown().await;
    tier.forget().await.expect("removed");
    assert_eq!(tier.owned().await.expect("listed"), []);
    assert_eq!(read(&other, 1).await, Some(2), "another prefix is not touched");
    other.shutdown().await;
}
