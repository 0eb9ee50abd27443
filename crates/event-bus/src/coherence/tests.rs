//! What the followers' decisions mean for readers: leases, generations, barriers, and the order of deeds.
//!
//! Driven by hand, without a bus; the lane's task has tests of its own.

use std::sync::atomic::AtomicUsize;

use cache_core::{
    BusMessage, CacheEvent, ChangedKey, EventId, EventKind, EventOp, HeadOf, Inbox as _, ManualClock, Tag,
};
use futures_util::{FutureExt as _, StreamExt as _};
use testkit::{BULK, EntryBuilder, keys_in};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::rules::Rule;
use crate::{Delivery, EventStream, Filter};

const LANE: Lane = Lane::Bulk;
const SERVER: ServerId = ServerId(1);
const LINEAGE: Lineage = Lineage(1);

/// Writes down what it is told, and whether anybody had been told of an event by then.
#[derive(Default)]
struct Notes {
    changes: Mutex<Vec<(CacheKey, u64, u64)>>,
    dispatcher: Mutex<Option<Arc<Dispatcher>>>,
    announced_before: AtomicUsize,
}

impl Replica for Notes {
    fn announced(&self, _: &CacheEvent) {}

    fn changed(&self, change: Changed<'_>) {
        let note = (change.key.clone(), change.version.seq.0, change.generation);
        self.changes.lock().expect("not poisoned").push(note);
        if let Some(dispatcher) = &*self.dispatcher.lock().expect("not poisoned") {
            self.announced_before
                .fetch_add(dispatcher.backlog(), Ordering::Relaxed);
        }
    }
}

struct Scene {
    lane: Coherence,
    clock: ManualClock,
    notes: Arc<Notes>,
    stream: EventStream,
}

impl Scene {
    fn new() -> Self {
        Self::under(Rules::default())
    }

    fn under(rules: Rules) -> Self {
        let notes = Arc::new(Notes::default());
        Self::of(rules, Arc::clone(&notes) as _, notes)
    }

    fn of(rules: Rules, replica: Arc<dyn Replica>, notes: Arc<Notes>) -> Self {
        let clock = ManualClock::new();
        let dispatcher = Arc::new(Dispatcher::new(CancellationToken::new()));
        *notes.dispatcher.lock().expect("not poisoned") = Some(Arc::clone(&dispatcher));
        let stream = dispatcher.events(Filter::all());
        let lane = Coherence::with_rules(
            LANE,
            ShardCount::DEFAULT,
            Timing::default(),
            Arc::new(clock.clone()),
            replica,
            dispatcher,
            rules,
        );
        Self {
            lane,
            clock,
            notes,
            stream,
        }
    }

    /// A lane that follows every shard from number 10 on.
    fn followed() -> Self {
        let scene = Self::new();
        scene.beat(10);
        scene
    }

    fn beat(&self, seq: u64) {
        let heads = ShardCount::DEFAULT.all(LANE).map(|shard| HeadOf {
            shard,
            server: SERVER,
            head: Some(head(seq)),
        });
        let heads = Heads {
            time: ServerTime(1_000_000),
            heads: heads.collect(),
        };
        self.lane.on_heads(&self.lane.ask_all(), &heads);
    }

    fn changes(&self) -> Vec<(CacheKey, u64, u64)> {
        std::mem::take(&mut self.notes.changes.lock().expect("not poisoned"))
    }
}

const fn head(seq: u64) -> Head {
    Head {
        lineage: LINEAGE,
        seq: Seq(seq),
        id: EventId(seq),
        floor: Seq::ZERO,
        mark: cache_core::ServerMark(0),
    }
}

const fn event(shard: Shard, seq: u64, op: EventOp) -> WireEvent {
    WireEvent {
        shard,
        lineage: LINEAGE,
        seq: Seq(seq),
        id: EventId(seq),
        prev: EventId(seq - 1),
        origin: cache_core::RegionId::HERE,
        op,
    }
}

fn changed(key: &CacheKey) -> EventOp {
    EventOp::Changed(vec![ChangedKey {
        key: key.clone(),
        record: None,
    }])
}

fn announced() -> EventOp {
    let event = CacheEvent::new(EventKind::PricingUpdated, "a");
    EventOp::Announced(
        serde_json::to_vec(&event)
            .expect("an event can be written")
            .into(),
    )
}

fn shard() -> Shard {
    BULK.key(&[("id", &0)]).shard(ShardCount::DEFAULT)
}

fn barriers() -> Shard {
    Shard::barriers(LANE)
}

fn raised(tag: &str) -> EventOp {
    EventOp::Raised(Barrier::Tag(Tag::new(tag)))
}

fn stamp(seq: u64) -> BarrierStamp {
    BarrierStamp {
        lineage: LINEAGE,
        seq: Seq(seq),
    }
}

fn tag_key(tag: &str) -> CacheKey {
    Barrier::Tag(Tag::new(tag)).key()
}

#[test]
fn at_the_very_end_of_the_lease_a_hit_is_refused() {
    let scene = Scene::followed();
    let left = scene.lane.lease(shard()).since(scene.clock.now());
    scene.clock.advance(left - Duration::from_nanos(1));
    assert!(scene.lane.leased(shard()));
    scene.clock.advance(Duration::from_nanos(1));
    assert!(!scene.lane.leased(shard()));
}

#[test]
fn a_hit_needs_the_lease_of_the_barriers_as_well() {
    let scene = Scene::new();
    let ask = |shard| {
        let probe = scene.lane.probe(shard);
        scene
            .lane
            .observe(shard, &probe, Source::Bus, SERVER, Some(head(10)));
    };
    ask(shard());
    assert!(!scene.lane.leased(shard()));
    assert_eq!(scene.lane.lease(shard()), Moment::NEVER);
    ask(barriers());
    assert!(scene.lane.leased(shard()));
}

#[test]
fn after_a_freeze_nothing_is_leased_before_a_new_answer_came() {
    let scene = Scene::followed();
    scene.clock.advance(Timing::default().lease * 2);
    assert!(!scene.lane.leased(shard()));
    scene.beat(10);
    assert!(scene.lane.leased(shard()));
}

#[test]
fn without_lease_for_any_copy_a_node_that_missed_events_asks_copies_that_miss_them_too() {
    for (rules, expected) in [
        (Rules::default(), ReadFrom::Primary),
        (Rules::without(Rule::LeaseForAnyCopy), ReadFrom::Any),
    ] {
        let scene = Scene::under(rules);
        scene.beat(10);
        assert_eq!(scene.lane.copy_to_ask(shard()), ReadFrom::Any);
        scene.clock.advance(Timing::default().lease);
        assert_eq!(scene.lane.copy_to_ask(shard()), expected);
    }
}

#[test]
fn only_the_newest_change_of_a_key_in_a_batch_is_applied() {
    let scene = Scene::followed();
    let keys = keys_in(shard(), 2);
    scene.lane.on_events([
        event(shard(), 11, changed(&keys[0])),
        event(shard(), 13, changed(&keys[0])),
        event(shard(), 12, changed(&keys[1])),
    ]);
    let mut changes = scene.changes();
    changes.sort_by_key(|(_, seq, _)| *seq);
    assert_eq!(changes, [(keys[1].clone(), 12, 1), (keys[0].clone(), 13, 1)]);
}

#[test]
fn whoever_is_told_of_an_event_finds_the_whole_batch_applied() {
    let mut scene = Scene::followed();
    let key = keys_in(shard(), 1).remove(0);
    let other = ShardCount::DEFAULT
        .all(LANE)
        .find(|other| *other != shard())
        .expect("there are many");
    scene.lane.on_events([
        event(other, 11, announced()),
        event(shard(), 11, announced()),
        event(shard(), 12, changed(&key)),
    ]);
    assert_eq!(scene.changes().len(), 1);
    assert_eq!(scene.notes.announced_before.load(Ordering::Relaxed), 0);
    let told = std::iter::from_fn(|| scene.stream.next().now_or_never());
    assert_eq!(told.count(), 2);
}

#[test]
fn an_announcement_that_cannot_be_read_is_missed_and_not_ignored() {
    let mut scene = Scene::followed();
    scene
        .lane
        .on_events([event(shard(), 11, EventOp::Announced([0xff].into()))]);
    let told = scene.stream.next().now_or_never().flatten();
    assert!(matches!(told, Some(Delivery::Missed { .. })));
}

#[test]
fn a_flush_raises_the_generation_of_its_shard_alone() {
    let scene = Scene::followed();
    let other = ShardCount::DEFAULT
        .all(LANE)
        .find(|other| *other != shard())
        .expect("there are many");
    let before = (scene.lane.generation(shard()), scene.lane.generation(other));
    scene.lane.on_events([event(shard(), 11, EventOp::Unknown)]);
    assert_eq!(scene.lane.generation(shard()), before.0 + 1);
    assert_eq!(scene.lane.generation(other), before.1);
}

#[test]
fn a_raised_barrier_kills_what_was_stamped_before_it_and_nothing_else() {
    let scene = Scene::followed();
    let entry = EntryBuilder::as_of(10).value(1_u64).build();
    let mut entry = Arc::into_inner(entry).expect("nobody else has it yet");
    entry.tags = [Tag::new("eu")].into();
    entry.stamp = stamp(10);
    let namespace = Barrier::Everything.key();
    assert!(scene.lane.barriers_allow(&entry, &namespace));
    scene.lane.on_events([event(barriers(), 11, raised("us"))]);
    assert!(scene.lane.barriers_allow(&entry, &namespace));
    scene.lane.on_events([event(barriers(), 12, raised("eu"))]);
    assert!(!scene.lane.barriers_allow(&entry, &namespace));
    assert_eq!(scene.lane.judge(stamp(12), &[tag_key("eu")]), Standing::Valid);
}

#[test]
fn a_barrier_that_came_early_is_not_forgotten_when_events_were_dropped() {
    let scene = Scene::followed();
    scene.lane.on_events([event(barriers(), 12, raised("eu"))]);
    assert_eq!(scene.lane.judge(stamp(10), &[tag_key("eu")]), Standing::Dead);
    scene.lane.on_lagged(barriers());
    assert_ne!(scene.lane.judge(stamp(10), &[tag_key("eu")]), Standing::Valid);
    scene.lane.on_events([event(barriers(), 11, raised("us"))]);
    assert_eq!(scene.lane.probe(barriers()).seen, Seq(12));
    assert_ne!(scene.lane.judge(stamp(10), &[tag_key("eu")]), Standing::Valid);
}

/// Writes down which changes came with a value.
#[derive(Default)]
struct Carried(Mutex<Vec<(Seq, bool)>>);

impl Replica for Carried {
    fn announced(&self, _: &CacheEvent) {}

    fn changed(&self, change: Changed<'_>) {
        let carried = (change.version.seq, change.record.is_some());
        self.0.lock().expect("not poisoned").push(carried);
    }
}

#[test]
fn a_value_that_comes_after_the_flush_that_killed_it_is_not_taken() {
    let carried = Arc::new(Carried::default());
    let scene = Scene::of(Rules::default(), Arc::clone(&carried) as _, Arc::default());
    scene.beat(10);
    let carrying = |seq| {
        let record = Record {
            version: Seq(seq),
            expires: ServerTime(2_000_000),
            body: Arc::from([]),
        };
        let key = BULK.key(&[("id", &0)]).raw().clone();
        event(
            shard(),
            seq,
            EventOp::Changed(vec![ChangedKey {
                key,
                record: Some(record),
            }]),
        )
    };
    scene.lane.on_events([event(shard(), 12, EventOp::Flushed)]);
    scene.lane.on_events([carrying(11)]);
    scene.lane.on_events([carrying(13)]);
    assert_eq!(
        *carried.0.lock().expect("not poisoned"),
        [(Seq(11), false), (Seq(13), true)]
    );
}

#[test]
fn a_barrier_that_a_flush_forgot_is_not_taken_for_known_when_the_hole_before_it_is_filled() {
    let unknown = |scene: &Scene| scene.lane.on_events([event(barriers(), 11, EventOp::Unknown)]);
    let dropped = |scene: &Scene| {
        scene.lane.on_lagged(barriers());
        scene.lane.on_events([event(barriers(), 11, raised("us"))]);
    };
    for flush in [&unknown as &dyn Fn(&Scene), &dropped] {
        let scene = Scene::followed();
        scene.lane.on_events([event(barriers(), 13, raised("eu"))]);
        flush(&scene);
        scene.lane.on_events([event(barriers(), 12, raised("eu"))]);
        assert_eq!(scene.lane.probe(barriers()).seen, Seq(13));
        assert_ne!(scene.lane.judge(stamp(12), &[tag_key("eu")]), Standing::Valid);
        assert_eq!(scene.lane.judge(stamp(13), &[tag_key("eu")]), Standing::Valid);
    }
}

#[test]
fn another_server_with_the_same_history_keeps_the_barriers() {
    let scene = Scene::followed();
    scene.lane.on_events([event(barriers(), 11, raised("eu"))]);
    let probe = scene.lane.probe(barriers());
    scene
        .lane
        .observe(barriers(), &probe, Source::Bus, ServerId(2), Some(head(11)));
    assert_eq!(scene.lane.judge(stamp(10), &[tag_key("eu")]), Standing::Dead);
    assert_eq!(scene.lane.judge(stamp(10), &[tag_key("us")]), Standing::Valid);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_while_another_server_is_verified() {
    let scene = Scene::followed();
    let probe = scene.lane.probe(shard());
    scene
        .lane
        .observe(shard(), &probe, Source::Bus, ServerId(2), Some(head(12)));
    assert!(!scene.lane.followed(shard(), Duration::from_secs(1)).await);
    let replay = Replay {
        server: ServerId(2),
        head: Some(head(12)),
        entries: (10..=12)
            .map(|seq| cache_core::LogEntry {
                seq: Seq(seq),
                id: EventId(seq),
                origin: cache_core::RegionId::HERE,
                op: announced(),
            })
            .collect(),
    };
    let verify = async { scene.lane.replayed(shard(), &scene.lane.probe(shard()), replay) };
    let (followed, ()) = tokio::join!(scene.lane.followed(shard(), Duration::from_secs(1)), verify);
    assert!(followed, "and is woken when it is");
}

#[test]
fn what_is_left_of_a_records_life_is_rounded_down_by_the_age_of_the_servers_time() {
    let scene = Scene::new();
    assert_eq!(
        scene.lane.remaining(ServerTime(1_005_000), scene.clock.now()),
        Duration::ZERO
    );
    scene.beat(10);
    scene.clock.advance(Duration::from_secs(2));
    let left = scene.lane.remaining(ServerTime(1_005_000), scene.clock.now());
    assert_eq!(left, Duration::from_millis(2_999));
}

#[test]
fn an_inbox_that_overflows_flushes_the_shard_of_what_was_dropped() {
    let scene = Scene::followed();
    let inbox = crate::inbox::LaneInbox::new(1, Rules::default());
    for seq in 11..=13 {
        inbox.deliver(BusMessage::Event(event(shard(), seq, announced())));
    }
    let batch = inbox.drain();
    scene.lane.on_events(batch.events);
    for shard in batch.lagged {
        scene.lane.on_lagged(shard);
    }
    assert_eq!(scene.lane.generation(shard()), 2);
    let replay = Chore::Replay {
        shard: shard(),
        from: Seq(11),
    };
    assert_eq!(scene.lane.take_chores(), [replay]);
}

#[test]
fn a_panic_while_an_event_is_applied_flushes_its_shard_and_tells_subscribers() {
    struct Brittle;
    impl Replica for Brittle {
        fn announced(&self, _: &CacheEvent) {}

        fn changed(&self, _: Changed<'_>) {
            panic!("as the test wants it");
        }
    }
    let mut scene = Scene::of(Rules::default(), Arc::new(Brittle), Arc::default());
    scene.beat(10);
    let (before, key) = (scene.lane.generation(shard()), BULK.key(&[("id", &0)]));
    scene.lane.on_events([event(shard(), 11, changed(key.raw()))]);
    assert!(scene.lane.generation(shard()) > before);
    let delivery = scene.stream.next().now_or_never();
    assert!(
        matches!(delivery, Some(Some(Delivery::Missed { .. }))),
        "{delivery:?}"
    );
    scene.lane.on_events([event(barriers(), 11, announced())]);
    let delivery = scene.stream.next().now_or_never();
    assert!(
        matches!(delivery, Some(Some(Delivery::Event(_)))),
        "the lane lives on: {delivery:?}"
    );
}

#[test]
fn what_was_read_of_a_barrier_before_a_flush_is_worth_nothing_after_it() {
    let scene = Scene::followed();
    let (tag, probe) = (tag_key("a"), scene.lane.probe(barriers()));
    assert!(scene.lane.learn_barriers(&probe, [(tag.clone(), Seq(5))]));
    assert_eq!(
        scene.lane.judge(stamp(8), std::slice::from_ref(&tag)),
        Standing::Valid
    );
    scene.lane.on_lagged(barriers());
    assert!(!scene.lane.learn_barriers(&probe, [(tag.clone(), Seq(5))]));
    assert_eq!(scene.lane.judge(stamp(8), &[tag]), Standing::Unknown);
}
