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
    assert_eq!(told(&[99, 1, 2, 3]), EventOp::Unknown);
    assert_eq!(told(&[]), EventOp::Unknown);
    assert_eq!(told(&[RAISED, 99, 0, 0, 0, 0]), EventOp::Unknown);
    let mut newer = message(&flushed());
    newer[0] = FORMAT + 1;
    assert_eq!(unpack(shard(), &newer), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(shard(), &bytes);
        let _ = told(&bytes);
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
