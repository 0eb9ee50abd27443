//! The number of shards belongs to the deployment: a node of another number is refused, and changing it leaves no node behind that
//! serves or writes by the old one.

use cache_core::{ErrorKind, Lane, ReadFrom, Shard, ShardCount, SharedStore as _};
use cache_redis::{RedisTier, Settings};
use edge_cache::{EdgeCache, Receipt};
use edge_node::Ending;

use crate::cluster::Cluster;
use crate::commands::run;
use crate::nodes::{LEASE, PATIENCE, SHARDS, cold, eventually, key, read, warm};
use crate::server::Server;

/// Another number than these tests' nodes have.
const OTHERS: u16 = 8;

fn with(mut settings: Settings, shards: u16) -> Settings {
    settings.shards = ShardCount::new(shards).expect("a power of two");
    settings
}

fn tier(settings: Settings) -> RedisTier {
    RedisTier::new(settings).expect("right settings")
}

/// Whether a refusal tells both numbers.
fn names_both(said: &str) -> bool {
    said.contains(&format!("{SHARDS} shards")) && said.contains(&format!("started for {OTHERS}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_number_of_shards_is_refused_with_both_numbers_and_changes_nothing() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    node.put(&key(1), 1).await.expect("put");
    let owned = tier(server.settings()).owned().await.expect("a list");
    let stranger = tier(with(server.settings(), OTHERS));
    for said in [
        stranger.join().await.expect_err("another number"),
        stranger
            .read(Shard::barriers(Lane::Bulk), &[], ReadFrom::Primary)
            .await
            .expect_err("another number"),
    ] {
        assert_eq!(said.kind(), ErrorKind::Incompatible, "{said}");
        assert!(names_both(&said.to_string()), "{said}");
    }
    let cache = cold(with(server.settings(), OTHERS));
    assert!(!cache.ready(LEASE).await, "it follows nothing");
    assert!(cache.put(&key(1), 2).await.is_err());
    assert_eq!(
        stranger.owned().await.expect("a list"),
        owned,
        "and lists what there is"
    );
    assert_eq!(read(&node, 1).await, Some(1));
    cache.shutdown().await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_everything_was_lost_the_first_node_decides_and_others_are_refused() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    node.put(&key(1), 1).await.expect("put");
    let stranger = tier(with(server.settings(), OTHERS));
    stranger.join().await.expect_err("another number");
    server.command(&["FLUSHALL"]).await;
    // Either may be first; then the other one has to go.
    eventually("one of them decides", PATIENCE, async || {
        let stays = node.put(&key(2), 2).await.is_ok();
        let came = stranger.join().await.is_ok();
        assert!(!(stays && came), "both take part");
        stays || came
    })
    .await;
    node.shutdown().await;
}

/// Nodes of the old number go on while the number is changed, and back.
async fn is_changed(settings: Settings) {
    let old = [warm(settings.clone()).await, warm(settings.clone()).await];
    for id in 0..20 {
        old[0].put(&key(id), id).await.expect("put");
        assert_eq!(read(&old[1], id).await, Some(id));
    }
    let changed = tier(with(settings.clone(), OTHERS))
        .reshard()
        .await
        .expect("changed");
    assert_eq!((changed.from, changed.to.count()), (Some(SHARDS), OTHERS));
    let new = warm(with(settings.clone(), OTHERS)).await;
    assert_eq!(read(&new, 1).await, None, "it begins empty");
    for node in &old {
        eventually("an old node has heard of it", PATIENCE, async || {
            (0..20).all(|id| node.peek(&key(id)).is_ok_and(|held| held.is_none()))
        })
        .await;
        shut_out(node).await;
    }
    new.put(&key(1), 1_000).await.expect("put");
    assert_eq!(read(&new, 1).await, Some(1_000));
    let refused = tier(settings.clone()).join().await.expect_err("the old number");
    assert!(refused.to_string().contains("has 8 shards"), "{refused}");
    // And back: what was stored under the old number must not come back with it.
    tier(settings.clone()).reshard().await.expect("changed back");
    for node in &old {
        eventually("an old node takes part again", PATIENCE, async || {
            node.put(&key(500), 5).await.is_ok()
        })
        .await;
        for id in 0..20 {
            assert_eq!(read(node, id).await, None, "key {id} is of before");
        }
    }
    shut_out(&new).await;
    for node in old.iter().chain([&new]) {
        node.shutdown().await;
    }
}

/// It writes nothing, and answers from its source.
async fn shut_out(node: &EdgeCache) {
    eventually("it writes nothing more", PATIENCE, async || {
        node.put(&key(1), 7).await.is_err()
    })
    .await;
    let told = node.invalidate(&key(1)).await;
    assert!(!matches!(told, Ok(Receipt::Published { .. })), "{told:?}");
    let answer = node
        .get_or_load(&key(1), |_| async { Ok::<_, std::io::Error>(9) })
        .await;
    assert_eq!(answer.expect("the source answers").as_deref(), Some(&9));
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_number_empties_the_cache_and_shuts_out_the_nodes_of_the_old_one() {
    is_changed(Server::start().await.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_changing_the_number_shuts_out_the_nodes_of_the_old_one_too() {
    is_changed(Cluster::start().await.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_changes_the_number_only_when_that_is_confirmed() {
    let server = Server::start().await;
    let words = ["reshard", "--prefix", "test", "--redis-shards", "8"];
    let (ending, said) = run(&server, &["reshard", "--prefix", "test"]).await;
    assert_eq!(ending, Ending::Well, "{said}");
    assert!(said.contains(&format!("begins with {SHARDS} shards")), "{said}");
    let (ending, said) = run(&server, &words).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("nothing was changed: add --yes"), "{said}");
    let (ending, said) = run(&server, &[&words[..], &["--yes"]].concat()).await;
    assert_eq!(ending, Ending::Well, "{said}");
    assert!(
        said.contains(&format!("8 shards in each lane instead of {SHARDS}")),
        "{said}"
    );
    let (_, said) = run(&server, &words).await;
    assert!(said.contains("test has 8 shards"), "it is done: {said}");
}
