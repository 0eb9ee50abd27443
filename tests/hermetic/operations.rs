//! What an operator sees of a cache, and how it ends.
//!
//! Single counters are checked where what they count is tested.

use std::time::Duration;

use cache_core::{Namespace, Policy};
use cache_memory::Cut;
use edge_cache::{CacheError, Receipt, Status};
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::{Source, Watch};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);
const OTHERS: Namespace<u64> = Namespace::new("others", POLICY);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&OTHERS)
    })
    .await
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn counters_are_kept_by_namespace_and_add_up() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(1));
    let (here, there) = (NUMBERS.key(&[("id", &1)]), OTHERS.key(&[("id", &1)]));
    node.get_or_load(&here, source.loader()).await.expect("loaded");
    for _ in 0..3 {
        node.get(&here).await.expect("get");
    }
    node.put(&there, 1).await.expect("put");
    node.get(&there).await.expect("get");
    node.invalidate(&there).await.expect("published");
    node.get(&there).await.expect("get");
    let stats = node.stats();
    let [(first, numbers), (second, others)] = stats.namespaces[..] else {
        panic!("two namespaces are registered");
    };
    assert_eq!((first, second), ("numbers", "others"));
    assert_eq!(
        (
            numbers.l1_hits,
            numbers.l1_misses,
            numbers.l2_misses,
            numbers.loads
        ),
        (3, 1, 1, 1)
    );
    assert_eq!(
        (
            others.l1_hits,
            others.l1_misses,
            others.puts,
            others.invalidations
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(
        (numbers.l1_hit_ratio(), numbers.l2_hit_ratio()),
        (Some(0.75), Some(0.0))
    );
    let total = stats.total();
    assert_eq!(
        (total.l1_hits, total.l1_misses, total.puts, total.loads),
        (4, 2, 1, 1)
    );
    assert_eq!((total.memory.entries, total.memory.in_flight), (1, 0));
    assert_eq!(total.memory.bytes, numbers.memory.bytes);
    assert_eq!(edge_cache::NamespaceStats::default().l1_hit_ratio(), None);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn health_tells_an_outage_from_a_lost_bus_and_from_debts() {
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    let health = node.health().await;
    assert_eq!(
        (health.status, health.bus_active, health.store.connected),
        (Status::Healthy, true, true)
    );
    assert_eq!((health.store.backend, health.event_queue), ("embedded", 0));

    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.health().await.status, Status::Down);
    assert_eq!(
        node.invalidate(&NUMBERS.key(&[("id", &1)])).await.expect("owed"),
        Receipt::Queued
    );
    fleet.hub.heal("node-0");
    let health = node.health().await;
    assert_eq!((health.status, health.stats.owed), (Status::Degraded, 1));
    sleep(Duration::from_secs(4)).await;
    assert_eq!(node.health().await.status, Status::Healthy);

    fleet.hub.partition("node-0", Cut::Bus);
    sleep(Duration::from_secs(10)).await;
    let health = node.health().await;
    assert_eq!((health.status, health.bus_active), (Status::Degraded, false));
    fleet.hub.heal("node-0");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.health().await.status, Status::Healthy);
    let before = node
        .health()
        .await
        .last_event_age
        .expect("its own lineages were events");
    fleet.nodes[1]
        .put(&NUMBERS.key(&[("id", &1)]), 1)
        .await
        .expect("put");
    sleep(Duration::from_millis(1)).await;
    let after = node.health().await.last_event_age.expect("one more");
    assert!(
        after <= Duration::from_millis(1) && before > after,
        "{before:?} {after:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn health_answers_soon_when_the_store_hangs_and_says_how_old_its_words_are() {
    let watch = Watch::default();
    let options = FleetOptions {
        nodes: 1,
        shared: watch.wrap(),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await;
    let node = &fleet.nodes[0];
    let most = Duration::from_millis(250);
    watch.hang_when_described(true);
    let asked = Instant::now();
    let health = node.health().await;
    assert!(asked.elapsed() <= most, "{:?}", asked.elapsed());
    assert_eq!((health.store.backend, health.store_age), ("unknown", None));
    watch.hang_when_described(false);
    let health = node.health().await;
    assert_eq!(
        (health.status, health.store.backend, health.store_age),
        (Status::Healthy, "embedded", Some(Duration::ZERO))
    );
    watch.hang_when_described(true);
    sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    let health = node.health().await;
    assert!(asked.elapsed() <= most, "{:?}", asked.elapsed());
    assert_eq!(
        (health.status, health.store.backend),
        (Status::Degraded, "embedded")
    );
    assert!(health.store_age >= Some(Duration::from_secs(1)), "{health:?}");
    // Without heartbeats, a store that is silent is away.
    fleet.hub.partition("node-0", Cut::Both);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(node.health().await.status, Status::Down);
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn ready_is_not_true_before_memory_may_answer() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(1));
    let kept = OTHERS.key(&[("id", &1)]);
    node.put(&kept, 1).await.expect("published");
    assert!(node.ready(Duration::ZERO).await);
    fleet.hub.partition("node-0", Cut::Both);
    sleep(Duration::from_secs(5)).await;
    // Loaded past the store, so it is owed an invalidation.
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    assert!(!node.ready(Duration::from_secs(5)).await, "there is no lease");
    fleet.hub.heal("node-0");
    assert!(node.ready(Duration::from_secs(10)).await);
    assert_eq!(node.stats().owed, 0);
    assert_eq!(node.peek(&kept).expect("registered").as_deref(), Some(&1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    assert_eq!(node.peek(&key).expect("registered").as_deref(), Some(&1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_paid_as_soon_as_the_store_is_heard_of_again() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    fleet.hub.partition("node-0", Cut::Both);
    node.invalidate(&key).await.expect("owed");
    sleep(Duration::from_secs(20)).await;
    fleet.hub.heal("node-0");
    let healed = Instant::now();
    assert!(node.ready(Duration::from_secs(10)).await);
    assert_eq!(node.stats().owed, 0);
    assert!(
        healed.elapsed() <= Duration::from_millis(2_500),
        "{:?}",
        healed.elapsed()
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_task_and_loads_under_way_with_them() {
    let before = tasks();
    let fleet = fleet().await;
    let source = Source::of(1).slow(Duration::from_secs(1));
    let (node, key) = (fleet.nodes[0].clone(), NUMBERS.key(&[("id", &1)]));
    let loader = source.loader();
    let reader = tokio::spawn(async move { node.get_or_load(&key, loader).await.map(drop) });
    let _subscription = fleet.nodes[0].on(edge_cache::Filter::all(), |_delivery| async {});
    sleep(Duration::from_millis(1)).await;
    assert!(tasks() > before);
    let started = Instant::now();
    fleet.shutdown().await;
    assert!(matches!(reader.await.expect("no panic"), Err(CacheError::Closed)));
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((source.dropped(), tasks()), (1, before));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_publishes_what_is_owed() {
    let fleet = fleet().await;
    let (node, other, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    other.put(&key, 1).await.expect("put");
    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.invalidate(&key).await.expect("owed"), Receipt::Queued);
    fleet.hub.heal("node-0");
    node.shutdown().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(node.stats().owed, 0);
    assert!(other.get(&key).await.expect("get").is_none());
    other.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_outage_ends_all_the_same() {
    let before = tasks();
    let fleet = fleet().await;
    fleet.hub.partition("node-0", Cut::Both);
    fleet.nodes[0]
        .invalidate(&NUMBERS.key(&[("id", &1)]))
        .await
        .expect("owed");
    let started = Instant::now();
    fleet.shutdown().await;
    assert!(
        started.elapsed() <= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    // What was on its way to the servers is theirs, and ends with them.
    drop(fleet);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn every_call_after_a_shutdown_says_that_the_cache_is_closed() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(1));
    fleet.shutdown().await;
    let started = Instant::now();
    assert!(matches!(node.get(&key).await, Err(CacheError::Closed)));
    assert!(matches!(node.put(&key, 1).await, Err(CacheError::Closed)));
    assert!(matches!(node.invalidate(&key).await, Err(CacheError::Closed)));
    assert!(matches!(node.invalidate_tag("eu").await, Err(CacheError::Closed)));
    assert!(matches!(node.expire(&key).await, Err(CacheError::Closed)));
    assert!(matches!(
        node.refresh(&key, source.loader()).await,
        Err(CacheError::Closed)
    ));
    assert_eq!((started.elapsed(), node.stats().owed), (Duration::ZERO, 0));
}
