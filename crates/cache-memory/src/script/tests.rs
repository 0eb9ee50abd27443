//! The script rules, one by one, on a bare shard.
//!
//! What any shared store must do is told by the conformance suite; here are the rules that it cannot see.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, BARRIERS_KEPT, Barrier, CacheKey, Change, EventId, EventOp, Expect, FillBegun,
    FillCommitted, FillToken, Lane, Lineage, NewRecord, Op, Propagation, Record, Seq, ServerMark, ServerTime,
    Shard, Tag, WireEvent, Write, Written,
};

use super::{Instant, Published};
use crate::state::ShardState;

#[test]
fn a_head_is_created_by_an_adoption_from_nothing_and_by_nothing_else() {
    let mut shard = TestShard::default();
    assert_eq!(shard.write(set("a", 1)).answer, None);
    assert_eq!(shard.adopt(Some(1), 2, 0), Some(Adopted::Lost));
    assert_eq!(shard.state.head, None);
    assert_eq!(shard.adopt(None, 1, 0), Some(Adopted::Won));
    assert_eq!(
        shard.state.head.map(|head| (head.seq, head.floor, head.mark)),
        Some((Seq(1), Seq(0), MARK))
    );
}

#[test]
fn an_adopter_that_asks_again_has_still_won_and_nothing_moves() {
    let mut shard = TestShard::adopted();
    let head = shard.state.head;
    assert_eq!(shard.adopt(None, 1, 0), Some(Adopted::Won));
    assert_eq!(shard.state.head, head);
}

#[test]
fn an_adoption_starts_the_log_anew_since_numbers_may_jump() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    assert_eq!(shard.adopt(Some(1), 2, 40), Some(Adopted::Won));
    let seqs: Vec<u64> = super::replay(&shard.state, Seq(1))
        .iter()
        .map(|entry| entry.seq.0)
        .collect();
    assert_eq!(seqs, [41]);
}

#[test]
fn an_adoption_after_a_lost_head_buries_what_the_hint_does_not_cover() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    shard.state.head = None;
    assert_eq!(shard.adopt(None, 2, 0), Some(Adopted::Won));
    assert_eq!(shard.body("a"), None);
}

#[test]
fn each_event_names_the_one_before_it() {
    let mut shard = TestShard::adopted();
    let one = shard.done(set("a", 1));
    let two = shard.done(Op::Flush);
    assert_eq!((two.seq, two.prev), (one.seq.next(), one.id));
}

#[test]
fn only_a_small_value_travels_inside_the_event_and_none_in_the_log() {
    let mut shard = TestShard::adopted();
    for (length, inline) in [(1024, true), (1025, false)] {
        let mut change = change("a", 1);
        change.propagation = Propagation::Value;
        change.record = Some(new_record(vec![7; length].into()));
        let event = shard.done(Op::Change(vec![change]));
        let EventOp::Changed(changed) = event.op else {
            panic!("not a change")
        };
        assert_eq!(changed[0].record.is_some(), inline, "{length} bytes");
        let EventOp::Changed(logged) = &shard.state.log[shard.state.log.len() - 1].op else {
            panic!("not a change")
        };
        assert_eq!(logged[0].record, None);
    }
}

#[test]
fn a_write_takes_the_lease_of_its_keys_away_and_leaves_the_others() {
    let mut shard = TestShard::adopted();
    assert_eq!(shard.begin("a", 0, 1), FillBegun::Lease);
    assert_eq!(shard.begin("b", 0, 2), FillBegun::Lease);
    shard.done(Op::Change(vec![Change {
        record: None,
        ..change("a", 0)
    }]));
    assert_eq!(shard.commit("a", 1, Some(9)), FillCommitted::Rejected);
    assert!(matches!(shard.commit("b", 2, Some(9)), FillCommitted::Stored(_)));
}

#[test]
fn a_fill_that_loaded_before_a_flush_is_rejected_and_one_after_it_lives() {
    let mut shard = TestShard::adopted();
    assert_eq!(shard.begin("a", 0, 1), FillBegun::Lease);
    shard.done(Op::Flush);
    assert_eq!(shard.commit("a", 1, Some(9)), FillCommitted::Rejected);
    assert_eq!(shard.begin("a", 0, 2), FillBegun::Lease);
    assert!(matches!(shard.commit("a", 2, Some(8)), FillCommitted::Stored(_)));
    assert_eq!(shard.body("a"), Some(8));
}

#[test]
fn the_second_to_fill_is_told_how_long_the_first_may_take() {
    let mut shard = TestShard::adopted();
    assert_eq!(shard.begin("a", 0, 1), FillBegun::Lease);
    shard.now += 300;
    assert_eq!(
        shard.begin("a", 0, 2),
        FillBegun::Wait(Duration::from_millis(700))
    );
    shard.now += 700;
    assert_eq!(shard.commit("a", 1, Some(1)), FillCommitted::Rejected);
    assert_eq!(shard.begin("a", 0, 2), FillBegun::Lease);
}

#[test]
fn a_record_that_is_not_newer_than_what_was_found_dead_counts_as_missing() {
    let mut shard = TestShard::adopted();
    let version = shard.set("a", 1);
    assert!(matches!(shard.begin("a", version.0 - 1, 1), FillBegun::Found(_)));
    assert_eq!(shard.begin("a", version.0, 1), FillBegun::Lease);
}

#[test]
fn a_lease_that_is_given_back_stores_nothing_and_frees_the_key() {
    let mut shard = TestShard::adopted();
    assert_eq!(shard.begin("a", 0, 1), FillBegun::Lease);
    assert_eq!(shard.commit("a", 1, None), FillCommitted::Released);
    assert_eq!(shard.begin("a", 0, 2), FillBegun::Lease);
}

#[test]
fn a_barrier_is_answered_with_the_number_of_its_newest_raise_for_ever() {
    let mut shard = TestShard::adopted();
    let barrier = Barrier::Tag(Tag::new("gpu"));
    assert_eq!(shard.raised(&barrier), 0);
    let event = shard.done(Op::Raise(barrier.clone()));
    assert_eq!(event.op, EventOp::Raised(barrier.clone()));
    shard.now += 100 * 365 * 24 * 3600 * 1000;
    shard.set("a", 1);
    assert_eq!(shard.raised(&barrier), event.seq.0);
    assert_eq!(shard.raised(&Barrier::Tag(Tag::new("other"))), 0);
}

#[test]
fn barriers_that_were_lost_count_as_raised_at_the_head_that_stood_when_it_was_noticed() {
    for noticed_by_a_raise in [false, true] {
        let mut shard = TestShard::adopted();
        let (gone, never) = (Barrier::Tag(Tag::new("gpu")), Barrier::Everything);
        shard.done(Op::Raise(gone.clone()));
        let head = shard.set("a", 1).0;
        shard.state.barriers = Default::default();
        let new = Barrier::Tag(Tag::new("new"));
        if noticed_by_a_raise {
            let raised = shard.done(Op::Raise(new.clone())).seq;
            assert_eq!(shard.raised(&new), raised.0);
            assert_eq!(shard.raised(&gone), head);
            // Of the other kind, nothing was asked or raised before.
            assert_eq!(shard.raised(&never), raised.0);
        } else {
            assert_eq!((shard.raised(&gone), shard.raised(&never)), (head, head));
            shard.set("a", 2);
            assert_eq!(
                (shard.raised(&gone), shard.raised(&never)),
                (head, head),
                "noticed once"
            );
        }
    }
}

#[test]
fn many_invalidated_tags_take_bounded_room_and_touch_no_barrier_of_the_other_kind() {
    let mut shard = TestShard::adopted();
    shard.done(Op::Raise(Barrier::Namespace("prices".into())));
    let tag = |index: u64| Barrier::Tag(Tag::new(index.to_string()));
    let mut most = 0;
    for index in 0..40_000 {
        shard.done(Op::Raise(tag(index)));
        most = most.max(shard.state.used_bytes());
    }
    assert!(most < 200 * BARRIERS_KEPT as u64, "{most} bytes");
    let newest_dropped = shard.raised(&tag(39_999)) - BARRIERS_KEPT as u64;
    assert_eq!(shard.raised(&tag(0)), newest_dropped);
    assert_eq!(shard.raised(&tag(u64::MAX)), newest_dropped);
    assert_eq!(
        shard.raised(&tag(39_998)),
        newest_dropped + BARRIERS_KEPT as u64 - 1
    );
    assert_eq!(shard.raised(&Barrier::Namespace("prices".into())), 2);
    assert_eq!(shard.raised(&Barrier::Everything), 0);
}

#[test]
fn a_failover_takes_back_raises_and_what_made_room_for_them() {
    let mut shard = TestShard::adopted();
    let tag = |name: &str| Barrier::Tag(Tag::new(name));
    shard.done(Op::Raise(tag("a")));
    shard.done(Op::Raise(tag("a")));
    shard.done(Op::Raise(tag("b")));
    shard.state.lose_newest(2);
    assert_eq!((shard.raised(&tag("a")), shard.raised(&tag("b"))), (2, 0));
    assert_eq!(shard.adopt(Some(1), 2, 90), Some(Adopted::Won));
    assert_eq!(shard.raised(&tag("a")), 90, "nothing of before lives on");
    shard.state.lose_newest(1);
    assert_eq!((shard.raised(&tag("a")), shard.raised(&tag("b"))), (2, 0));
}

#[test]
fn one_mismatch_refuses_the_whole_write_and_tells_what_was_found() {
    let mut shard = TestShard::adopted();
    let version = shard.set("a", 1);
    let wrong = Change {
        expect: Expect::Version(Seq::ZERO),
        ..change("a", 2)
    };
    let refused = shard.write(Op::Change(vec![change("b", 2), wrong]));
    assert_eq!(refused.answer, Some(Written::Conflict { found: version }));
    assert!(refused.event.is_none());
    assert_eq!((shard.body("a"), shard.body("b")), (Some(1), None));
}

#[test]
fn the_log_keeps_the_newest_events_only() {
    let mut shard = TestShard::adopted();
    for value in 0..10 {
        shard.set("a", value);
    }
    let seqs: Vec<u64> = super::replay(&shard.state, Seq(2))
        .iter()
        .map(|entry| entry.seq.0)
        .collect();
    assert_eq!(seqs, [8, 9, 10, 11]);
    assert_eq!(super::replay(&shard.state, Seq(10)).len(), 2);
    assert_eq!(super::replay(&shard.state, Seq(99)).len(), 0);
}

#[test]
fn memory_does_not_grow_with_keys_that_have_ended() {
    let mut shard = TestShard::adopted();
    let mut most = 0;
    for round in 0..10_000 {
        shard.now += 100;
        shard.set(&format!("key-{round}"), 1);
        assert_eq!(shard.begin(&format!("lease-{round}"), 0, round), FillBegun::Lease);
        most = most.max(shard.state.used_bytes());
    }
    assert!(
        most < 20 * 2 * 400,
        "{most} bytes for 10 records and 10 leases alive at a time"
    );
}

#[test]
fn losing_the_newest_steps_takes_back_records_head_log_and_leases() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    assert_eq!(shard.begin("b", 0, 1), FillBegun::Lease);
    let (head, logged) = (shard.state.head, shard.state.log.back().cloned());
    let first_lost = shard.set("a", 2);
    shard.set("b", 2);
    shard.done(Op::Change(vec![Change {
        record: None,
        ..change("a", 0)
    }]));
    assert_eq!(shard.begin("c", 0, 3), FillBegun::Lease);
    assert!(matches!(shard.commit("c", 3, Some(3)), FillCommitted::Stored(_)));
    assert_eq!(shard.state.lose_newest(3), Some(first_lost));
    assert_eq!(
        (shard.state.head, shard.state.log.back().cloned()),
        (head, logged)
    );
    assert_eq!(
        (shard.body("a"), shard.body("b"), shard.body("c")),
        (Some(1), None, None)
    );
    assert!(matches!(shard.commit("b", 1, Some(4)), FillCommitted::Stored(_)));
}

#[test]
fn a_lease_given_after_a_lost_step_is_lost_with_it() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    assert_eq!(shard.begin("b", 0, 1), FillBegun::Lease);
    assert_eq!(shard.state.lose_newest(1), Some(Seq(2)));
    assert_eq!(shard.commit("b", 1, Some(4)), FillCommitted::Rejected);
}

#[test]
fn a_lost_write_that_named_a_key_twice_leaves_what_was_there_before_it() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    shard.done(Op::Change(vec![change("a", 2), change("a", 3)]));
    assert_eq!(shard.body("a"), Some(3));
    shard.state.lose_newest(1);
    assert_eq!(shard.body("a"), Some(1));
}

#[test]
fn losing_a_flush_or_an_adoption_brings_the_records_back() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    shard.done(Op::Flush);
    assert_eq!(shard.adopt(Some(1), 2, 90), Some(Adopted::Won));
    assert_eq!(shard.body("a"), None);
    assert_eq!(shard.state.lose_newest(2), Some(Seq(3)));
    assert_eq!(shard.body("a"), Some(1));
    assert_eq!(shard.state.log.len(), 2);
}

#[test]
fn no_more_is_lost_than_is_known() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    assert_eq!(shard.state.lose_newest(99), Some(Seq(1)));
    assert_eq!(shard.state.head, None);
    assert_eq!(shard.state.lose_newest(1), None);
}

#[test]
fn a_read_some_steps_behind_sees_exactly_the_past() {
    let mut shard = TestShard::adopted();
    let mut past = Vec::new();
    for step in 0..12_u8 {
        past.push((shard.state.head, shard.body("a"), shard.body("b")));
        match step % 4 {
            0 => shard.done(set("a", step)),
            1 => shard.done(set("b", step)),
            2 => shard.done(Op::Change(vec![Change {
                record: None,
                ..change("a", 0)
            }])),
            _ => shard.done(Op::Flush),
        };
    }
    for (steps, then) in past.iter().rev().enumerate() {
        let keys = [key("a"), key("b")];
        let (head, records) = super::read_behind(&shard.state, &keys, steps + 1, ServerTime(shard.now));
        let bodies: Vec<Option<u8>> = records
            .expect("a head")
            .into_iter()
            .map(|record| Some(record?.body[0]))
            .collect();
        assert_eq!((head, bodies[0], bodies[1]), *then, "{} behind", steps + 1);
    }
}

#[test]
fn a_replica_that_is_behind_does_not_show_a_fill_of_a_newer_version() {
    let mut shard = TestShard::adopted();
    shard.set("a", 1);
    assert_eq!(shard.begin("b", 0, 1), FillBegun::Lease);
    assert!(matches!(shard.commit("b", 1, Some(5)), FillCommitted::Stored(_)));
    let (_, records) = super::read_behind(&shard.state, &[key("b")], 1, ServerTime(shard.now));
    assert_eq!(records, Some(vec![None]));
}

/// A shard, its time, and a fresh event identity for each step.
struct TestShard {
    state: ShardState,
    now: u64,
    ids: u64,
}

impl Default for TestShard {
    fn default() -> Self {
        Self {
            state: ShardState::default(),
            now: 1_000,
            ids: 0,
        }
    }
}

impl TestShard {
    fn adopted() -> Self {
        let mut shard = Self::default();
        assert_eq!(shard.adopt(None, 1, 0), Some(Adopted::Won));
        shard
    }

    fn adopt(&mut self, from: Option<u64>, to: u64, hint: u64) -> Option<Adopted> {
        let adoption = Adoption {
            shard: shard(),
            from: from.map(Lineage),
            to: Lineage(to),
            hint: Seq(hint),
            id: self.next_id(),
        };
        let at = self.instant();
        super::adopt(&mut self.state, &adoption, at).answer
    }

    fn write(&mut self, op: Op) -> Published<Written> {
        let write = Write {
            shard: shard(),
            lineage: LINEAGE,
            id: self.next_id(),
            op,
        };
        let at = self.instant();
        super::write(&mut self.state, &write, at)
    }

    fn done(&mut self, op: Op) -> WireEvent {
        self.write(op).event.expect("the write is done")
    }

    fn set(&mut self, name: &str, value: u8) -> Seq {
        self.done(set(name, value)).seq
    }

    fn begin(&mut self, name: &str, newer_than: u64, token: u64) -> FillBegun {
        let (lease, now) = (Duration::from_secs(1), ServerTime(self.now));
        let (newer_than, token) = (Seq(newer_than), FillToken(token));
        super::begin_fill(
            &mut self.state,
            &key(name),
            newer_than,
            LINEAGE,
            token,
            lease,
            now,
        )
        .expect("the lineage is right")
    }

    fn commit(&mut self, name: &str, token: u64, value: Option<u8>) -> FillCommitted {
        let record = value.map(|value| new_record([value].into()));
        let (token, now) = (FillToken(token), ServerTime(self.now));
        super::commit_fill(&mut self.state, &key(name), LINEAGE, token, record.as_ref(), now)
            .expect("the lineage is right")
    }

    fn read(&self, key: &CacheKey) -> Option<Record> {
        super::read(&self.state, std::slice::from_ref(key), ServerTime(self.now))?.remove(0)
    }

    /// When a barrier was raised; 0 for never.
    fn raised(&mut self, barrier: &Barrier) -> u64 {
        let answer = super::read_barriers(&mut self.state, &[barrier.key()]);
        let record = answer.expect("a head").remove(0);
        record.map_or(0, |record| record.version.0)
    }

    fn body(&self, name: &str) -> Option<u8> {
        Some(self.read(&key(name))?.body[0])
    }

    fn instant(&self) -> Instant {
        Instant {
            now: ServerTime(self.now),
            mark: MARK,
            log_len: 4,
        }
    }

    fn next_id(&mut self) -> EventId {
        self.ids += 1;
        EventId(self.ids)
    }
}

const LINEAGE: Lineage = Lineage(1);
const MARK: ServerMark = ServerMark(77);

fn shard() -> Shard {
    Shard::barriers(Lane::Bulk)
}

fn key(name: &str) -> CacheKey {
    CacheKey::from_wire(name)
}

fn set(name: &str, value: u8) -> Op {
    Op::Change(vec![change(name, value)])
}

fn change(name: &str, value: u8) -> Change {
    Change {
        key: key(name),
        record: Some(new_record([value].into())),
        expect: Expect::Any,
        propagation: Propagation::Invalidate,
    }
}

fn new_record(body: Arc<[u8]>) -> NewRecord {
    NewRecord {
        body,
        ttl: Duration::from_secs(1),
    }
}
