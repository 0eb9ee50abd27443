//! What was packed is unpacked, and what was not packed here is neither a panic nor ignored.
//!
//! How events travel is told by the suite of the bus, on a server.

use cache_core::{Expect, Lane, NewRecord};
use proptest::prelude::*;

use super::*;

fn message(payload: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = [7_u64, 8, 9, 10, 1_000]
        .iter()
        .flat_map(|n| n.to_be_bytes())
        .collect();
    [&[FORMAT], &numbers[..], payload].concat()
}

/// A payload that comes from here.
fn from_here(rest: &[u8]) -> Vec<u8> {
    [&[0, 0], rest].concat()
}

fn shard() -> Shard {
    Shard::barriers(Lane::Bulk)
}

fn told(payload: &[u8]) -> EventOp {
    unpack(shard(), &message(payload)).expect("a header").op
}

fn setting(key: &str, body: Vec<u8>, propagation: Propagation) -> Change {
    Change {
        key: CacheKey::from_wire(key),
        record: Some(NewRecord {
            body: body.into(),
            ttl: Duration::from_secs(1),
        }),
        expect: Expect::Any,
        propagation,
    }
}

#[test]
fn an_event_names_its_place_and_its_predecessor() {
    let event = unpack(shard(), &message(&flushed())).expect("an event");
    assert_eq!(
        (event.lineage, event.id, event.prev),
        (Lineage(7), EventId(8), EventId(9))
    );
    assert_eq!((event.seq, event.op), (Seq(10), EventOp::Flushed));
}

#[test]
fn a_small_value_is_told_to_listeners_and_kept_from_the_log() {
    let payload = pack(&Op::Change(vec![setting(
        "n:id=1",
        vec![5; 10],
        Propagation::Value,
    )]));
    let EventOp::Changed(changed) = told(&payload.event) else {
        panic!("a change is told as a change");
    };
    let record = changed[0].record.as_ref().expect("its value");
    assert_eq!((record.version, record.expires), (Seq(10), ServerTime(2_000)));
    assert_eq!(&*record.body, [5; 10]);
    let EventOp::Changed(changed) = told(&payload.log) else {
        panic!("a change is logged as a change");
    };
    assert_eq!(changed[0].record, None);
}

#[test]
fn an_operation_of_a_newer_release_is_unknown_and_a_newer_message_is_a_loss() {
    assert_eq!(told(&from_here(&[99, 1, 2, 3])), EventOp::Unknown);
    assert_eq!(told(&from_here(&[])), EventOp::Unknown);
    assert_eq!(told(&from_here(&[RAISED, 99, 0, 0, 0, 0])), EventOp::Unknown);
    let mut newer = message(&flushed());
    newer[0] = FORMAT + 1;
    assert_eq!(unpack(shard(), &newer), None);
}

#[test]
fn the_bytes_of_an_event_of_format_2_do_not_change() {
    let golden = [
        2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10,
        0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 5, 2, 2, 0, 0, 0, 2, b'e', b'u',
    ];
    let event = unpack(shard(), &golden).expect("an event");
    assert_eq!(event.op, EventOp::Raised(Barrier::Tag(Tag::new("eu"))));
    assert_eq!(
        (event.lineage, event.seq, event.origin),
        (Lineage(7), Seq(10), RegionId(5))
    );
    let entry = unpack_entry(Seq(10), &[&[2], &golden[9..17], &golden[41..]].concat());
    let expected = LogEntry {
        seq: Seq(10),
        id: EventId(8),
        origin: RegionId(5),
        op: event.op,
    };
    assert_eq!(entry, Some(expected));
}

#[test]
fn the_bytes_of_every_payload_of_format_2_do_not_change() {
    let set = setting("n:id=1", vec![b'v'], Propagation::Value);
    let gone = Change {
        record: None,
        ..setting("n:id=2", vec![], Propagation::Value)
    };
    let changed = pack(&Op::Change(vec![set, gone]));
    assert_eq!(changed.log, b"\0\0\x01\0\0\0\x06n:id=1\0\0\0\0\x06n:id=2\0");
    assert_eq!(
        changed.event,
        b"\0\0\x01\0\0\0\x06n:id=1\x01\0\0\0\0\0\0\x03\xe8\0\0\0\x01v\0\0\0\x06n:id=2\0"
    );
    let log = |op| pack(&op).log;
    assert_eq!(log(Op::Raise(Barrier::Everything)), b"\0\0\x02\0\0\0\0\0");
    assert_eq!(
        log(Op::Raise(Barrier::Namespace("n".into()))),
        b"\0\0\x02\x01\0\0\0\x01n"
    );
    assert_eq!(
        log(Op::Raise(Barrier::Tag(Tag::new("eu")))),
        b"\0\0\x02\x02\0\0\0\x02eu"
    );
    assert_eq!(log(Op::Flush), b"\0\0\x03");
    assert_eq!(log(Op::Announce((*b"{}").into())), b"\0\0\x04{}");
}

#[test]
fn an_event_of_the_release_before_is_a_loss_and_its_entry_of_the_log_cannot_be_read() {
    let mut format_1 = message(&[FLUSHED]);
    format_1[0] = 1;
    assert_eq!(unpack(shard(), &format_1), None);
    assert_eq!(unpack_entry(Seq(1), &[1, 0, 0, 0, 0, 0, 0, 0, 8, FLUSHED]), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(shard(), &bytes);
        let _ = told(&from_here(&bytes));
        let _ = unpack_entry(Seq(1), &bytes);
    }

    #[test]
    fn every_change_comes_back(
        keys in proptest::collection::vec("[a-z]{1,9}:[ -~]{0,20}", 0..5),
        length in 0..2_000_usize,
    ) {
        let changes: Vec<_> =
            keys.iter().map(|key| setting(key, vec![1; length], Propagation::Value)).collect();
        let payload = pack(&Op::Change(changes));
        let carried = if payload.event.is_empty() { &payload.log } else { &payload.event };
        let EventOp::Changed(changed) = told(carried) else { panic!("a change") };
        let names: Vec<_> = changed.iter().map(|changed| changed.key.as_str().to_owned()).collect();
        prop_assert_eq!(names, keys);
        for changed in changed {
            prop_assert_eq!(changed.record.is_some(), length <= INLINE_MAX);
        }
    }
}
