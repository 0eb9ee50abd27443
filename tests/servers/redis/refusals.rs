//! What a server refuses, and what the report on a server says.
//!
//! A refusal before anything was done is never uncertain.

use std::time::Duration;

use cache_core::{ErrorKind, Lane, Op, ReadFrom, Shard, SharedStore, StoreError};
use cache_redis::{Address, Finding, RedisTier, Servers, Settings};
use std::sync::Arc;
use testkit::{Scribe, keys_in, sealed, shards_in};

use crate::nodes::{PATIENCE, eventually, key, read, warm};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_rights_to_the_prefix_alone_is_enough() {
    let server = Server::start().await;
    let rights = [
        "ACL",
        "SETUSER",
        "edge",
        "on",
        ">secret",
        "~{test:*",
        "&{test:*",
        "+@all",
        "-@dangerous",
        "+info",
        "+role",
    ];
    server.command(&rights).await;
    let mut settings = server.settings();
    (settings.username, settings.password) = (Some("edge".into()), Some("secret".into()));
    assert_eq!(
        tier(settings.clone()).check().await.expect("a report").findings(),
        []
    );
    let node = warm(settings).await;
    node.put(&key(1), 1).await.expect("put");
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
    // No event follows: only the head tells that something is missing.
    let mute: Arc<dyn SharedStore> = Arc::new(tier(settings));
    let reply = mute
        .read(key(1).shard(), &[], ReadFrom::Primary)
        .await
        .expect("a head");
    let scribe = Scribe::believing(&mute, key(1).shard(), reply.head.expect("a head").lineage);
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
