//! Rules of a shared store about writes and reads: the sequence, expected versions, many keys at once.
//!
//! What others hear of a write is told in the suite of the bus.

use std::sync::Arc;

use cache_core::{Barrier, Change, Expect, Lane, Lineage, Op, ReadFrom, Seq, Shard, Tag, Written};
use tokio::task::JoinSet;

use super::{CROWD, key, keys, scribe, shard};
use crate::conformance::StoreFixture;
use crate::{Scribe, sealed};

pub(super) async fn a_write_without_a_head_is_refused(fixture: StoreFixture) {
    let scribe = Scribe::believing(&fixture.store, shard(), Lineage(1));
    for op in [set("a", Expect::Any), Op::Flush, Op::Announce((*b"hello").into())] {
        let reply = scribe.attempt(op).await;
        assert_eq!((reply.answer, reply.head), (None, None));
    }
    assert_eq!(scribe.head().await, None, "a write made a head");
}

pub(super) async fn a_write_in_another_lineage_is_refused_and_changes_nothing(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let head = scribe.set(&key(), &sealed(b"a")).await;
    let stranger = Scribe::believing(&fixture.store, shard(), Lineage(99));
    let reply = stranger.attempt(set("b", Expect::Any)).await;
    assert_eq!((reply.answer, reply.head), (None, Some(head)));
    assert_eq!(scribe.head().await, Some(head));
    assert_eq!(body(&scribe).await, Some(sealed(b"a")));
}

pub(super) async fn every_step_takes_the_next_number_and_its_reply_has_its_own_head(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let mut last = scribe.head().await.expect("a head");
    let ops = [
        set("a", Expect::Any),
        Op::Announce((*b"hello").into()),
        Op::Flush,
        Op::Change(vec![Scribe::deletion(&key())]),
    ];
    for op in ops {
        let step = scribe.step(op);
        let reply = fixture
            .store
            .write(step.clone())
            .await
            .expect("a write is answered");
        let head = reply.head.expect("a head");
        assert_eq!(reply.answer, Some(Written::Done));
        assert_eq!(
            (head.lineage, head.seq, head.id),
            (step.lineage, last.seq.next(), step.id)
        );
        assert_eq!(scribe.head().await, Some(head));
        last = head;
    }
}

pub(super) async fn concurrent_writes_take_a_number_each_without_gaps(fixture: StoreFixture) {
    let scribe = Arc::new(scribe(&fixture).await);
    let first = scribe.head().await.expect("a head").seq.0 + 1;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let scribe = Arc::clone(&scribe);
        crowd.spawn(async move { scribe.announce(b"hello").await.seq.0 });
    }
    let mut taken = crowd.join_all().await;
    taken.sort_unstable();
    assert_eq!(taken, (first..first + CROWD).collect::<Vec<_>>());
}

pub(super) async fn a_record_that_was_set_is_read_back_with_its_version(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    for text in ["a", "b"] {
        let head = scribe.set(&key(), &sealed(text.as_bytes())).await;
        let record = scribe.record(&key()).await.expect("a record");
        assert_eq!((record.version, record.body), (head.seq, sealed(text.as_bytes())));
    }
}

pub(super) async fn records_are_read_in_the_order_asked_with_the_head(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(4));
    for (key, text) in keys.iter().zip(["0", "1", "2"]) {
        scribe.set(key, &sealed(text.as_bytes())).await;
    }
    let head = scribe.announce(b"the newest step").await;
    let asked = [2, 3, 0, 1].map(|index| keys[index].clone());
    let reply = fixture.store.read(shard(), &asked, ReadFrom::Primary).await;
    let reply = reply.expect("a read is answered");
    assert_eq!(reply.head, Some(head));
    let records = reply.answer.expect("records").into_iter();
    let bodies: Vec<_> = records.map(|record| record.map(|record| record.body)).collect();
    assert_eq!(
        bodies,
        [Some(sealed(b"2")), None, Some(sealed(b"0")), Some(sealed(b"1"))]
    );
}

pub(super) async fn a_deleted_record_is_gone(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    scribe.set(&key(), &sealed(b"a")).await;
    scribe.delete(&key()).await;
    assert_eq!(scribe.record(&key()).await, None);
}

pub(super) async fn deleting_what_is_not_there_is_a_step_too(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let before = scribe.head().await.expect("a head").seq;
    // The record may have ended while copies of it live in memories: they must hear of it.
    assert_eq!(scribe.delete(&key()).await.seq, before.next());
}

pub(super) async fn an_expected_version_that_matches_lets_the_write_happen(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let first = scribe.write(set("a", Expect::Version(Seq::ZERO))).await.seq;
    let second = scribe.write(set("b", Expect::Version(first))).await.seq;
    assert_eq!(body(&scribe).await, Some(sealed(b"b")));
    let deletion = Change {
        expect: Expect::Version(second),
        ..Scribe::deletion(&key())
    };
    scribe.write(Op::Change(vec![deletion])).await;
    assert_eq!(body(&scribe).await, None);
}

pub(super) async fn an_expected_version_that_differs_is_told_and_nothing_is_written(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let missing = scribe.attempt(set("b", Expect::Version(Seq(7)))).await;
    assert_eq!(missing.answer, Some(Written::Conflict { found: Seq::ZERO }));
    let head = scribe.set(&key(), &sealed(b"a")).await;
    for expected in [Seq::ZERO, Seq(head.seq.0 - 1), head.seq.next()] {
        let reply = scribe.attempt(set("b", Expect::Version(expected))).await;
        assert_eq!(reply.answer, Some(Written::Conflict { found: head.seq }));
        assert_eq!(reply.head, Some(head));
    }
    assert_eq!(body(&scribe).await, Some(sealed(b"a")));
    assert_eq!(scribe.head().await, Some(head), "a refused write took a number");
}

pub(super) async fn version_zero_expects_that_there_is_no_live_record(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    scribe.set(&key(), &sealed(b"a")).await;
    scribe.delete(&key()).await;
    scribe.write(set("b", Expect::Version(Seq::ZERO))).await;
    scribe.flush().await;
    scribe.write(set("c", Expect::Version(Seq::ZERO))).await;
    assert_eq!(body(&scribe).await, Some(sealed(b"c")));
}

pub(super) async fn of_many_writers_that_expect_the_same_version_one_wins(fixture: StoreFixture) {
    let scribe = Arc::new(scribe(&fixture).await);
    let seen = scribe.set(&key(), &sealed(b"a")).await.seq;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let scribe = Arc::clone(&scribe);
        crowd.spawn(async move { scribe.attempt(set("b", Expect::Version(seen))).await });
    }
    let replies = crowd.join_all().await;
    let done = replies
        .iter()
        .filter(|reply| reply.answer == Some(Written::Done))
        .count();
    let conflict = Some(Written::Conflict { found: seen.next() });
    let refused = replies.iter().filter(|reply| reply.answer == conflict).count() as u64;
    assert_eq!((done, refused), (1, CROWD - 1));
    assert_eq!(scribe.head().await.expect("a head").seq, seen.next());
}

pub(super) async fn a_write_of_many_keys_is_one_step(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(3));
    let before = scribe.set(&keys[2], &sealed(b"old")).await.seq;
    let changes = vec![
        Scribe::setting(&keys[0], &sealed(b"0")),
        Scribe::setting(&keys[1], &sealed(b"1")),
        Scribe::deletion(&keys[2]),
    ];
    let head = scribe.write(Op::Change(changes)).await;
    assert_eq!(head.seq, before.next());
    let versions = scribe
        .read(&keys)
        .await
        .into_iter()
        .map(|record| record.map(|record| record.version));
    assert_eq!(
        versions.collect::<Vec<_>>(),
        [Some(head.seq), Some(head.seq), None]
    );
}

pub(super) async fn one_mismatch_refuses_a_write_of_many_keys(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(3));
    let head = scribe.set(&keys[1], &sealed(b"old")).await;
    let (first, last) = (
        Scribe::setting(&keys[0], &sealed(b"0")),
        Scribe::deletion(&keys[1]),
    );
    let mismatch = Change {
        expect: Expect::Version(Seq(77)),
        ..Scribe::setting(&keys[2], &sealed(b"2"))
    };
    for changes in [[&first, &last, &mismatch], [&mismatch, &first, &last]] {
        let reply = scribe
            .attempt(Op::Change(changes.map(Change::clone).into()))
            .await;
        assert_eq!(reply.answer, Some(Written::Conflict { found: Seq::ZERO }));
        let present = scribe
            .read(&keys)
            .await
            .into_iter()
            .map(|record| record.is_some());
        assert_eq!(present.collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(scribe.head().await, Some(head), "a refused write took a number");
    }
}

pub(super) async fn a_raised_barrier_is_a_record_with_the_version_of_its_step(fixture: StoreFixture) {
    let scribe = Scribe::create(&fixture.store, Shard::barriers(Lane::Bulk)).await;
    let barriers = [
        Barrier::Everything,
        Barrier::Namespace("bulk".into()),
        Barrier::Tag(Tag::new("provider:vast")),
        Barrier::Everything,
    ];
    for barrier in barriers {
        let head = scribe.raise(&barrier).await;
        let record = scribe.record(&barrier.key()).await;
        assert_eq!(record.map(|record| record.version), Some(head.seq), "{barrier:?}");
    }
}

pub(super) async fn a_barrier_that_was_never_raised_has_no_number_until_a_flush_raises_every_one(
    fixture: StoreFixture,
) {
    let scribe = Scribe::create(&fixture.store, Shard::barriers(Lane::Bulk)).await;
    let tag = Barrier::Tag(Tag::new("eu"));
    let keys = [Barrier::Everything.key(), tag.key()];
    assert_eq!(scribe.read(&keys).await, [None, None]);
    scribe.raise(&tag).await;
    let flushed = scribe.flush().await;
    for record in scribe.read(&keys).await {
        assert_eq!(record.map(|record| record.version), Some(flushed.floor));
    }
}

fn set(text: &str, expect: Expect) -> Op {
    Op::Change(vec![Change {
        expect,
        ..Scribe::setting(&key(), &sealed(text.as_bytes()))
    }])
}

async fn body(scribe: &Scribe) -> Option<Arc<[u8]>> {
    scribe.record(&key()).await.map(|record| record.body)
}
