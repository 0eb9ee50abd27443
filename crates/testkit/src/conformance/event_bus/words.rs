//! Rules of a bus about what events say: keys, values, barriers, flushes, announcements.
//!
//! That they arrive at all is told in `delivery`.

use std::sync::Arc;

use cache_core::{
    Barrier, CacheKey, Change, ChangedKey, EventOp, Lane, Op, Propagation, Record, Seq, Shard, Tag,
};

use super::{heard, listener, listener_and_scribe, shard};
use crate::conformance::BusFixture;
use crate::{Scribe, keys_in, sealed, sealed_of_length};

/// The longest stored form that travels inside an event, in bytes.
const INLINE_LIMIT: usize = 1024;

pub(super) async fn a_change_of_many_keys_is_one_event(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let keys = keys_in(shard(), 3);
    let changes = vec![
        Scribe::setting(&keys[0], &sealed(b"0")),
        Scribe::deletion(&keys[1]),
        Scribe::setting(&keys[2], &sealed(b"2")),
    ];
    scribe.write(Op::Change(changes)).await;
    let marker = scribe.announce(b"marker").await;
    let events = heard(&inbox, shard(), 3).await;
    assert_eq!(events[2].id, marker.id);
    let EventOp::Changed(changed) = &events[1].op else {
        panic!("{:?} after a change", events[1].op);
    };
    assert!(
        changed.iter().all(|changed| changed.record.is_none()),
        "{changed:?}"
    );
    let mut named: Vec<_> = changed.iter().map(|changed| changed.key.clone()).collect();
    let mut expected = keys;
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
}

pub(super) async fn a_small_value_travels_inside_its_event_when_asked_to(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let key = &keys_in(shard(), 1)[0];
    let (fits, exceeds) = (sealed_of_length(INLINE_LIMIT), sealed_of_length(INLINE_LIMIT + 1));
    let deletion = Change {
        propagation: Propagation::Value,
        ..Scribe::deletion(key)
    };
    for change in [
        hot(key, &fits),
        hot(key, &exceeds),
        Scribe::setting(key, &fits),
        deletion,
    ] {
        scribe.write(Op::Change(vec![change])).await;
    }
    let events = heard(&inbox, shard(), 5).await;
    let records: Vec<_> = events[1..].iter().map(|event| record_in(&event.op)).collect();
    let carried = records
        .iter()
        .map(|record| record.as_ref().map(|record| &record.body));
    assert_eq!(carried.collect::<Vec<_>>(), [Some(&fits), None, None, None]);
}

pub(super) async fn an_inlined_record_is_the_one_that_is_stored(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let key = &keys_in(shard(), 1)[0];
    scribe.write(Op::Change(vec![hot(key, &sealed(b"hot"))])).await;
    let stored = scribe.record(key).await;
    assert!(stored.is_some());
    let events = heard(&inbox, shard(), 2).await;
    assert_eq!(record_in(&events[1].op), stored);
}

pub(super) async fn a_raised_barrier_is_told(fixture: BusFixture) {
    let (inbox, _link) = listener(&fixture, Lane::Critical).await;
    let shard = Shard::barriers(Lane::Critical);
    let scribe = Scribe::create(&fixture.store, shard).await;
    let barriers = [
        Barrier::Everything,
        Barrier::Namespace("critical".into()),
        // Text that would need escaping in most encodings.
        Barrier::Tag(Tag::new("provider:va=st\n%{\u{fc}}")),
    ];
    for barrier in &barriers {
        scribe.raise(barrier).await;
    }
    let events = heard(&inbox, shard, 4).await.into_iter().skip(1);
    let told: Vec<_> = events.map(|event| event.op).collect();
    assert_eq!(told, barriers.map(EventOp::Raised));
}

pub(super) async fn a_flush_is_told(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    scribe.flush().await;
    assert_eq!(heard(&inbox, shard(), 2).await[1].op, EventOp::Flushed);
}

pub(super) async fn an_adoption_is_told_as_a_flush_in_the_new_lineage(fixture: BusFixture) {
    let (inbox, link, old) = listener_and_scribe(&fixture).await;
    let first = old.head().await.expect("a head");
    let new = old.succeed(Seq(50)).await;
    let second = new.head().await.expect("a head");
    let events = heard(&inbox, shard(), 2).await;
    for (event, head) in events.iter().zip([first, second]) {
        assert_eq!(
            (event.lineage, event.seq, event.id),
            (head.lineage, head.seq, head.id)
        );
        assert_eq!(event.op, EventOp::Flushed);
    }
    let replay = link.replay(shard(), second.seq).await.expect("a replay");
    let logged: Vec<_> = replay.entries.iter().map(|entry| (entry.seq, entry.id)).collect();
    assert_eq!(logged, [(second.seq, second.id)]);
}

pub(super) async fn an_announcement_is_delivered_as_it_was_given(fixture: BusFixture) {
    let (inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let first = scribe.head().await.expect("a head").seq.next();
    let every_byte: Vec<u8> = (0..=255).cycle().take(3_000).collect();
    let announced = [&[][..], b"hello", &every_byte].map(Arc::<[u8]>::from);
    for bytes in &announced {
        scribe.announce(bytes).await;
    }
    let expected = announced.map(EventOp::Announced);
    let events = heard(&inbox, shard(), 4).await.into_iter().skip(1);
    assert_eq!(events.map(|event| event.op).collect::<Vec<_>>(), expected);
    let replay = link.replay(shard(), first).await.expect("a replay");
    let logged: Vec<_> = replay.entries.into_iter().map(|entry| entry.op).collect();
    assert_eq!(logged, expected, "what the log keeps");
}

fn hot(key: &CacheKey, body: &Arc<[u8]>) -> Change {
    Change {
        propagation: Propagation::Value,
        ..Scribe::setting(key, body)
    }
}

fn record_in(op: &EventOp) -> Option<Record> {
    match op {
        EventOp::Changed(changed) => match &changed[..] {
            [ChangedKey { record, .. }] => record.clone(),
            _ => panic!("{changed:?} after a change of one key"),
        },
        _ => panic!("{op:?} after a change"),
    }
}
