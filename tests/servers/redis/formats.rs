//! What lies in the server, byte by byte, and what a node does about what another release left there.
//!
//! What this release reads of such bytes without a server is told by the tier's own tests.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{
    Adoption, Barrier, BusMessage, CacheKey, ErrorKind, EventBus, EventId, FillToken, Inbox, Lane, Lineage,
    Op, ReadFrom, Seq, Shard, SharedStore, StoreError, Tag, Write,
};
use cache_redis::RedisTier;
use redis::Value;
use testkit::{Recorder, Scribe, keys_in, sealed, shards_in};

use crate::nodes::{LEASE, PATIENCE, SHARDS, cold, eventually, key, read, shard, warm};
use crate::server::Server;

/// A server and a tier on it.
struct Place {
    server: Server,
    tier: RedisTier,
    store: Arc<dyn SharedStore>,
}

impl Place {
    async fn start() -> Self {
        let server = Server::start().await;
        let tier = RedisTier::new(server.settings()).expect("right settings");
        Self {
            server,
            store: Arc::new(tier.clone()),
            tier,
        }
    }

    async fn bytes(&self, name: &str) -> Vec<u8> {
        match self.server.command(&["GET", name]).await {
            Value::BulkString(bytes) => bytes,
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn set(&self, name: &str, bytes: &[u8]) {
        let mut command = redis::cmd("SET");
        command.arg(name).arg(bytes);
        let mut connection = self.server.connect().await;
        command.exec_async(&mut connection).await.expect("set");
    }
}

fn name(shard: Shard, rest: &str) -> String {
    format!("{{test:{SHARDS}:{shard}}}:{rest}")
}

fn packed(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The first 64 bits of the server's run id.
async fn run_of(server: &Server) -> u64 {
    let info = server.text(&["INFO", "server"]).await;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    u64::from_str_radix(&run.expect("a run id")[..16], 16).expect("hexadecimal digits")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_that_the_scripts_write_do_not_change() {
    let place = Place::start().await;
    let shard = shards_in(Lane::Bulk, 1)[0];
    let key = keys_in(shard, 1).remove(0);
    let scribe = Scribe::create(&place.store, shard).await;
    let first = scribe.head().await.expect("a head");
    let body = sealed(b"a");
    let second = scribe.set(&key, &body).await;
    let run = run_of(&place.server).await;
    let head = [&[2], &packed(&[1, second.id.0, 2, 0, run])[..], &[0]].concat();
    assert_eq!(place.bytes(&name(shard, "h")).await, head);
    assert_eq!(second.mark.0, run);

    let record = scribe.record(&key).await.expect("a record");
    let record = [&[2], &packed(&[1, 2, record.expires.0])[..], &body].concat();
    let record_name = name(shard, &format!("v:{}", key.as_str()));
    assert_eq!(place.bytes(&record_name).await, record);

    let text = key.as_str().as_bytes();
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    let entry = |id: EventId, rest: &[u8]| [&[2], &packed(&[id.0])[..], &[0, 0], rest].concat();
    let changed = [&[1], &length[..], text, &[0]].concat();
    let logged = place
        .server
        .command(&["XRANGE", &name(shard, "e"), "-", "+"])
        .await;
    let logged: Vec<(String, (String, Vec<u8>))> = redis::from_redis_value(logged).expect("a log");
    let expected = [
        ("0-1".to_owned(), ("e".to_owned(), entry(first.id, &[3]))),
        ("0-2".to_owned(), ("e".to_owned(), entry(second.id, &changed))),
    ];
    assert_eq!(logged, expected);

    scribe.begin_fill(&key, 7, Duration::from_secs(9)).await;
    scribe.delete(&key).await;
    scribe.begin_fill(&key, 7, Duration::from_secs(9)).await;
    let lease = place.bytes(&name(shard, &format!("l:{}", key.as_str()))).await;
    assert_eq!(lease, [&[2], &packed(&[1, 7, 3])[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_published_event_do_not_change() {
    let place = Place::start().await;
    let shard = shards_in(Lane::Bulk, 1)[0];
    let scribe = Scribe::create(&place.store, shard).await;
    let before = scribe.head().await.expect("a head");
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let url = format!(
        "redis://{}:{}/?protocol=resp3",
        place.server.host, place.server.port
    );
    let client = redis::Client::open(url).expect("an address");
    let config = redis::AsyncConnectionConfig::new().set_push_sender(told);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a connection");
    let mut subscribe = redis::cmd("SSUBSCRIBE");
    subscribe.arg(name(shard, "c:0"));
    subscribe.exec_async(&mut connection).await.expect("subscribed");
    let head = scribe.flush().await;
    let message = async {
        loop {
            let push = heard.recv().await.expect("a push");
            if let (redis::PushKind::SMessage, [_, Value::BulkString(message)]) = (&push.kind, &push.data[..])
            {
                return message.clone();
            }
        }
    };
    let message = tokio::time::timeout(PATIENCE, message).await.expect("an event");
    let known = [&[2], &packed(&[1, head.id.0, before.id.0, 2])[..]].concat();
    assert_eq!(message[..33], known);
    // In between is the server's time.
    assert_eq!(message[41..], [0, 0, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_a_heads_tail_and_its_mark_survive_every_step() {
    let place = Place::start().await;
    let tail = [&[2][..], &[0xA5; 100]].concat();
    for shard in [shards_in(Lane::Bulk, 1)[0], Shard::barriers(Lane::Bulk)] {
        let scribe = Scribe::create(&place.store, shard).await;
        let head = place.bytes(&name(shard, "h")).await;
        let mark = head[33..41].to_vec();
        place.set(&name(shard, "h"), &[&head[..41], &tail].concat()).await;
        let kept = async |what: &str, scribe: &Scribe| {
            let head = place.bytes(&name(shard, "h")).await;
            assert_eq!(head[33..41], mark, "the mark after {what}");
            assert_eq!(head[41..], tail, "the tail after {what}");
            let read = scribe.head().await.expect("a head that is understood");
            assert_eq!(read.mark.0.to_be_bytes()[..], mark);
        };
        if shard.holds_barriers() {
            scribe.raise(&Barrier::Tag(Tag::new("eu"))).await;
            kept("a raise", &scribe).await;
        } else {
            let key = keys_in(shard, 1).remove(0);
            scribe.set(&key, &sealed(b"a")).await;
            kept("a write", &scribe).await;
            scribe.delete(&key).await;
            kept("a deletion", &scribe).await;
            scribe.begin_fill(&key, 7, Duration::from_secs(9)).await;
            kept("the beginning of a fill", &scribe).await;
            scribe.commit_fill(&key, 7, Some(&sealed(b"b"))).await;
            kept("a fill", &scribe).await;
        }
        scribe.announce(b"{}").await;
        kept("an announcement", &scribe).await;
        scribe.flush().await;
        kept("a flush", &scribe).await;
        let next = scribe.succeed(Seq(40)).await;
        kept("an adoption", &next).await;
        next.announce(b"{}").await;
        kept("a step of the new lineage", &next).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_marks_the_shard_with_the_server_that_it_runs_on() {
    let mut place = Place::start().await;
    let shard = shards_in(Lane::Bulk, 1)[0];
    let scribe = Scribe::create(&place.store, shard).await;
    let before = run_of(&place.server).await;
    assert_eq!(scribe.head().await.expect("a head").mark.0, before);
    place.server.command(&["SAVE"]).await;
    place.server.restart().await;
    let tier = RedisTier::new(place.server.settings()).expect("right settings");
    place.store = Arc::new(tier);
    let scribe = Scribe::believing(&place.store, shard, Lineage(1));
    let head = scribe.announce(b"{}").await;
    assert_eq!(head.mark.0, before, "a step vouches for nothing");
    let head = scribe.succeed(Seq::ZERO).await.head().await.expect("a head");
    assert_eq!(head.mark.0, run_of(&place.server).await);
    assert_ne!(head.mark.0, before);
}

/// Every call that a shard can be asked with.
async fn errors_of_every_call(store: &Arc<dyn SharedStore>, shard: Shard, key: &CacheKey) -> Vec<StoreError> {
    let adoption = |from| Adoption {
        shard,
        from,
        to: Lineage(9),
        hint: Seq(100),
        id: EventId(5),
    };
    let write = |op| Write {
        shard,
        lineage: Lineage(7),
        id: EventId(5),
        op,
    };
    let (token, lease) = (FillToken(1), Duration::from_secs(1));
    let set = Op::Change(vec![Scribe::setting(key, &sealed(b"a"))]);
    let keys = [key.clone()];
    vec![
        store.read(shard, &keys, ReadFrom::Any).await.expect_err("a read"),
        store.write(write(set)).await.expect_err("a write"),
        store.write(write(Op::Flush)).await.expect_err("a flush"),
        store
            .begin_fill(shard, key, Seq::ZERO, Lineage(7), token, lease)
            .await
            .expect_err("the beginning of a fill"),
        store
            .commit_fill(shard, key, Lineage(7), token, None)
            .await
            .expect_err("the end of a fill"),
        store.adopt(adoption(None)).await.expect_err("an adoption"),
        store
            .adopt(adoption(Some(Lineage(7))))
            .await
            .expect_err("an adoption from what the head seems to say"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_another_release_is_left_alone_and_every_call_says_which_it_needs() {
    let place = Place::start().await;
    let shards = shards_in(Lane::Bulk, 2);
    let other = Scribe::create(&place.store, shards[1]).await;
    let (head_name, key) = (name(shards[0], "h"), keys_in(shards[0], 1).remove(0));
    let format_1 = [&[1], &packed(&[7, 9, 12, 3])[..]].concat();
    let format_3 = [&[3], &packed(&[7, 9, 12, 3, 1, 2])[..]].concat();
    for (head, needed) in [(format_1, "head has format 1"), (format_3, "upgrade this node")] {
        place.set(&head_name, &head).await;
        for error in errors_of_every_call(&place.store, shards[0], &key).await {
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            assert!(error.to_string().contains(needed), "{error}");
        }
        assert_eq!(place.bytes(&head_name).await, head, "left alone");
        let inbox: Arc<dyn Inbox> = Recorder::new();
        let link = place.tier.subscribe(Lane::Bulk, inbox).await.expect("subscribed");
        let heads = link.heads().await.expect("the heads of the others").heads;
        assert!(heads.iter().all(|of| of.shard != shards[0]));
        let of_other = heads.iter().find(|of| of.shard == shards[1]).expect("its head");
        assert_eq!(of_other.head, other.head().await);
        let error = link.replay(shards[0], Seq(1)).await.expect_err("no log of that");
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_over_heads_of_the_release_before_answers_from_the_source_and_changes_nothing() {
    let place = Place::start().await;
    let format_1 = [&[1], &packed(&[7, 9, 12, 3])[..]].concat();
    let mut names = Vec::new();
    for shard in Lane::ALL.into_iter().flat_map(|lane| SHARDS.all(lane)) {
        names.push(name(shard, "h"));
        place.set(&name(shard, "h"), &format_1).await;
    }
    let node = cold(place.server.settings());
    for round in 0..3 {
        let fetched = node
            .get_or_load(
                &key(1),
                move |_| async move { Ok::<_, std::io::Error>(Some(round)) },
            )
            .await;
        assert_eq!(
            fetched.expect("the source answers").map(|fetched| *fetched),
            Some(round)
        );
    }
    node.put(&key(1), 9)
        .await
        .expect_err("nothing is acknowledged that is not stored");
    node.invalidate(&key(1)).await.expect("owed");
    assert!(!node.ready(LEASE * 2).await, "it follows nothing");
    node.shutdown().await;
    for name in names {
        assert_eq!(place.bytes(&name).await, format_1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_release_is_a_miss_and_is_replaced() {
    let place = Place::start().await;
    let node = warm(place.server.settings()).await;
    let shard = shard(1);
    node.put(&key(1), 5).await.expect("put");
    let record_name = name(shard, &format!("v:{}", key(1).as_str()));
    let ours = place.bytes(&record_name).await;
    for format in [1, 3] {
        let mut other = ours.clone();
        other[0] = format;
        place.set(&record_name, &other).await;
        let newcomer = warm(place.server.settings()).await;
        assert_eq!(read(&newcomer, 1).await, None, "a record of format {format}");
        let loaded = newcomer
            .get_or_load(&key(1), |_| async { Ok::<_, std::io::Error>(Some(6)) })
            .await;
        assert_eq!(loaded.expect("loaded").map(|fetched| *fetched), Some(6));
        assert_eq!(place.bytes(&record_name).await[0], 2);
        newcomer.shutdown().await;
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_log_of_another_release_flushes_its_shard() {
    let place = Place::start().await;
    let node = warm(place.server.settings()).await;
    node.put(&key(1), 5).await.expect("put");
    assert_eq!(read(&node, 1).await, Some(5));
    let shard = shard(1);
    // A step that a newer release took in the same format of heads, told to nobody.
    let mut head = place.bytes(&name(shard, "h")).await;
    let seq = u64::from_be_bytes(head[17..25].try_into().expect("8 bytes")) + 1;
    head[9..17].copy_from_slice(&77_u64.to_be_bytes());
    head[17..25].copy_from_slice(&seq.to_be_bytes());
    let mut step = redis::pipe();
    step.atomic();
    step.cmd("XADD")
        .arg(name(shard, "e"))
        .arg(format!("0-{seq}"))
        .arg("e");
    step.arg([&[3], &packed(&[77])[..], b"news"].concat());
    step.cmd("SET").arg(name(shard, "h")).arg(head);
    let mut connection = place.server.connect().await;
    step.exec_async(&mut connection).await.expect("a step");
    eventually("the shard is flushed", LEASE, async || {
        node.peek(&key(1)).is_ok_and(|held| held.is_none())
    })
    .await;
    assert_eq!(node.stats().events[Lane::Bulk.index()].flushes, 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_release_is_told_as_a_loss() {
    let place = Place::start().await;
    let shard = shards_in(Lane::Bulk, 1)[0];
    let inbox = Recorder::new();
    let _link = place
        .tier
        .subscribe(Lane::Bulk, Arc::clone(&inbox) as _)
        .await
        .expect("subscribed");
    for format in ["\u{1}", "\u{3}"] {
        let message = format!("{format}said in another way");
        place
            .server
            .command(&["SPUBLISH", &name(shard, "c:0"), &message])
            .await;
    }
    eventually("both are told as losses", PATIENCE, async || {
        let messages = inbox.messages();
        messages
            .iter()
            .filter(|message| **message == BusMessage::Lagged(shard))
            .count()
            == 2
    })
    .await;
}
