//! When something was invalidated is never forgotten downwards: whatever the server loses or throws out, no dead value comes
//! back to life.
//!
//! The same without a server, and for every lifetime, is in `hermetic` and in the simulation.

use std::sync::Arc;

use cache_core::{BARRIERS_KEPT, Barrier, Lane, Seq, Shard, SharedStore, Tag};
use cache_redis::RedisTier;
use edge_cache::{EdgeCache, Put};
use futures_util::StreamExt as _;
use redis::Value;
use redis::aio::MultiplexedConnection;
use testkit::Scribe;

use crate::nodes::{NONE, SHARDS, key, read, warm};
use crate::server::Server;

/// The sorted set of a lane's barriers of one kind.
fn set(lane: Lane, kind: u8) -> String {
    format!("{{test:{SHARDS}:{}}}:b:{kind}", Shard::barriers(lane))
}

async fn delete_barriers(server: &Server) {
    for lane in Lane::ALL {
        let deleted = server.command(&["DEL", &set(lane, 0), &set(lane, 1)]).await;
        assert_eq!(deleted, Value::Int(2), "they were there");
    }
}

async fn put(node: &EdgeCache, id: u64, tag: &str) {
    node.put(&key(id), Put::new(id).with_tag(tag)).await.expect("put");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tag_or_a_clear_killed_stays_dead_when_the_barriers_are_deleted() {
    for everything in [false, true] {
        let server = Server::start().await;
        let node = warm(server.settings()).await;
        put(&node, 1, "t").await;
        match everything {
            true => node.clear_all().await.expect("published"),
            false => node.invalidate_tag("t").await.expect("published"),
        };
        delete_barriers(&server).await;
        let newcomer = warm(server.settings()).await;
        assert_eq!(read(&newcomer, 1).await, None, "everything: {everything}");
        put(&node, 1, "t").await;
        assert_eq!(read(&newcomer, 1).await, Some(1), "what is put afterwards lives");
        let third = warm(server.settings()).await;
        assert_eq!(read(&third, 1).await, Some(1));
        for node in [node, newcomer, third] {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_invalidation_makes_deleted_barriers_anew_and_revives_nothing() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    put(&node, 1, "t").await;
    node.invalidate_tag("t").await.expect("published");
    delete_barriers(&server).await;
    node.invalidate_tag("another").await.expect("published");
    let newcomer = warm(server.settings()).await;
    assert_eq!(read(&newcomer, 1).await, None);
    node.shutdown().await;
    newcomer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn barriers_that_something_else_lies_in_the_place_of_count_as_lost() {
    let server = Server::start().await;
    let store: Arc<dyn SharedStore> = Arc::new(RedisTier::new(server.settings()).expect("right settings"));
    let scribe = Scribe::create(&store, Shard::barriers(Lane::Bulk)).await;
    let (raised, other) = (Barrier::Tag(Tag::new("t")), Barrier::Tag(Tag::new("u")));
    let keys = [raised.key(), other.key(), Barrier::Everything.key()];
    let answered = async || {
        let records = scribe.read(&keys).await.into_iter();
        records
            .map(|record| record.map_or(Seq::ZERO, |record| record.version).0)
            .collect::<Vec<_>>()
    };
    scribe.raise(&raised).await;
    assert_eq!(answered().await, [2, 0, 0]);
    scribe.announce(b"{}").await;
    server.command(&["SET", &set(Lane::Bulk, 1), "text"]).await;
    assert_eq!(answered().await, [3, 3, 0]);
    scribe.announce(b"{}").await;
    assert_eq!(answered().await, [3, 3, 0], "noticed once");
    server.command(&["SET", &set(Lane::Bulk, 1), "text"]).await;
    scribe.raise(&raised).await;
    assert_eq!(answered().await, [5, 4, 0], "by a raise as well");
    // A set of another history is none.
    let next = scribe.succeed(Seq::ZERO).await;
    assert_eq!(
        next.read(&keys[..1]).await[0]
            .as_ref()
            .expect("the floor")
            .version,
        Seq(5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_server_barriers_are_raised_read_and_made_anew() {
    let server = Server::start().await;
    let store: Arc<dyn SharedStore> = Arc::new(RedisTier::new(server.settings()).expect("right settings"));
    let scribe = Scribe::create(&store, Shard::barriers(Lane::Bulk)).await;
    let barrier = Barrier::Tag(Tag::new("t"));
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    server
        .attempt(&["SET", "anything", "x"])
        .await
        .expect_err("the server is full");
    assert_eq!(scribe.raise(&barrier).await.seq, Seq(2));
    assert_eq!(
        scribe.record(&barrier.key()).await.expect("raised").version,
        Seq(2)
    );
    server.command(&["DEL", &set(Lane::Bulk, 1)]).await;
    assert_eq!(scribe.record(&barrier.key()).await.expect("lost").version, Seq(2));
    assert_eq!(
        server.command(&["ZCARD", &set(Lane::Bulk, 1)]).await,
        Value::Int(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_nobody_uses_any_more_take_bounded_room_and_no_key_of_their_own() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    put(&node, 1, "kept").await;
    node.put(&key(2), 2).await.expect("put");
    let keys = server.command(&["DBSIZE"]).await;
    let raised = futures_util::stream::iter(0..BARRIERS_KEPT + 500).map(async |index| {
        node.invalidate_tag(format!("unused-{index}"))
            .await
            .expect("published");
    });
    raised.buffer_unordered(64).collect::<()>().await;
    assert_eq!(server.command(&["DBSIZE"]).await, keys);
    for lane in Lane::ALL {
        let kept = server.command(&["ZCARD", &set(lane, 1)]).await;
        assert_eq!(
            kept,
            Value::Int(BARRIERS_KEPT as i64 + 1),
            "and one that tells the floor"
        );
    }
    let newcomer = warm(server.settings()).await;
    assert_eq!(read(&newcomer, 1).await, None, "older than what is kept of tags");
    assert_eq!(read(&newcomer, 2).await, Some(2), "it carries none");
    node.shutdown().await;
    newcomer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_every_policy_that_keeps_heads_no_dead_value_comes_back_when_memory_is_full() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"] {
        dead_values_stay_dead_under(policy).await;
    }
}

/// Values are killed by their tags; others fill the memory until much is thrown out; a node starts that knows nothing.
async fn dead_values_stay_dead_under(policy: &str) {
    const DEAD: u64 = 200;
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    for id in 0..DEAD {
        put(&node, id, &format!("tag-{}", id % 20)).await;
    }
    for tag in 0..20 {
        node.invalidate_tag(format!("tag-{tag}"))
            .await
            .expect("published");
    }
    let memory = server.text(&["INFO", "memory"]).await;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.expect("a number").trim().parse().expect("a number");
    let limit = (used + (4 << 20)).to_string();
    server
        .command(&["CONFIG", "SET", "maxmemory-policy", policy])
        .await;
    server.command(&["CONFIG", "SET", "maxmemory", &limit]).await;
    let mut connection = server.connect().await;
    for batch in 0..40_u64 {
        let mut others = redis::pipe();
        for index in 0..250 {
            let name = format!("other-{batch}-{index}");
            others
                .cmd("SET")
                .arg(name)
                .arg("x".repeat(2_000))
                .arg("PX")
                .arg(600_000)
                .ignore();
        }
        others.exec_async(&mut connection).await.expect("memory is made");
        // What is used is kept, so that there is something dead to be found.
        look_at(&mut connection, DEAD).await;
    }
    let evicted = server.text(&["INFO", "stats"]).await;
    let evicted = evicted
        .lines()
        .find_map(|line| line.strip_prefix("evicted_keys:"));
    assert_ne!(evicted.map(str::trim), Some("0"), "{policy} had to evict");
    let left = look_at(&mut connection, DEAD).await;
    assert!(
        left > 0 || policy != "volatile-lru",
        "nothing dead is left to be revived"
    );
    let newcomer = warm(server.settings()).await;
    let mut revived = Vec::new();
    for id in 0..DEAD {
        revived.extend(read(&newcomer, id).await);
    }
    assert_eq!(
        revived, NONE,
        "{policy}: dead values, of {left} that are still stored"
    );
    node.shutdown().await;
    newcomer.shutdown().await;
}

/// Asks for the records of these values, and tells how many there are.
async fn look_at(connection: &mut MultiplexedConnection, ids: u64) -> u64 {
    let mut asked = redis::pipe();
    for id in 0..ids {
        let key = key(id);
        asked.cmd("GET").arg(format!(
            "{{test:{SHARDS}:{}}}:v:{}",
            key.shard(SHARDS),
            key.as_str()
        ));
    }
    let found: Vec<Value> = asked.query_async(connection).await.expect("answers");
    found.iter().filter(|found| **found != Value::Nil).count() as u64
}
