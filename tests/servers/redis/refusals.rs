//! What a server refuses, and what the report on a server says.
//!
//! A refusal before anything was done is never uncertain.

use std::time::Duration;

use cache_core::{ErrorKind, Lane, Op, ReadFrom, Shard, SharedStore, StoreError};
use cache_redis::{Address, Finding, RedisTier, Servers, Settings};
use std::sync::Arc;
use testkit::{Scribe, keys_in, sealed, shards_in};

use crate::cluster::Cluster;
use crate::nodes::{NUMBERS, PATIENCE, eventually, key, read, shard, warm};
use crate::server::Server;

fn tier(settings: Settings) -> RedisTier {
    RedisTier::new(settings).expect("right settings")
}

async fn attempt(tier: &RedisTier) -> Result<(), StoreError> {
    tier.read(Shard::barriers(Lane::Bulk), &[], ReadFrom::Primary)
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_server_has_no_findings() {
    let server = Server::start().await;
    let report = tier(server.settings()).check().await.expect("a report");
    assert_eq!(report.findings(), []);
    assert!(!report.version().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_evicts_heads_is_reported() {
    let server = Server::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let report = tier(server.settings()).check().await.expect("a report");
    assert!(matches!(report.findings(), [Finding::EvictsEverything { policy }] if policy == "allkeys-lru"));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_reported_by_command() {
    let server = Server::start().await;
    let rights = [
        "ACL",
        "SETUSER",
        "poor",
        "on",
        ">secret",
        "~{test:*",
        "&{test:*",
        "+@all",
        "-xtrim",
        "-spublish",
    ];
    server.command(&rights).await;
    let mut settings = server.settings();
    (settings.username, settings.password) = (Some("poor".into()), Some("secret".into()));
    let report = tier(settings).check().await.expect("a report");
    let lacking = ["XTRIM".to_owned(), "SPUBLISH".to_owned()].to_vec();
    assert_eq!(report.findings(), [Finding::LacksRights { commands: lacking }]);
}

/// The users of docs/redis.md, as it makes them, for the prefix of these tests: first the broad one, then, of the one with nothing
/// to spare, its first rights and those that are added.
fn documented() -> Vec<Vec<String>> {
    let text = include_str!("../../../docs/redis.md").replace("market:", "test:");
    let lines = text.lines().filter(|line| line.starts_with("ACL SETUSER edge "));
    lines
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

async fn grant(server: &Server, rights: &[String]) {
    let words: Vec<_> = rights.iter().map(String::as_str).collect();
    server.command(&words).await;
}

fn as_the_user(mut settings: Settings) -> Settings {
    (settings.username, settings.password) = (Some("edge".into()), Some("password".into()));
    settings
}

/// All that a node does, as the user of the documents, and nothing is found to lack.
async fn works_as_the_user(settings: Settings) {
    let settings = as_the_user(settings);
    let report = tier(settings.clone()).check().await.expect("a report");
    assert_eq!(report.findings(), []);
    let nodes = [warm(settings.clone()).await, warm(settings).await];
    for id in 0..20 {
        nodes[0].put(&key(id), id).await.expect("put");
        assert_eq!(read(&nodes[1], id).await, Some(id));
    }
    let loaded = nodes[0]
        .get_or_load(&key(99), |_| async { Ok::<_, std::io::Error>(99) })
        .await;
    loaded.expect("it is stored");
    nodes[1].invalidate(&key(1)).await.expect("invalidated");
    nodes[1].clear(&NUMBERS).await.expect("cleared");
    eventually("both hear of it", PATIENCE, async || {
        read(&nodes[0], 1).await.is_none() && read(&nodes[1], 2).await.is_none()
    })
    .await;
    for node in nodes {
        let health = node.health().await;
        assert!(health.bus_active && health.store.connected, "{health:?}");
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_of_the_documents_has_all_that_a_node_needs_of_a_server() {
    let documented = documented();
    assert_eq!(documented.len(), 6, "{documented:?}");
    for rights in &documented[..2] {
        let server = Server::start().await;
        grant(&server, rights).await;
        works_as_the_user(server.settings()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_with_nothing_to_spare_uses_another_database_and_lists_and_removes_what_is_owned() {
    let (server, documented) = (Server::start().await, documented());
    for rights in [&documented[1], &documented[4]] {
        grant(&server, rights).await;
    }
    let mut settings = server.settings();
    settings.database = 3;
    works_as_the_user(settings.clone()).await;
    grant(&server, &documented[5]).await;
    let tier = tier(as_the_user(settings));
    assert!(!tier.owned().await.expect("a list").is_empty());
    tier.forget().await.expect("removed");
    assert_eq!(tier.owned().await.expect("a list"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_with_nothing_to_spare_works_in_a_cluster_and_reads_from_replicas() {
    let (cluster, documented) = (Cluster::start().await, documented());
    for server in &cluster.servers {
        for rights in &documented[1..4] {
            grant(server, rights).await;
        }
    }
    let mut settings = cluster.settings();
    settings.read_replicas = true;
    works_as_the_user(settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_where_optional_commands_are_renamed_away_is_used_all_the_same() {
    let renamed = ["CLIENT", "COMMAND", "CONFIG", "ACL"].map(|name| ["--rename-command", name, ""]);
    let server = Server::start_with(&renamed.concat()).await;
    let report = tier(server.settings()).check().await.expect("a report");
    assert_eq!(report.findings(), []);
    let node = warm(server.settings()).await;
    node.put(&key(1), 1).await.expect("put");
    assert_eq!(read(&node, 1).await, Some(1));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_switched_off_keeps_its_connections_and_one_without_channels_loses_those_of_the_bus() {
    let (server, documented) = (Server::start().await, documented());
    grant(&server, &documented[0]).await;
    let node = warm(as_the_user(server.settings())).await;
    let acl = async |right: &str| server.command(&["ACL", "SETUSER", "edge", right]).await;
    acl("off").await;
    node.put(&key(1), 1).await.expect("its connections stand");
    let refused = attempt(&tier(as_the_user(server.settings()))).await;
    assert_eq!(
        refused.expect_err("a new one is refused").kind(),
        ErrorKind::Rejected
    );
    acl("on").await;
    acl("resetchannels").await;
    eventually("it hears nothing", PATIENCE, async || {
        !node.health().await.bus_active
    })
    .await;
    acl("&{test:*").await;
    eventually("it hears again", PATIENCE, async || {
        node.health().await.bus_active && node.put(&key(1), 2).await.is_ok()
    })
    .await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_said() {
    let server = Server::start_with(&["--requirepass", "right"]).await;
    let mut settings = server.settings();
    settings.password = Some("wrong".into());
    let refused = attempt(&tier(settings)).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
    assert!(!refused.to_string().contains("wrong"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_may_not_be_published_stands_and_is_found_by_the_next_heartbeat() {
    let server = Server::start().await;
    a_silent_step_is_found_in_the_log(&server, async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_server_a_gap_is_repaired_from_the_log() {
    let server = Server::start().await;
    a_silent_step_is_found_in_the_log(&server, async || {
        server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    })
    .await;
}

/// A step that is not published, since its user may not, and what happens before it.
async fn a_silent_step_is_found_in_the_log(server: &Server, before: impl AsyncFn()) {
    let rights = [
        "ACL",
        "SETUSER",
        "mute",
        "on",
        ">secret",
        "~*",
        "resetchannels",
        "+@all",
    ];
    let mut settings = server.settings();
    server.command(&rights).await;
    (settings.username, settings.password) = (Some("mute".into()), Some("secret".into()));
    let listener = warm(server.settings()).await;
    listener.put(&key(1), 1).await.expect("put");
    before().await;
    // No event follows: only the head tells that something is missing.
    let mute: Arc<dyn SharedStore> = Arc::new(tier(settings));
    let reply = mute.read(shard(1), &[], ReadFrom::Primary).await.expect("a head");
    let scribe = Scribe::believing(&mute, shard(1), reply.head.expect("a head").lineage);
    scribe.delete(key(1).raw()).await;
    eventually("the listener finds it", crate::nodes::LEASE, async || {
        read(&listener, 1).await.is_none()
    })
    .await;
    let counted = listener.stats().events[Lane::Bulk.index()];
    assert!(
        counted.gaps >= 1 && counted.replays >= 1 && counted.flushes == 0,
        "{counted:?}"
    );
    listener.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_stores_nothing_more_and_takes_every_invalidation() {
    let server = Server::start().await;
    let store: Arc<dyn SharedStore> = Arc::new(tier(server.settings()));
    let shard = shards_in(Lane::Bulk, 1)[0];
    let (scribe, keys) = (Scribe::create(&store, shard).await, keys_in(shard, 2));
    let before = scribe.set(&keys[0], &sealed(b"a")).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let step = scribe.step(Op::Change(vec![Scribe::setting(&keys[1], &sealed(b"b"))]));
    let refused = store.write(step).await.expect_err("there is no memory");
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert_eq!(scribe.head().await, Some(before), "nothing happened");
    let deleted = scribe.delete(&keys[0]).await;
    let flushed = scribe.flush().await;
    assert_eq!(
        (deleted.seq, flushed.seq),
        (before.seq.next(), before.seq.next().next())
    );
    assert_eq!(scribe.record(&keys[0]).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_a_replica_refuses_writes_and_its_bus_ends() {
    let (server, master) = (Server::start().await, Server::start().await);
    let node = warm(server.settings()).await;
    node.put(&key(1), 1).await.expect("put");
    server.follow(&master).await;
    let refused = attempt_write(&server).await;
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    eventually("the node knows that it hears nothing", PATIENCE, async || {
        !node.health().await.bus_active
    })
    .await;
    server.promote().await;
    eventually("it follows again", PATIENCE, async || {
        node.put(&key(1), 2).await.is_ok()
    })
    .await;
    node.shutdown().await;
}

async fn attempt_write(server: &Server) -> StoreError {
    let store: Arc<dyn SharedStore> = Arc::new(tier(server.settings()));
    let shard = shards_in(Lane::Bulk, 1)[0];
    let scribe = Scribe::believing(&store, shard, cache_core::Lineage(1));
    store
        .write(scribe.step(Op::Flush))
        .await
        .expect_err("a replica takes no writes")
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_the_server_forgot_are_sent_again_and_run_once() {
    let server = Server::start().await;
    let store: Arc<dyn SharedStore> = Arc::new(tier(server.settings()));
    let shard = shards_in(Lane::Bulk, 1)[0];
    let scribe = Scribe::create(&store, shard).await;
    let mut last = scribe.flush().await.seq;
    for _ in 0..10 {
        server.command(&["SCRIPT", "FLUSH"]).await;
        let next = scribe.announce(b"hello").await.seq;
        assert_eq!(next, last.next(), "neither lost nor done twice");
        last = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_refuses_and_nothing_happens() {
    let server = Server::start_with(&["--busy-reply-threshold", "1"]).await;
    let store: Arc<dyn SharedStore> = Arc::new(tier(server.settings()));
    let shard = shards_in(Lane::Bulk, 1)[0];
    let scribe = Scribe::create(&store, shard).await;
    let before = scribe.flush().await;
    let mut other = server.connect().await;
    let spin = tokio::spawn(async move {
        let _: Result<(), _> = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query_async(&mut other)
            .await;
    });
    eventually("the script runs", PATIENCE, async || {
        let refused = store.write(scribe.step(Op::Flush)).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    })
    .await;
    server.command(&["SCRIPT", "KILL"]).await;
    spin.await.expect("the script was killed");
    let after = scribe.head().await.expect("a head");
    assert!(after.seq >= before.seq);
    tokio::time::timeout(Duration::from_secs(5), scribe.flush())
        .await
        .expect("it takes steps again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_still_loading_is_unavailable_until_it_has_loaded() {
    // Every key takes a while, and clients are answered in between.
    let slow = [
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let server = Server::start_with(&[&["--enable-debug-command", "yes"][..], &slow].concat()).await;
    let fill = "for i = 1, 3000 do redis.call('SET', 'filler:' .. i, string.rep('x', 100)) end";
    server.command(&["EVAL", fill, "0"]).await;
    let mut operator = server.connect().await;
    let reload = tokio::spawn(async move {
        // Nobody waits for the answer: that it loads is seen from outside.
        let _: Result<(), _> = redis::cmd("DEBUG").arg("RELOAD").query_async(&mut operator).await;
    });
    let tier = tier(server.settings());
    eventually("it says that it is loading", PATIENCE, async || {
        attempt(&tier).await.is_err_and(|error| {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            error.to_string().contains("is loading")
        })
    })
    .await;
    eventually("it has loaded", PATIENCE, async || attempt(&tier).await.is_ok()).await;
    reload.await.expect("it was told to");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_cluster_is_not_used_as_a_single_server_nor_the_other_way_round() {
    let (alone, member) = (
        Server::start().await,
        Server::start_with(&["--cluster-enabled", "yes"]).await,
    );
    let refused = attempt(&tier(member.settings()))
        .await
        .expect_err("one of a cluster");
    assert_eq!(refused.kind(), ErrorKind::Rejected);
    assert!(refused.to_string().contains("redis-cluster://"), "{refused}");
    let there = Address::new(&alone.host, alone.port);
    let refused = attempt(&tier(Settings::of(Servers::Cluster(vec![there]))))
        .await
        .expect_err("none of a cluster");
    assert_eq!(refused.kind(), ErrorKind::Rejected);
    assert!(refused.to_string().contains("redis://host"), "{refused}");
}
