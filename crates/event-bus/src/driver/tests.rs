//! The lane's task over the embedded backend, in paused time: subscribing anew, floods, and its end.
//!
//! What the events mean is tested with the follower.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use cache_core::{Heads, Inbox, Lane, Seq, ShardCount, SystemEntropy};
use cache_memory::{Cut, Endpoint, Faults, Hub};
use futures_util::FutureExt as _;
use testkit::{BULK, Scribe, VirtualClock, keys_in, sealed};
use tokio::task::JoinHandle;

use super::*;
use crate::{Changed, Dispatcher, Replica, Timing};

const LANE: Lane = Lane::Bulk;
const LONG: Duration = Duration::from_secs(600);
/// Events in a flood.
const FLOOD: usize = 2_000;

/// A node's way to the hub that counts what is asked.
struct Tap {
    node: Endpoint,
    subscriptions: AtomicUsize,
    beats: Arc<AtomicUsize>,
    inbox: Mutex<Weak<dyn Inbox>>,
    refuses: AtomicBool,
    logs: Arc<Logs>,
}

/// Reads of logs: how many there were, and whether they are refused.
#[derive(Default)]
struct Logs {
    asked: AtomicUsize,
    refused: AtomicBool,
}

struct TappedLink(Arc<dyn BusLink>, Arc<AtomicUsize>, Arc<Logs>);

#[async_trait]
impl EventBus for Tap {
    fn shards(&self) -> ShardCount {
        self.node.shards()
    }

    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError> {
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(too_late("subscription"));
        }
        *self.inbox.lock().expect("not poisoned") = Arc::downgrade(&inbox);
        let link = self.node.subscribe(lane, inbox).await?;
        Ok(Arc::new(TappedLink(
            link,
            Arc::clone(&self.beats),
            Arc::clone(&self.logs),
        )))
    }
}

#[async_trait]
impl BusLink for TappedLink {
    async fn heads(&self) -> Result<Heads, BusError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.heads().await
    }

    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        self.2.asked.fetch_add(1, Ordering::SeqCst);
        if self.2.refused.load(Ordering::SeqCst) {
            return Err(too_late("log"));
        }
        self.0.replay(shard, from).await
    }
}

/// What a memory does at a change.
type Then = Box<dyn FnMut(u64) + Send>;

/// A memory that may do something at each change.
#[derive(Default)]
struct Memory {
    changes: Mutex<Vec<u64>>,
    then: Mutex<Option<Then>>,
}

impl Replica for Memory {
    fn announced(&self, _: &cache_core::CacheEvent) {}

    fn changed(&self, change: Changed<'_>) {
        self.changes
            .lock()
            .expect("not poisoned")
            .push(change.version.seq.0);
        if let Some(then) = &mut *self.then.lock().expect("not poisoned") {
            then(change.version.seq.0);
        }
    }
}

struct Scene {
    hub: Hub,
    tap: Arc<Tap>,
    memory: Arc<Memory>,
    lane: Arc<Coherence>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Scene {
    /// A lane that is followed.
    async fn new() -> Self {
        let scene = Self::with_queue(1_024);
        assert!(scene.lane.ready(LONG).await);
        scene
    }

    fn with_queue(queue: usize) -> Self {
        let clock = Arc::new(VirtualClock::new());
        let hub = Hub::builder().clock(clock.clone()).build();
        let node = hub.endpoint("node");
        let tap = Arc::new(Tap {
            node: node.clone(),
            subscriptions: AtomicUsize::new(0),
            beats: Arc::default(),
            inbox: Mutex::new(Weak::<LaneInbox>::new()),
            refuses: AtomicBool::new(false),
            logs: Arc::default(),
        });
        let memory = Arc::new(Memory::default());
        let stop = CancellationToken::new();
        let dispatcher = Arc::new(Dispatcher::new(stop.clone()));
        let replica = Arc::clone(&memory) as Arc<dyn Replica>;
        let lane = Arc::new(Coherence::new(
            LANE,
            tap.shards(),
            Timing::default(),
            clock,
            replica,
            dispatcher,
        ));
        let driver = Driver {
            coherence: Arc::clone(&lane),
            bus: Arc::clone(&tap) as _,
            store: Arc::new(node),
            entropy: Arc::new(SystemEntropy::seeded(1)),
            queue,
            stop: stop.clone(),
        };
        let task = tokio::spawn(driver.run());
        Self {
            hub,
            tap,
            memory,
            lane,
            stop,
            task,
        }
    }

    fn leased(&self) -> bool {
        self.lane.lease(shard()) > self.lane.probe(shard()).sent
    }

    fn subscriptions(&self) -> usize {
        self.tap.subscriptions.load(Ordering::SeqCst)
    }

    /// Another node, that writes in the lineage which this one has started.
    fn other(&self) -> Scribe {
        let store: Arc<dyn SharedStore> = Arc::new(self.hub.endpoint("other"));
        let lineage = self.lane.probe(shard()).lineage.expect("the shard is followed");
        Scribe::believing(&store, shard(), lineage)
    }

    /// Lets everything happen that can happen now.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn changes(&self) -> Vec<u64> {
        self.memory.changes.lock().expect("not poisoned").clone()
    }
}

fn shard() -> Shard {
    BULK.key(&[("id", &0)]).shard(ShardCount::DEFAULT)
}

#[tokio::test(start_paused = true)]
async fn a_new_store_is_created_and_followed_and_events_are_applied() {
    let scene = Scene::new().await;
    assert!(scene.leased() && scene.lane.connected());
    let head = scene.other().delete(&keys_in(shard(), 1)[0]).await;
    scene.settle().await;
    assert_eq!(scene.changes(), [head.seq.0]);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_the_lease_while_nothing_happens() {
    let scene = Scene::new().await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(scene.leased());
    }
    assert_eq!(scene.subscriptions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_subscription_is_made_anew_and_nothing_is_missed() {
    let scene = Scene::new().await;
    scene.hub.disconnect("node");
    let head = scene.other().delete(&keys_in(shard(), 1)[0]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(scene.subscriptions(), 2);
    assert_eq!(scene.changes(), [head.seq.0]);
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn after_three_unanswered_heartbeats_it_subscribes_anew() {
    let scene = Scene::new().await;
    scene.hub.partition("node", Cut::Bus);
    let heartbeat = Timing::default().heartbeat();
    tokio::time::sleep(heartbeat * 3).await;
    assert_eq!(scene.subscriptions(), 1);
    tokio::time::sleep(heartbeat * 2).await;
    assert!(scene.subscriptions() > 1);
    assert!(!scene.leased(), "the lease has run out by itself");
    scene.hub.heal("node");
    tokio::time::sleep(heartbeat * 5).await;
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_refuses_is_asked_again_with_growing_pauses() {
    let scene = Scene::new().await;
    scene.tap.refuses.store(true, Ordering::SeqCst);
    scene.hub.disconnect("node");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let tries = scene.subscriptions();
    assert!((20..30).contains(&tries), "{tries} tries in ten seconds");
    assert!(!scene.lane.connected());
    scene.tap.refuses.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn an_event_lost_on_an_idle_bus_is_applied_after_the_next_heartbeat() {
    let scene = Scene::new().await;
    scene.hub.set_faults(Faults {
        event_loss: cache_core::Permille(1_000),
        ..Faults::NONE
    });
    let head = scene.other().delete(&keys_in(shard(), 1)[0]).await;
    scene.hub.set_faults(Faults::NONE);
    scene.settle().await;
    assert!(scene.changes().is_empty());
    tokio::time::sleep(Timing::default().heartbeat()).await;
    scene.settle().await;
    assert_eq!(scene.changes(), [head.seq.0]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_keeps_no_answer_waiting() {
    let scene = Scene::new().await;
    let (writer, keys) = (scene.other(), keys_in(shard(), 2));
    scene.hub.set_faults(Faults {
        event_loss: cache_core::Permille(1_000),
        ..Faults::NONE
    });
    let lost = writer.delete(&keys[0]).await.seq.0;
    scene.hub.set_faults(Faults::NONE);
    writer.delete(&keys[1]).await;
    // Each change that is applied brings the next one: there is always an event to be taken.
    let (key, mut left) = (keys[1].clone(), FLOOD);
    *scene.memory.then.lock().expect("not poisoned") = Some(Box::new(move |_| {
        left = left.saturating_sub(1);
        if left > 0 {
            let deleted = writer.delete(&key).now_or_never();
            deleted.expect("a calm hub answers at once");
        }
    }));
    scene.settle().await;
    let changes = scene.changes();
    assert!(changes.len() >= FLOOD);
    let found = changes.iter().position(|seq| *seq == lost);
    assert!(found.is_some_and(|place| place < FLOOD / 10), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn more_events_than_fit_flush_their_shard_and_the_log_is_read() {
    let scene = Scene::with_queue(2);
    assert!(scene.lane.ready(LONG).await);
    let (other, key) = (scene.other(), keys_in(shard(), 1).remove(0));
    let before = scene.lane.generation(shard());
    for _ in 0..5 {
        other.set(&key, &sealed(&[1])).await;
    }
    scene.settle().await;
    assert_eq!(scene.lane.generation(shard()), before + 1);
    let head = other.head().await.expect("the shard has a head");
    assert_eq!(scene.changes().last(), Some(&head.seq.0));
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_refused_is_read_again_after_growing_pauses_though_events_go_on() {
    let scene = Scene::new().await;
    let (writer, keys) = (scene.other(), keys_in(shard(), 2));
    scene.tap.logs.refused.store(true, Ordering::SeqCst);
    scene.hub.set_faults(Faults {
        event_loss: cache_core::Permille(1_000),
        ..Faults::NONE
    });
    let lost = writer.delete(&keys[0]).await.seq.0;
    scene.hub.set_faults(Faults::NONE);
    for _ in 0..1_000 {
        writer.delete(&keys[1]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = scene.tap.logs.asked.load(Ordering::SeqCst);
    assert!(
        (10..30).contains(&asked),
        "{asked} reads in ten seconds of events"
    );
    assert!(!scene.leased(), "nothing proves that the gap is closed");
    scene.tap.logs.refused.store(false, Ordering::SeqCst);
    tokio::time::sleep(Timing::default().heartbeat() * 3).await;
    assert!(scene.changes().contains(&lost), "it is read once it can be");
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_lineage_is_taken_over_as_soon_as_its_event_comes() {
    let scene = Scene::new().await;
    let before = scene.lane.generation(shard());
    let next = scene.other().succeed(Seq::ZERO).await;
    scene.settle().await;
    assert_eq!(scene.lane.probe(shard()).lineage, Some(next.lineage()));
    assert!(scene.lane.generation(shard()) > before);
}

#[tokio::test(start_paused = true)]
async fn a_wiped_store_is_created_again() {
    let scene = Scene::new().await;
    let before = scene.lane.probe(shard());
    scene.hub.wipe();
    tokio::time::sleep(Timing::default().heartbeat() * 2).await;
    let after = scene.lane.probe(shard());
    assert!(after.lineage.is_some() && after.lineage != before.lineage);
    assert!(after.seen > before.seen, "no number is issued twice");
    assert!(scene.leased());
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_task_at_once_and_nothing_outlives_it() {
    let scene = Scene::new().await;
    scene.hub.partition("node", Cut::Bus);
    tokio::time::sleep(Timing::default().heartbeat()).await;
    let before = tokio::time::Instant::now();
    scene.stop.cancel();
    scene.task.await.expect("the task ends well");
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "although a heartbeat was unanswered"
    );
    let inbox = scene.tap.inbox.lock().expect("not poisoned").strong_count();
    assert_eq!(inbox, 0, "nobody holds the inbox");
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_pause_between_two_tries_as_well() {
    let scene = Scene::new().await;
    scene.tap.refuses.store(true, Ordering::SeqCst);
    scene.hub.disconnect("node");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = tokio::time::Instant::now();
    scene.stop.cancel();
    scene.task.await.expect("the task ends well");
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_stops_it_too() {
    let scene = Scene::new().await;
    scene.task.abort();
    assert!(scene.task.await.expect_err("it was dropped").is_cancelled());
    let inbox = scene.tap.inbox.lock().expect("not poisoned").strong_count();
    assert_eq!(inbox, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_shard_that_there_is_no_bus_to_follow_by() {
    let scene = Scene::with_queue(1_024);
    scene.tap.refuses.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    assert!(!scene.lane.followed(shard(), LONG).await);
    assert!(
        asked.elapsed() < Duration::from_millis(100),
        "{:?}",
        asked.elapsed()
    );
    assert!(
        !scene.lane.ready(Duration::from_secs(1)).await,
        "but who waits for it to be ready does"
    );
    scene.tap.refuses.store(false, Ordering::SeqCst);
    assert!(scene.lane.ready(LONG).await);
    assert!(scene.lane.followed(shard(), LONG).await);
    scene.stop.cancel();
    scene.task.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_ready_only_while_its_leases_stand() {
    let scene = Scene::new().await;
    scene.hub.partition("node", Cut::Bus);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!scene.lane.ready(Duration::from_secs(1)).await);
    scene.hub.heal("node");
    assert!(scene.lane.ready(LONG).await);
    assert!(scene.leased(), "from the very moment");
    scene.stop.cancel();
    scene.task.await.expect("it ends");
}
