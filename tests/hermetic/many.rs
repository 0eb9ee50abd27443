//! Calls about many keys at once.
//!
//! That each key keeps its own promises is shown with single keys elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Key, Namespace, Op, Permille, Policy, ShardCount};
use edge_cache::{CacheError, LoadError, Put, Receipt, Tier};
use futures_util::future::{BoxFuture, join};
use tests::{Fleet, FleetOptions};

use crate::doubles::{Source, Watch};

const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(30)).with_jitter(Permille(0)),
);

async fn fleet(watch: &Watch) -> Fleet {
    let options = FleetOptions {
        shared: watch.wrap(),
        ..FleetOptions::default()
    };
    Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await
}

fn keys(ids: std::ops::Range<u64>) -> Vec<Key<u64>> {
    ids.map(|id| NUMBERS.key(&[("id", &id)])).collect()
}

/// A loader of many that remembers what it was asked for, and answers every key with 1,000.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Vec<Key<u64>>>>>);

type Shelved = BoxFuture<'static, Result<HashMap<Key<u64>, u64>, &'static str>>;

impl Shelf {
    fn loader(&self) -> impl Fn(Vec<Key<u64>>) -> Shelved + Send + Sync + 'static {
        let shelf = self.clone();
        move |keys| {
            shelf.0.lock().expect("shelf").push(keys.clone());
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(keys.into_iter().map(|key| (key, 1_000)).collect())
            })
        }
    }

    fn calls(&self) -> Vec<Vec<Key<u64>>> {
        self.0.lock().expect("shelf").clone()
    }
}

#[tokio::test(start_paused = true)]
async fn get_many_answers_in_the_order_asked_with_nothing_for_what_is_missing() {
    let fleet = fleet(&Watch::default()).await;
    let keys = keys(0..4);
    fleet.nodes[0].put(&keys[2], 2).await.expect("put");
    fleet.nodes[0].put(&keys[0], 0).await.expect("put");
    for _ in 0..2 {
        let answers = fleet.nodes[1].get_many(&keys).await.expect("get");
        let values: Vec<Option<u64>> = answers.iter().map(|answer| answer.as_deref().copied()).collect();
        assert_eq!(values, [Some(0), None, Some(2), None]);
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_call_of_the_loader_brings_all_that_is_missing_and_nothing_else() {
    let fleet = fleet(&Watch::default()).await;
    let (node, shelf, keys) = (&fleet.nodes[0], Shelf::default(), keys(0..30));
    for key in &keys[..10] {
        node.put(key, 1).await.expect("in memory");
    }
    for key in &keys[10..20] {
        fleet.nodes[1]
            .put(key, 2)
            .await
            .expect("in the shared store only");
    }
    let answers = node
        .get_or_load_many(&keys, shelf.loader())
        .await
        .expect("loaded");
    let values: Vec<u64> = answers
        .iter()
        .map(|answer| **answer.as_ref().expect("there"))
        .collect();
    assert_eq!(values, [[1; 10], [2; 10], [1_000; 10]].concat());
    let calls = shelf.calls();
    assert_eq!(calls.len(), 1);
    let asked: BTreeSet<&str> = calls[0].iter().map(Key::as_str).collect();
    assert_eq!(asked, keys[20..].iter().map(Key::as_str).collect());
    let again = node
        .get_or_load_many(&keys, shelf.loader())
        .await
        .expect("in memory");
    assert!(again.iter().flatten().all(|answer| answer.tier() == Tier::L1));
    assert_eq!(shelf.calls().len(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_node_is_loading_is_not_loaded_again_and_does_not_hold_up_the_rest() {
    let fleet = fleet(&Watch::default()).await;
    let (shelf, keys) = (Shelf::default(), keys(0..10));
    let elsewhere = Source::of(7).slow(Duration::from_millis(300));
    let other = fleet.nodes[1].get_or_load(&keys[0], elsewhere.loader());
    let many = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        fleet.nodes[0].get_or_load_many(&keys, shelf.loader()).await
    };
    let (one, answers) = join(other, many).await;
    one.expect("loaded");
    let answers = answers.expect("loaded");
    assert_eq!(answers[0].as_deref(), Some(&7));
    assert!(
        answers[1..]
            .iter()
            .all(|answer| answer.as_deref() == Some(&1_000))
    );
    assert_eq!(
        (elsewhere.calls(), shelf.calls().len(), shelf.calls()[0].len()),
        (1, 1, 9)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_want_the_same_many_load_each_key_once() {
    let fleet = fleet(&Watch::default()).await;
    let (shelf, keys) = (Shelf::default(), keys(0..50));
    let (one, two) = join(
        fleet.nodes[0].get_or_load_many(&keys, shelf.loader()),
        fleet.nodes[1].get_or_load_many(&keys, shelf.loader()),
    )
    .await;
    assert!(
        one.expect("loaded")
            .iter()
            .chain(&two.expect("loaded"))
            .all(Option::is_some)
    );
    let asked: Vec<Key<u64>> = shelf.calls().concat();
    assert_eq!(asked.len(), 50);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_asked_for_twice_is_loaded_once_and_one_the_loader_leaves_out_is_absent() {
    let fleet = fleet(&Watch::default()).await;
    let (key, left_out) = (NUMBERS.key(&[("id", &1)]), NUMBERS.key(&[("id", &2)]));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, only) = (Arc::clone(&asked), key.clone());
    let loader = move |keys: Vec<Key<u64>>| {
        seen.lock().expect("seen").extend(keys);
        let found = HashMap::from([(only.clone(), 5)]);
        async move { Ok::<_, &str>(found) }
    };
    let wanted = [key.clone(), left_out.clone(), key.clone()];
    let answers = fleet.nodes[0]
        .get_or_load_many(&wanted, loader)
        .await
        .expect("loaded");
    let values: Vec<Option<u64>> = answers.iter().map(|answer| answer.as_deref().copied()).collect();
    assert_eq!(values, [Some(5), None, Some(5)]);
    assert_eq!(asked.lock().expect("seen").len(), 2);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_loader_of_many_that_panics_is_called_once_and_its_panic_is_an_error() {
    let fleet = fleet(&Watch::default()).await;
    let (calls, keys) = (Arc::new(Mutex::new(0)), keys(0..20));
    let count = Arc::clone(&calls);
    let loader = move |_keys: Vec<Key<u64>>| {
        *count.lock().expect("count") += 1;
        async { panic!("the loader panics, as the test told it to") }
    };
    let answer: Result<_, CacheError> = fleet.nodes[0]
        .get_or_load_many::<u64, &str, _, _>(&keys, loader)
        .await;
    assert!(
        matches!(&answer, Err(CacheError::Load(error)) if matches!(**error, LoadError::Panicked)),
        "{answer:?}"
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*calls.lock().expect("count"), 1);
    assert_eq!(fleet.nodes[0].stats().total().memory.in_flight, 0);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn warming_brings_keys_into_memory_and_counts_them() {
    let fleet = fleet(&Watch::default()).await;
    let (node, shelf, keys) = (&fleet.nodes[0], Shelf::default(), keys(0..100));
    assert_eq!(node.warm(&keys, shelf.loader()).await.expect("loaded"), 100);
    assert_eq!(shelf.calls().len(), 1);
    assert!(
        keys.iter()
            .all(|key| node.peek(key).expect("registered").is_some())
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn each_put_of_many_succeeds_or_fails_alone() {
    let fleet = fleet(&Watch::default()).await;
    let (node, keys) = (&fleet.nodes[0], keys(0..3));
    node.put(&keys[1], 9).await.expect("put");
    let puts = vec![
        (keys[0].clone(), Put::new(0)),
        (keys[1].clone(), Put::new(1).expecting(cache_core::Seq::ZERO)),
        (keys[2].clone(), Put::new(2)),
    ];
    let outcomes = node.put_many(puts).await.expect("registered");
    assert!(matches!(outcomes[0], Ok(Receipt::Published { .. })));
    assert!(matches!(outcomes[1], Err(CacheError::Conflict { .. })));
    assert!(matches!(outcomes[2], Ok(Receipt::Published { .. })));
    let answers = fleet.nodes[1].get_many(&keys).await.expect("get");
    let values: Vec<Option<u64>> = answers.iter().map(|answer| answer.as_deref().copied()).collect();
    assert_eq!(values, [Some(0), Some(9), Some(2)]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn invalidating_many_takes_one_write_for_each_shard_and_receipts_keep_their_order() {
    let watch = Watch::default();
    let fleet = fleet(&watch).await;
    let keys = keys(0..500);
    let puts = keys.iter().map(|key| (key.clone(), Put::new(1))).collect();
    fleet.nodes[0].put_many(puts).await.expect("put");
    fleet.nodes[1].get_many(&keys).await.expect("in memory");
    let before = watch.writes().len();
    let receipts = fleet.nodes[0].invalidate_many(&keys).await.expect("published");
    let writes = watch.writes().split_off(before);
    let shards: BTreeSet<_> = keys.iter().map(|key| key.shard(ShardCount::DEFAULT)).collect();
    assert_eq!(writes.len(), shards.len());
    for (key, receipt) in keys.iter().zip(&receipts) {
        let of_shard = writes
            .iter()
            .find(|(shard, _)| *shard == key.shard(ShardCount::DEFAULT))
            .map(|(_, op)| op);
        assert!(
            matches!(of_shard, Some(Op::Change(changes)) if changes.iter().any(|change| change.key == *key.raw()))
        );
        assert!(receipt.version().is_some());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert!(
            node.get_many(&keys)
                .await
                .expect("get")
                .iter()
                .all(Option::is_none)
        );
    }
    fleet.shutdown().await;
}
