//! What each fault of the wires and each command of the hub does to a node, and that a seed decides all of it.
//!
//! How a node should survive them is the protocol's concern and tested there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, BusLink, BusMessage, ErrorKind, EventBus, EventId, Head, Inbox, Lane, Lineage, Moment,
    Op, Permille, ReadFrom, Seq, Shard, SharedStore, Write,
};
use cache_memory::{Cut, Endpoint, Faults, Hub, Witness};
use testkit::{Recorder, Scribe, VirtualClock, keys_in, shards_in};
use tokio::time::{Instant, advance, timeout};

#[tokio::test(start_paused = true)]
async fn without_faults_events_are_delivered_during_the_write_and_no_time_passes() {
    let scene = Scene::new(1).await;
    let before = Instant::now();
    for value in 0..100 {
        scene.set(value).await;
        assert_eq!(scene.heard().last(), Some(&(u64::from(value) + 2)));
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn lost_events_never_arrive_and_the_log_has_them() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_loss: Permille(300),
        ..Faults::NONE
    });
    scene.set_many(200).await;
    let heard = scene.heard().len();
    assert!((100..180).contains(&heard), "{heard} of 200 arrived");
    let replay = scene
        .link
        .replay(scene.shard(), Seq(1))
        .await
        .expect("the bus works");
    assert_eq!(replay.entries.len(), 201);
}

#[tokio::test(start_paused = true)]
async fn late_events_arrive_in_order_after_their_delay() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(50),
        ..Faults::NONE
    });
    scene.set_many(20).await;
    assert_eq!(scene.heard(), [1]);
    advance(millis(5)).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=21).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_event_never_passes_a_late_one_even_when_the_faults_are_over() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(50),
        ..Faults::NONE
    });
    scene.set_many(5).await;
    scene.hub.set_faults(Faults::NONE);
    scene.set_many(5).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=11).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_the_tail_holds_up_those_behind_it() {
    let scene = Scene::new(1).await;
    let tail = Faults {
        tail: Permille(1000),
        tail_delay: millis(80)..=millis(80),
        ..Faults::NONE
    };
    scene.hub.set_faults(tail);
    scene.set(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(1)..=millis(1),
        ..Faults::NONE
    });
    scene.set(2).await;
    advance(millis(79)).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn doubled_events_arrive_twice() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        duplicate: Permille(1000),
        ..Faults::NONE
    });
    scene.set_many(10).await;
    scene.settle().await;
    let mut heard = scene.heard();
    heard.sort_unstable();
    let twice: Vec<u64> = [1]
        .into_iter()
        .chain((2..=11).flat_map(|seq| [seq, seq]))
        .collect();
    assert_eq!(heard, twice);
}

#[tokio::test(start_paused = true)]
async fn reordered_events_all_arrive_in_another_order() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        reorder: Permille(500),
        ..Faults::NONE
    });
    scene.set_many(50).await;
    scene.settle().await;
    let mut heard = scene.heard();
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert_eq!(heard, (1..=51).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_a_write_is_uncertain_after_the_timeout_and_the_effect_happened() {
    let scene = Scene::new(1).await;
    let before = Instant::now();
    scene.hub.set_faults(Faults {
        lost_reply: Permille(1000),
        ..Faults::NONE
    });
    let lost = scene.writer.write(scene.write(7)).await.expect_err("no reply");
    assert_eq!(lost.kind(), ErrorKind::Uncertain);
    assert_eq!(before.elapsed(), Faults::NONE.timeout);
    scene.hub.set_faults(Faults::NONE);
    assert_eq!(scene.value().await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_of_a_write_is_uncertain_too_and_nothing_happened() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        lost_request: Permille(1000),
        ..Faults::NONE
    });
    let lost = scene.writer.write(scene.write(7)).await.expect_err("no request");
    assert_eq!(lost.kind(), ErrorKind::Uncertain);
    scene.hub.set_faults(Faults::NONE);
    assert_eq!(scene.value().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_read_is_unavailable() {
    let scene = Scene::new(1).await;
    for share in [(1000, 0), (0, 1000)] {
        let (lost_request, lost_reply) = (Permille(share.0), Permille(share.1));
        scene.hub.set_faults(Faults {
            lost_request,
            lost_reply,
            ..Faults::NONE
        });
        let lost = scene
            .writer
            .read(scene.shard(), &[], ReadFrom::Any)
            .await
            .expect_err("no reply");
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        assert!(scene.link.heads().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_caller_gave_up_still_arrives() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        request_delay: millis(100)..=millis(100),
        ..Faults::NONE
    });
    let given_up = timeout(millis(10), scene.writer.write(scene.write(7))).await;
    assert!(given_up.is_err());
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_its_delay_both_ways() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        request_delay: millis(30)..=millis(30),
        ..Faults::NONE
    });
    let before = Instant::now();
    scene.set(1).await;
    assert_eq!(before.elapsed(), millis(60));
    scene.link.heads().await.expect("the bus works");
    assert_eq!(before.elapsed(), millis(120));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_answers_with_the_past_and_its_head_and_the_primary_never_does() {
    let scene = Scene::new(1).await;
    scene.set_many(20).await;
    scene.hub.set_faults(Faults {
        lagging_read: Permille(1000),
        lag: 5,
        ..Faults::NONE
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let reply = scene.read(ReadFrom::Any).await;
        seen.insert(reply.0);
        assert_eq!(
            reply.1.map(u64::from),
            Some(reply.0 - 2),
            "the value of that head"
        );
    }
    assert_eq!(seen, (16..=20).collect());
    assert_eq!(scene.read(ReadFrom::Primary).await, (21, Some(19)));
}

#[tokio::test(start_paused = true)]
async fn to_a_frozen_node_deliveries_and_replies_stall_and_then_arrive_in_order() {
    let scene = Scene::new(1).await;
    scene.hub.freeze("reader", millis(200));
    scene.set_many(3).await;
    advance(millis(100)).await;
    scene.set_many(3).await;
    assert_eq!(scene.heard(), [1]);
    let before = Instant::now();
    scene.link.heads().await.expect("the bus works");
    assert_eq!(before.elapsed(), millis(100));
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=7).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn on_a_half_open_bus_events_vanish_questions_hang_and_data_works() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Bus);
    scene.set(7).await;
    assert!(timeout(millis(500), scene.link.heads()).await.is_err());
    assert!(
        timeout(millis(500), scene.link.replay(scene.shard(), Seq(1)))
            .await
            .is_err()
    );
    assert!(
        timeout(millis(500), scene.reader.subscribe(Lane::Bulk, Recorder::new()))
            .await
            .is_err()
    );
    assert_eq!(scene.value().await, Some(7));

    scene.hub.heal("reader");
    assert!(scene.link.heads().await.is_ok());
    scene.set(8).await;
    assert_eq!(scene.heard(), [1, 3], "what vanished stays lost");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_the_bus_is_cut_is_lost() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(10),
        ..Faults::NONE
    });
    scene.set(1).await;
    scene.hub.partition("reader", Cut::Bus);
    scene.hub.heal("reader");
    scene.settle().await;
    assert_eq!(scene.heard(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_is_answered_when_the_bus_is_healed() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Both);
    let heal = async {
        tokio::time::sleep(millis(70)).await;
        scene.hub.heal("reader");
    };
    let before = Instant::now();
    let (heads, ()) = tokio::join!(scene.link.heads(), heal);
    assert!(heads.is_ok());
    assert_eq!(before.elapsed(), millis(70));
}

#[tokio::test(start_paused = true)]
async fn without_data_requests_are_unavailable_after_the_timeout_and_the_bus_works() {
    let scene = Scene::new(1).await;
    scene.hub.partition("writer", Cut::Data);
    let before = Instant::now();
    let refused = scene.writer.write(scene.write(7)).await.expect_err("cut off");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(before.elapsed(), Faults::NONE.timeout);
    assert!(!scene.writer.describe().await.connected);
    assert_eq!(scene.heard(), [1]);

    scene.hub.partition("reader", Cut::Data);
    assert!(scene.link.heads().await.is_ok());
    scene.hub.heal("writer");
    scene.set(8).await;
    assert_eq!(scene.heard(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_node_is_told_and_its_old_link_is_dead_and_a_new_one_works() {
    let scene = Scene::new(1).await;
    scene.hub.disconnect("reader");
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
    let dead = scene.link.heads().await.expect_err("ended");
    assert_eq!(dead.kind(), ErrorKind::Unavailable);
    scene.set(1).await;
    assert_eq!(scene.heard(), [1]);

    let inbox = Recorder::new();
    let link = scene
        .reader
        .subscribe(Lane::Bulk, Arc::clone(&inbox) as _)
        .await
        .expect("reachable");
    assert!(link.heads().await.is_ok());
    scene.set(2).await;
    assert_eq!(inbox.events_of(scene.shard()).len(), 1);
    assert_eq!(scene.heard(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_ends_with_the_connection() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Bus);
    let cut = async {
        tokio::time::sleep(millis(70)).await;
        scene.hub.disconnect("reader");
    };
    let (heads, ()) = tokio::join!(scene.link.heads(), cut);
    assert_eq!(heads.expect_err("ended").kind(), ErrorKind::Unavailable);
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_learns_of_its_disconnection_when_it_thaws() {
    let scene = Scene::new(1).await;
    scene.hub.freeze("reader", millis(50));
    scene.set(1).await;
    scene.hub.disconnect("reader");
    assert_eq!(scene.inbox.messages().len(), 1);
    scene.settle().await;
    assert_eq!(scene.heard(), [1]);
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_after_the_link_is_dropped_not_even_what_was_late() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(10),
        ..Faults::NONE
    });
    scene.set(1).await;
    let Scene { hub, inbox, link, .. } = scene;
    drop(link);
    advance(millis(100)).await;
    tokio::task::yield_now().await;
    assert_eq!(inbox.messages().len(), 1);
    assert_eq!(Arc::strong_count(&inbox), 1, "nobody holds the inbox any more");
    drop(hub);
}

#[tokio::test(start_paused = true)]
async fn a_failover_loses_a_suffix_and_changes_the_server_and_numbers_are_issued_again() {
    let scene = Scene::new(1).await;
    scene.set_many(10).await;
    let before = scene.heads().await;
    scene.hub.failover(4);
    let after = scene.heads().await;
    assert_ne!(before.1, after.1);
    assert_eq!(after.0.map(|head| head.seq), Some(Seq(7)));
    assert_eq!(scene.value().await, Some(5));
    scene.set(99).await;
    assert_eq!(scene.heard().last(), Some(&8));
    assert_eq!(scene.truth.lost(), [(scene.shard(), Seq(8))]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_changes_the_server_and_loses_nothing() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let before = scene.heads().await;
    scene.hub.restart();
    let after = scene.heads().await;
    assert_ne!(before.1, after.1);
    assert_eq!(before.0, after.0);
    assert_eq!(scene.value().await, Some(3));
    assert_eq!(scene.truth.lost(), []);
}

#[tokio::test(start_paused = true)]
async fn a_wipe_leaves_the_same_server_without_heads() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let before = scene.heads().await;
    scene.hub.wipe();
    assert_eq!(scene.heads().await, (None, before.1));
    assert_eq!(scene.writer.describe().await.used_bytes, Some(0));
    assert_eq!(scene.truth.lost(), [(scene.shard(), Seq(1))]);
}

#[tokio::test(start_paused = true)]
async fn trimmed_logs_have_nothing_to_replay_and_the_heads_stand() {
    let scene = Scene::new(1).await;
    scene.set_many(5).await;
    scene.hub.trim_logs();
    scene.set(9).await;
    let replay = scene
        .link
        .replay(scene.shard(), Seq(3))
        .await
        .expect("the bus works");
    assert_eq!(replay.head.map(|head| head.seq), Some(Seq(7)));
    assert_eq!(
        replay.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [Seq(7)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_head_refuses_everything_until_the_shard_is_adopted_again() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    scene.hub.lose_head(scene.shard());
    let reply = scene.writer.write(scene.write(4)).await.expect("the data works");
    assert_eq!((reply.head, reply.answer), (None, None));
    let adoption = Adoption {
        shard: scene.shard(),
        from: None,
        to: Lineage(2),
        hint: Seq(2),
        id: EventId(77),
    };
    let reply = scene.writer.adopt(adoption).await.expect("the data works");
    assert_eq!(reply.answer, Some(Adopted::Won));
    assert_eq!(scene.value().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_witness_is_told_of_every_effect_and_of_no_refusal_even_when_the_reply_is_lost() {
    let scene = Scene::new(1).await;
    scene.set(1).await;
    scene.hub.set_faults(Faults {
        lost_reply: Permille(1000),
        ..Faults::NONE
    });
    assert!(scene.writer.write(scene.write(2)).await.is_err());
    let stranger = Write {
        lineage: Lineage(9),
        ..scene.write(3)
    };
    assert!(scene.writer.write(stranger).await.is_err());
    assert_eq!(*scene.truth.published.lock().expect("whole"), [Seq(2), Seq(3)]);
    assert_eq!(*scene.truth.adopted.lock().expect("whole"), [Seq(1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_itself_is_rejected() {
    let scene = Scene::new(1).await;
    let raised = Write {
        op: Op::Raise(cache_core::Barrier::Everything),
        ..scene.write(0)
    };
    let rejected = scene.writer.write(raised).await.expect_err("a shard of keys");
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let runs: Vec<String> = [5, 5, 6].into_iter().map(storm).collect();
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// A run with every fault at once, as text: what each node saw, and when.
fn storm(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let scene = Scene::new(seed).await;
        let start = Instant::now();
        let seen = Arc::new(Journal {
            start,
            lines: Mutex::default(),
        });
        let link = scene
            .writer
            .subscribe(Lane::Bulk, Arc::clone(&seen) as _)
            .await
            .expect("reachable");
        scene.hub.set_faults(Faults {
            event_loss: Permille(80),
            duplicate: Permille(50),
            reorder: Permille(50),
            event_delay: millis(0)..=millis(5),
            tail: Permille(20),
            tail_delay: millis(50)..=millis(100),
            request_delay: millis(0)..=millis(3),
            lost_request: Permille(20),
            lost_reply: Permille(30),
            lagging_read: Permille(300),
            ..Faults::NONE
        });
        for value in 0..200 {
            match value {
                50 => scene.hub.freeze("writer", millis(80)),
                100 => scene.hub.failover(3),
                150 => scene.hub.disconnect("reader"),
                _ => {}
            }
            let write = scene.write(value);
            let (one, two) = (scene.writer.clone(), scene.reader.clone());
            let writing = tokio::spawn(async move { one.write(write).await });
            let keys = keys_in(scene.shard(), 1);
            let read = two.read(scene.shard(), &keys, ReadFrom::Any).await;
            seen.note(format!("{:?} {:?}", read, writing.await));
            seen.note(format!("{:?}", link.heads().await.map(|heads| heads.heads[0])));
        }
        advance(Duration::from_secs(5)).await;
        tokio::task::yield_now().await;
        let lines = seen.lines.lock().expect("whole").join("\n");
        format!("{lines}\n{:?}", scene.inbox.messages())
    })
}

/// Everything a node sees, with its time.
struct Journal {
    start: Instant,
    lines: Mutex<Vec<String>>,
}

impl Journal {
    fn note(&self, line: String) {
        let at = self.start.elapsed();
        self.lines.lock().expect("whole").push(format!("{at:?} {line}"));
    }
}

impl Inbox for Journal {
    fn deliver(&self, message: BusMessage) {
        self.note(format!("{message:?}"));
    }
}

/// A node that writes to one shard, and one that listens.
struct Scene {
    hub: Hub,
    writer: Endpoint,
    reader: Endpoint,
    inbox: Arc<Recorder>,
    link: Arc<dyn BusLink>,
    scribe: Scribe,
    truth: Arc<Truth>,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let truth = Arc::new(Truth::default());
        let hub = Hub::builder()
            .seed(seed)
            .clock(Arc::new(VirtualClock::new()))
            .witness(Arc::clone(&truth) as _)
            .build();
        let (writer, reader) = (hub.endpoint("writer"), hub.endpoint("reader"));
        let inbox = Recorder::new();
        let link = reader
            .subscribe(Lane::Bulk, Arc::clone(&inbox) as _)
            .await
            .expect("reachable");
        let store: Arc<dyn SharedStore> = Arc::new(writer.clone());
        let scribe = Scribe::create(&store, shards_in(Lane::Bulk, 1)[0]).await;
        Self {
            hub,
            writer,
            reader,
            inbox,
            link,
            scribe,
            truth,
        }
    }

    fn shard(&self) -> Shard {
        self.scribe.shard()
    }

    fn write(&self, value: u8) -> Write {
        let key = &keys_in(self.shard(), 1)[0];
        self.scribe
            .step(Op::Change(vec![Scribe::setting(key, &[value].into())]))
    }

    async fn set(&self, value: u8) {
        self.scribe.write(self.write(value).op).await;
    }

    /// Sets the key to 0, 1, 2, ...: the value is the number of the step less 2.
    async fn set_many(&self, count: u8) {
        for value in 0..count {
            self.set(value).await;
        }
    }

    async fn value(&self) -> Option<u8> {
        let keys = keys_in(self.shard(), 1);
        let reply = self
            .reader
            .read(self.shard(), &keys, ReadFrom::Primary)
            .await
            .expect("data works");
        Some(reply.answer?[0].as_ref()?.body[0])
    }

    async fn read(&self, from: ReadFrom) -> (u64, Option<u8>) {
        let keys = keys_in(self.shard(), 1);
        let reply = self
            .reader
            .read(self.shard(), &keys, from)
            .await
            .expect("data works");
        let record = reply.answer.expect("a head").remove(0);
        (
            reply.head.expect("a head").seq.0,
            record.map(|record| record.body[0]),
        )
    }

    async fn heads(&self) -> (Option<Head>, cache_core::ServerId) {
        let heads = self.link.heads().await.expect("the bus works");
        let own = heads
            .heads
            .iter()
            .find(|head| head.shard == self.shard())
            .expect("its shard");
        (own.head, own.server)
    }

    /// The numbers of the events that have arrived, in the order they came.
    fn heard(&self) -> Vec<u64> {
        self.inbox
            .events_of(self.shard())
            .iter()
            .map(|event| event.seq.0)
            .collect()
    }

    /// Lets everything arrive that is on its way. Sleeps, so that the paused clock stops at each arrival.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// A witness that keeps numbers.
#[derive(Default)]
struct Truth {
    published: Mutex<Vec<Seq>>,
    adopted: Mutex<Vec<Seq>>,
    lost: Mutex<Vec<(Shard, Seq)>>,
}

impl Truth {
    fn lost(&self) -> Vec<(Shard, Seq)> {
        self.lost.lock().expect("whole").clone()
    }
}

impl Witness for Truth {
    fn published(&self, _write: &Write, head: &Head, _at: Moment) {
        self.published.lock().expect("whole").push(head.seq);
    }

    fn adopted(&self, _shard: Shard, head: &Head, _at: Moment) {
        self.adopted.lock().expect("whole").push(head.seq);
    }

    fn lost(&self, shard: Shard, from: Seq, _at: Moment) {
        self.lost.lock().expect("whole").push((shard, from));
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
