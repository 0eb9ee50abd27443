//! Calls about many thousand keys: in pieces, each with a deadline of its own, and without harm to what is cached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Key, Namespace, OfflineWrites, Permille, Policy};
use cache_memory::{Cut, Faults};
use edge_cache::{CacheError, Put, Receipt};
use futures_util::future::{BoxFuture, join};
use tests::{Fleet, FleetOptions, Node};
use tokio::time::Instant;

use crate::doubles::Source;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);
const QUEUED: Namespace<u64> = Namespace::new("queued", POLICY.with_offline_writes(OfflineWrites::Queue));

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&QUEUED)
    })
    .await
}

/// Each request takes its time, and others overtake it.
fn busy() -> Faults {
    Faults {
        request_delay: Duration::ZERO..=Duration::from_millis(20),
        ..Faults::NONE
    }
}

fn keys(namespace: &Namespace<u64>, count: usize) -> Vec<Key<u64>> {
    (0..count).map(|id| namespace.key(&[("id", &id)])).collect()
}

/// How many keys each call of a loader was asked for.
type Calls = Arc<Mutex<Vec<usize>>>;
type Found = BoxFuture<'static, Result<HashMap<Key<u64>, u64>, &'static str>>;

fn loader(calls: &Calls) -> impl Fn(Vec<Key<u64>>) -> Found + Send + Sync + 'static {
    let calls = Arc::clone(calls);
    move |keys| {
        calls.lock().expect("calls").push(keys.len());
        Box::pin(async move { Ok(keys.into_iter().map(|key| (key, 1)).collect()) })
    }
}

fn flushes(nodes: &[Node]) -> u64 {
    let tallies = nodes.iter().flat_map(|node| node.stats().events);
    tallies.map(|tally| tally.flushes).sum()
}

#[tokio::test(start_paused = true)]
async fn many_missing_keys_take_one_call_of_the_loader_for_each_1024_however_busy_the_store_is() {
    let fleet = fleet().await;
    fleet.hub.set_faults(busy());
    let (calls, keys) = (Calls::default(), keys(&NUMBERS, 5_000));
    let answers = fleet.nodes[0]
        .get_or_load_many(&keys, loader(&calls))
        .await
        .expect("loaded");
    assert!(answers.iter().all(|answer| answer.as_deref() == Some(&1)));
    assert_eq!(*calls.lock().expect("calls"), [1_024, 1_024, 1_024, 1_024, 904]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn keys_that_another_node_loads_do_not_delay_the_others_of_their_piece() {
    let fleet = fleet().await;
    fleet.hub.set_faults(busy());
    let (calls, keys) = (Calls::default(), keys(&NUMBERS, 500));
    let elsewhere = Source::of(7).slow(Duration::from_millis(1_500));
    let many = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fleet.nodes[0].get_or_load_many(&keys, loader(&calls)).await
    };
    let (one, answers) = join(fleet.nodes[1].get_or_load(&keys[0], elsewhere.loader()), many).await;
    one.expect("loaded");
    assert_eq!(answers.expect("loaded")[0].as_deref(), Some(&7));
    assert_eq!(
        *calls.lock().expect("calls"),
        [499],
        "in one call, without waiting for it"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn warming_more_than_memory_holds_tells_what_it_holds_and_flushes_nothing() {
    let fleet = fleet().await;
    fleet.hub.set_faults(busy());
    let (calls, keys, before) = (Calls::default(), keys(&NUMBERS, 20_000), flushes(&fleet.nodes));
    let warm = fleet.nodes[0].warm(&keys, loader(&calls)).await.expect("loaded");
    let there = keys
        .iter()
        .filter(|key| fleet.nodes[0].peek(key).expect("registered").is_some())
        .count();
    assert_eq!(warm, there);
    assert!((5_000..=10_000).contains(&warm), "{warm} of 10,000 that fit");
    let stats = fleet.nodes[0].stats();
    assert_eq!(
        (flushes(&fleet.nodes) - before, stats.collapses, stats.owed),
        (0, 0, 0)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn putting_many_thousand_values_publishes_each_and_flushes_nothing() {
    let fleet = fleet().await;
    fleet.hub.set_faults(busy());
    let before = flushes(&fleet.nodes);
    let puts = keys(&NUMBERS, 20_000).into_iter().map(|key| (key, Put::new(1)));
    let outcomes = fleet.nodes[0].put_many(puts.collect()).await.expect("registered");
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(Receipt::Published { .. })))
    );
    assert_eq!(flushes(&fleet.nodes) - before, 0);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_puts_without_the_shared_store_end_soon_and_those_not_tried_changed_nothing() {
    let fleet = fleet().await;
    fleet.hub.partition("node-0", Cut::Data);
    let (node, asked) = (&fleet.nodes[0], Instant::now());
    let puts = |namespace| {
        keys(namespace, 5_000)
            .into_iter()
            .map(|key| (key, Put::new(1)))
            .collect()
    };
    let outcomes = node.put_many(puts(&NUMBERS)).await.expect("registered");
    assert!(
        outcomes[256..]
            .iter()
            .all(|outcome| matches!(outcome, Err(CacheError::Unavailable(_))))
    );
    let outcomes = node.put_many(puts(&QUEUED)).await.expect("registered");
    assert!(
        outcomes[256..]
            .iter()
            .all(|outcome| matches!(outcome, Ok(Receipt::Queued)))
    );
    assert!(
        asked.elapsed() <= Duration::from_secs(4),
        "took {:?}",
        asked.elapsed()
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_invalidations_without_the_shared_store_are_queued_soon() {
    let fleet = fleet().await;
    fleet.hub.partition("node-0", Cut::Data);
    let (node, asked) = (&fleet.nodes[0], Instant::now());
    let receipts = node.invalidate_many(&keys(&NUMBERS, 9_000)).await.expect("owed");
    assert!(receipts.iter().all(|receipt| *receipt == Receipt::Queued));
    assert!(
        asked.elapsed() <= Duration::from_secs(3),
        "took {:?}",
        asked.elapsed()
    );
    assert_eq!(node.stats().owed, 9_000);
    fleet.shutdown().await;
}
