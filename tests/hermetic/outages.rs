//! The shared store is away, or holds what nobody can read: what is answered, and what is owed.
//!
//! Bounds on staleness under random faults are simulated elsewhere.

use std::time::Duration;

use cache_core::{
    Change, EventId, Expect, Key, Namespace, NewRecord, OfflineWrites, Op, Permille, Policy, Propagation,
    ReadFrom, ShardCount, SharedStore as _, Write,
};
use cache_memory::{Cut, Faults, Hub};
use edge_cache::{CacheError, Put, Receipt, Tier};
use futures_util::future::join;
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::{Says, Source, Watch};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);
const QUEUED: Namespace<u64> = Namespace::new("queued", POLICY.with_offline_writes(OfflineWrites::Queue));
const HURRIED: Namespace<u64> =
    Namespace::new("hurried", POLICY.with_timeouts(None, Duration::from_millis(300)));
/// By then, debts are paid after a partition has healed.
const SETTLED: Duration = Duration::from_secs(4);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&QUEUED).namespace(&HURRIED)
    })
    .await
}

fn key(id: u64) -> Key<u64> {
    NUMBERS.key(&[("id", &id)])
}

#[tokio::test(start_paused = true)]
async fn without_the_shared_store_a_get_is_unavailable_and_not_a_miss() {
    let fleet = fleet().await;
    fleet.hub.partition("node-0", Cut::Data);
    let answer = fleet.nodes[0].get(&key(1)).await;
    assert!(matches!(answer, Err(CacheError::Unavailable(_))), "{answer:?}");
    fleet.hub.heal("node-0");
    assert!(fleet.nodes[0].get(&key(1)).await.expect("answered").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_shared_store_the_loader_answers_every_time_and_nothing_is_kept() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(7));
    fleet.hub.partition("node-0", Cut::Data);
    for calls in 1..=3 {
        let answer = node
            .get_or_load(&key(1), source.loader())
            .await
            .expect("loaded")
            .expect("there");
        assert_eq!((*answer, answer.tier(), source.calls()), (7, Tier::Source, calls));
        assert!(node.peek(&key(1)).expect("registered").is_none());
    }
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    assert!(node.get(&key(1)).await.expect("get").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_a_loader_that_joins_one_without_asks_its_loader_when_the_store_is_away() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], key(1), Source::of(7));
    fleet.hub.partition("node-0", Cut::Data);
    let asked = Instant::now();
    let plain = join(node.get(&key), node.get(&key));
    let loading = join(
        node.get_or_load(&key, source.loader()),
        node.get_or_load(&key, source.loader()),
    );
    let ((first, _), (one, other)) = join(plain, loading).await;
    assert!(matches!(first, Err(CacheError::Unavailable(_))), "{first:?}");
    for loaded in [one, other] {
        assert_eq!(loaded.expect("loaded").as_deref(), Some(&7));
    }
    assert!(asked.elapsed() <= Duration::from_secs(3), "{:?}", asked.elapsed());
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_a_loader_waits_for_one_without_only_as_long_as_for_the_store_itself() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(7));
    // The store hangs: a read without a loader waits for it to the end of its time.
    let hanging = Duration::from_secs(60);
    fleet.hub.set_faults(Faults {
        request_delay: hanging..=hanging,
        ..Faults::NONE
    });
    let asked = Instant::now();
    let (_, loaded) = join(node.get(&key(1)), async {
        let loaded = node.get_or_load(&key(1), source.loader()).await;
        (loaded, asked.elapsed())
    })
    .await;
    assert_eq!(loaded.0.expect("loaded").as_deref(), Some(&7));
    assert!(loaded.1 <= Duration::from_millis(2_100), "{:?}", loaded.1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_without_a_loader_that_joins_one_with_is_not_told_that_the_load_failed() {
    let fleet = fleet().await;
    let (node, source) = (
        &fleet.nodes[0],
        Source::saying(Says::Error).slow(Duration::from_millis(50)),
    );
    let (loading, plain) = join(node.get_or_load(&key(1), source.loader()), node.get(&key(1))).await;
    assert!(matches!(loading, Err(CacheError::Load(_))), "{loading:?}");
    assert!(plain.expect("the store says that it has none").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_longer_than_the_hard_timeout_leaves_the_loader_its_turn() {
    let fleet = fleet().await;
    let (asked, source) = (Instant::now(), Source::of(7).slow(Duration::from_millis(100)));
    fleet.hub.partition("node-0", Cut::Data);
    let answer = fleet.nodes[0]
        .get_or_load(&HURRIED.key(&[("id", &1)]), source.loader())
        .await;
    assert_eq!(answer.expect("loaded").as_deref(), Some(&7));
    assert!(asked.elapsed() <= Duration::from_millis(300));
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_without_the_shared_store_holds_here_at_once_and_everywhere_after_the_outage() {
    let fleet = fleet().await;
    let (node, other, source) = (&fleet.nodes[0], &fleet.nodes[1], Source::of(2));
    node.put(&key(1), 1).await.expect("put");
    other.get(&key(1)).await.expect("get").expect("in memory of both");
    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.invalidate(&key(1)).await.expect("owed"), Receipt::Queued);
    assert_eq!(node.stats().owed, 1);
    assert!(
        node.peek(&key(1)).expect("registered").is_none(),
        "not from memory"
    );
    let answer = node.get_or_load(&key(1), source.loader()).await.expect("loaded");
    assert_eq!(answer.as_deref(), Some(&2), "not from the shared store");
    assert_eq!(
        other.get(&key(1)).await.expect("get").as_deref(),
        Some(&1),
        "the other cannot know"
    );
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    assert_eq!(node.stats().owed, 0);
    for node in &fleet.nodes {
        assert!(node.get(&key(1)).await.expect("get").is_none());
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_whose_caller_went_away_is_published_all_the_same() {
    let fleet = fleet().await;
    let (node, other) = (&fleet.nodes[0], &fleet.nodes[1]);
    for id in [1, 2] {
        node.put(&key(id), 1).await.expect("put");
        other
            .get(&key(id))
            .await
            .expect("get")
            .expect("in memory of both");
    }
    fleet.hub.partition("node-0", Cut::Data);
    let patience = Duration::from_millis(10);
    assert!(
        tokio::time::timeout(patience, node.invalidate(&key(1)))
            .await
            .is_err()
    );
    assert!(
        tokio::time::timeout(patience, node.invalidate_tag("vast"))
            .await
            .is_err()
    );
    assert_eq!(node.stats().owed, 3, "the key, and the tag in both lanes");
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    assert_eq!(node.stats().owed, 0);
    assert!(other.get(&key(1)).await.expect("get").is_none());
    assert!(other.get(&key(2)).await.expect("get").is_some());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_a_shutdown_leaves_unpublished_is_not_called_queued() {
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    fleet.hub.partition("node-0", Cut::Data);
    // Both are under way when the node looks for the last time at what it owes, and are owed only after that.
    let (key, tag) = (key(1), "vast");
    let told = futures_util::future::join3(node.invalidate(&key), node.invalidate_tag(tag), node.shutdown());
    let (key, tag, ()) = told.await;
    assert!(matches!(key, Err(CacheError::Closed)), "{key:?}");
    assert!(matches!(tag, Err(CacheError::Closed)), "{tag:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_cleared_without_the_shared_store_is_empty_here_at_once_and_everywhere_later() {
    let fleet = fleet().await;
    let (node, other) = (&fleet.nodes[0], &fleet.nodes[1]);
    node.put(&key(1), 1).await.expect("put");
    other.get(&key(1)).await.expect("get").expect("in memory of both");
    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.clear(&NUMBERS).await.expect("owed"), Receipt::Queued);
    assert!(node.peek(&key(1)).expect("registered").is_none());
    fleet.hub.heal("node-0");
    // The debt may not be paid yet, and the record is still there: it must not come back.
    assert!(node.get(&key(1)).await.expect("get").is_none());
    sleep(SETTLED).await;
    for node in &fleet.nodes {
        assert!(node.get(&key(1)).await.expect("get").is_none());
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_without_the_shared_store_is_refused_or_becomes_an_invalidation_as_the_policy_says() {
    let fleet = fleet().await;
    let (node, other, queued) = (&fleet.nodes[0], &fleet.nodes[1], QUEUED.key(&[("id", &1)]));
    other.put(&queued, 1).await.expect("put");
    other.put(&key(1), 1).await.expect("put");
    fleet.hub.partition("node-0", Cut::Data);
    let refused = node.put(&key(1), 2).await;
    assert!(matches!(refused, Err(CacheError::Unavailable(_))), "{refused:?}");
    assert_eq!(node.put(&queued, 2).await.expect("owed"), Receipt::Queued);
    let conditional = node.put_if(&queued, cache_core::Seq(1), 2).await;
    assert!(
        matches!(conditional, Err(CacheError::Unavailable(_))),
        "a condition cannot be queued: {conditional:?}"
    );
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    for node in &fleet.nodes {
        assert!(node.get(&queued).await.expect("get").is_none());
        assert_eq!(node.get(&key(1)).await.expect("get").as_deref(), Some(&1));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_in_a_known_outage_fails_at_once() {
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    fleet.hub.partition("node-0", Cut::Both);
    assert_eq!(node.invalidate(&key(1)).await.expect("owed"), Receipt::Queued);
    sleep(Duration::from_secs(5)).await;
    for _ in 0..3 {
        let asked = Instant::now();
        let refused = node.put(&key(1), 2).await;
        assert!(matches!(refused, Err(CacheError::Unavailable(_))), "{refused:?}");
        assert!(
            asked.elapsed() <= Duration::from_millis(10),
            "{:?}",
            asked.elapsed()
        );
    }
    fleet.hub.heal("node-0");
    assert!(node.ready(Duration::from_secs(10)).await);
    node.put(&key(1), 2).await.expect("published");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn more_debts_than_can_be_kept_become_flushes_and_none_is_forgotten() {
    let fleet = fleet().await;
    let (node, other) = (&fleet.nodes[0], &fleet.nodes[1]);
    let keys: Vec<_> = (0..10_100).map(key).collect();
    for key in keys.iter().step_by(101) {
        node.put(key, 1).await.expect("put");
        other.get(key).await.expect("get").expect("in memory of both");
    }
    let untouched = QUEUED.key(&[("id", &7)]);
    node.put(&untouched, 1).await.expect("put");
    fleet.hub.partition("node-0", Cut::Data);
    let receipts = node.invalidate_many(&keys).await.expect("owed");
    assert!(receipts.iter().all(|receipt| *receipt == Receipt::Queued));
    let stats = node.stats();
    assert!(
        stats.collapses > 0 && stats.owed <= 10_065,
        "{} owed, {} collapsed",
        stats.owed,
        stats.collapses
    );
    assert!(
        keys.iter()
            .all(|key| node.peek(key).expect("registered").is_none())
    );
    fleet.hub.heal("node-0");
    sleep(SETTLED).await;
    assert_eq!(node.stats().owed, 0);
    assert!(other.stats().events[1].flushes > 0);
    for key in keys.iter().step_by(101) {
        assert!(other.get(key).await.expect("get").is_none() && node.get(key).await.expect("get").is_none());
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_half_open_bus_ends_memory_hits_with_the_lease_and_the_shared_store_answers() {
    let fleet = fleet().await;
    let (node, other) = (&fleet.nodes[0], &fleet.nodes[1]);
    node.put(&key(1), 1).await.expect("put");
    fleet.hub.partition("node-0", Cut::Bus);
    other.put(&key(1), 2).await.expect("put");
    sleep(Duration::from_secs(3)).await;
    let answer = node.get(&key(1)).await.expect("get").expect("there");
    assert_eq!((*answer, answer.tier()), (2, Tier::L2));
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

/// Overwrites a record with these bytes, as a broken client would.
async fn vandalize(hub: &Hub, key: &Key<u64>, body: &[u8]) {
    let (vandal, shard) = (hub.endpoint("vandal"), key.shard(ShardCount::DEFAULT));
    let reply = vandal
        .read(shard, &[key.raw().clone()], ReadFrom::Primary)
        .await
        .expect("read");
    let change = Change {
        key: key.raw().clone(),
        record: Some(NewRecord {
            body: body.into(),
            ttl: Duration::from_secs(300),
        }),
        expect: Expect::Any,
        propagation: Propagation::Invalidate,
    };
    let lineage = reply.head.expect("a head").lineage;
    let write = Write {
        shard,
        lineage,
        id: EventId(99),
        op: Op::Change(vec![change]),
    };
    vandal.write(write).await.expect("written");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_a_counted_miss_that_the_next_load_heals() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(7));
    node.put(&key(1), 1).await.expect("put");
    let reply = fleet
        .hub
        .endpoint("reader")
        .read(
            key(1).shard(ShardCount::DEFAULT),
            &[key(1).raw().clone()],
            ReadFrom::Primary,
        )
        .await;
    let good = reply.expect("read").answer.expect("live")[0]
        .clone()
        .expect("there")
        .body;
    let cut_short = &good[..good.len() / 2];
    for (count, damaged) in [(1, &b""[..]), (2, b"\xff\xff\xff\xff garbage"), (3, cut_short)] {
        vandalize(&fleet.hub, &key(1), damaged).await;
        sleep(Duration::from_millis(1)).await;
        assert!(node.get(&key(1)).await.expect("a miss").is_none());
        assert_eq!(node.stats().total().unusable, count);
    }
    assert_eq!(
        node.get_or_load(&key(1), source.loader())
            .await
            .expect("loaded")
            .as_deref(),
        Some(&7)
    );
    assert_eq!(
        fleet.nodes[1].get(&key(1)).await.expect("healed").as_deref(),
        Some(&7)
    );
    assert_eq!(source.calls(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_schema_is_a_counted_miss_that_the_next_load_heals() {
    const AS_TEXT: Namespace<String> = Namespace::new("numbers", POLICY);
    let mut fleet = fleet().await;
    let older = fleet.join(|builder| builder.namespace(&AS_TEXT)).clone();
    assert!(older.ready(Duration::from_secs(5)).await);
    older
        .put(&AS_TEXT.key(&[("id", &1)]), "one".to_owned())
        .await
        .expect("put");
    sleep(Duration::from_millis(1)).await;
    let (node, source) = (&fleet.nodes[0], Source::of(1));
    assert!(node.get(&key(1)).await.expect("a miss").is_none());
    assert_eq!(
        node.get_or_load(&key(1), source.loader())
            .await
            .expect("loaded")
            .as_deref(),
        Some(&1)
    );
    assert_eq!((node.stats().total().unusable, source.calls()), (2, 1));
    assert_eq!(
        fleet.nodes[1].get(&key(1)).await.expect("healed").as_deref(),
        Some(&1)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_after_the_outage_is_not_dropped_by_an_older_invalidation_that_was_queued() {
    let fleet = fleet().await;
    let (node, tagged) = (&fleet.nodes[0], NUMBERS.key(&[("id", &2)]));
    node.put(&key(1), 1).await.expect("published");
    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.invalidate(&key(1)).await.expect("owed"), Receipt::Queued);
    assert_eq!(node.invalidate_tag("tag").await.expect("owed"), Receipt::Queued);
    fleet.hub.heal("node-0");
    node.put(&key(1), 9).await.expect("published");
    node.put(&tagged, Put::new(9).with_tag("tag"))
        .await
        .expect("published");
    for key in [&key(1), &tagged] {
        assert_eq!(node.get(key).await.expect("answered").as_deref(), Some(&9));
    }
    sleep(SETTLED).await;
    assert_eq!(node.stats().owed, 0);
    for key in [&key(1), &tagged] {
        for node in &fleet.nodes {
            assert_eq!(node.get(key).await.expect("answered").as_deref(), Some(&9));
        }
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_reads_panic_is_an_error_and_not_an_endless_loop() {
    let watch = Watch::default();
    let options = FleetOptions {
        shared: watch.wrap(),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await;
    watch.panic_on_reads();
    let answer = fleet.nodes[0].get(&key(1)).await;
    assert!(matches!(answer, Err(CacheError::Unavailable(_))), "{answer:?}");
    assert_eq!(fleet.nodes[0].stats().total().memory.in_flight, 0);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_at_the_very_end_costs_no_answer_that_the_loader_gave_and_no_time() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], HURRIED.key(&[("id", &1)]));
    let source = Source::of(7).slow(Duration::from_millis(100));
    fleet.hub.set_faults(patient());
    let asked = Instant::now();
    let (answer, ()) = join(node.get_or_load(&key, source.loader()), async {
        sleep(Duration::from_millis(50)).await;
        fleet.hub.partition("node-0", Cut::Data);
    })
    .await;
    assert_eq!(answer.expect("the loader answered").as_deref(), Some(&7));
    assert!(
        asked.elapsed() <= Duration::from_millis(310),
        "took {:?}",
        asked.elapsed()
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_ends_with_the_hard_timeout() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], HURRIED.key(&[("id", &1)]));
    fleet.hub.set_faults(patient());
    fleet.hub.partition("node-0", Cut::Data);
    let asked = Instant::now();
    let answer = node.put(&key, 1).await;
    assert!(matches!(answer, Err(CacheError::Uncertain(_))), "{answer:?}");
    assert!(
        asked.elapsed() <= Duration::from_millis(310),
        "took {:?}",
        asked.elapsed()
    );
    fleet.shutdown().await;
}

/// Requests that get lost are given up by their caller, and by nobody before.
fn patient() -> Faults {
    Faults {
        timeout: Duration::from_secs(10),
        ..Faults::NONE
    }
}
