//! Rules of a bus about the log: how a node finds out what it has missed.
//!
//! How long a log is remains the store's choice; no rule here writes more than a few entries.

use cache_core::{BusLink, Change, ChangedKey, EventOp, Head, Op, Propagation, Replay, Seq};

use super::{heard, listener_and_scribe, shard};
use crate::conformance::BusFixture;
use crate::{Scribe, keys_in, sealed, shards_in};

pub(super) async fn a_replay_starts_with_the_entry_asked_for_and_has_no_holes(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let heads = five_steps(&scribe).await;
    for from in 0..heads.len() {
        let replay = replay(&*link, heads[from].seq).await;
        let entries = replay.entries.iter().map(|entry| (entry.seq, entry.id));
        let taken = heads[from..].iter().map(|head| (head.seq, head.id));
        assert_eq!(entries.collect::<Vec<_>>(), taken.collect::<Vec<_>>());
        assert_eq!(replay.head, heads.last().copied());
    }
}

pub(super) async fn a_replay_has_what_was_delivered_without_values(fixture: BusFixture) {
    let (inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let keys = keys_in(shard(), 2);
    let hot = Change {
        propagation: Propagation::Value,
        ..Scribe::setting(&keys[0], &sealed(b"hot"))
    };
    scribe
        .write(Op::Change(vec![hot, Scribe::deletion(&keys[1])]))
        .await;
    scribe.announce(b"hello").await;
    scribe.flush().await;
    let events = heard(&inbox, shard(), 4).await;
    let logged = replay(&*link, events[0].seq).await.entries.into_iter();
    let delivered = events
        .into_iter()
        .map(|event| (event.seq, event.id, without_values(event.op)));
    let logged: Vec<_> = logged.map(|entry| (entry.seq, entry.id, entry.op)).collect();
    assert_eq!(logged, delivered.collect::<Vec<_>>());
}

pub(super) async fn a_step_is_in_the_log_when_its_reply_arrives(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    for _ in 0..5 {
        let head = scribe.announce(b"hello").await;
        let replay = replay(&*link, head.seq).await;
        assert_eq!(replay.entries.first().map(|entry| entry.id), Some(head.id));
    }
}

pub(super) async fn a_replay_from_beyond_the_head_is_empty(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let head = scribe.announce(b"hello").await;
    let replay = replay(&*link, head.seq.next()).await;
    assert_eq!((replay.entries, replay.head), (vec![], Some(head)));
}

pub(super) async fn a_shard_without_a_head_has_no_log(fixture: BusFixture) {
    let (_inbox, link, _scribe) = listener_and_scribe(&fixture).await;
    let unborn = shards_in(shard().lane(), 2)[1];
    let replay = link.replay(unborn, Seq(1)).await.expect("a replay");
    assert_eq!((replay.entries, replay.head), (vec![], None));
}

pub(super) async fn a_trimmed_log_starts_later(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let Some(trim) = &fixture.trim else {
        return;
    };
    let heads = five_steps(&scribe).await;
    trim(shard(), heads[3].seq).await;
    let replay = replay(&*link, heads[1].seq).await;
    let entries: Vec<_> = replay.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(entries, [heads[3].seq, heads[4].seq]);
    assert_eq!(replay.head, Some(heads[4]), "a trimmed log leaves the head");
}

async fn five_steps(scribe: &Scribe) -> Vec<Head> {
    let mut heads = Vec::new();
    for _ in 0..5 {
        heads.push(scribe.announce(b"hello").await);
    }
    heads
}

async fn replay(link: &dyn BusLink, from: Seq) -> Replay {
    link.replay(shard(), from).await.expect("a replay")
}

fn without_values(op: EventOp) -> EventOp {
    match op {
        EventOp::Changed(changed) => EventOp::Changed(
            changed
                .into_iter()
                .map(|changed| ChangedKey {
                    record: None,
                    ..changed
                })
                .collect(),
        ),
        other => other,
    }
}
