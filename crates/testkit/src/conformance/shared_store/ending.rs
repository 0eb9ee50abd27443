//! Rules of a shared store about the end of records: flushes and lifetimes.
//!
//! Barriers end records only in the eyes of the engine; the store knows nothing of that.

use std::time::Duration;

use cache_core::{
    CacheKey, Change, ErrorKind, Expect, FillBegun, FillCommitted, FillToken, Lane, NewRecord, Op, Seq,
};

use super::{AFTER_SHORT, LONG, SHORT, key, keys, scribe};
use crate::conformance::StoreFixture;
use crate::{Scribe, keys_in, sealed, shards_in};

pub(super) async fn a_flush_kills_every_record_and_new_ones_live(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(3));
    for key in &keys[..2] {
        scribe.set(key, &sealed(b"old")).await;
    }
    scribe.begin_fill(&keys[2], 1, LONG).await;
    scribe.commit_fill(&keys[2], 1, Some(&sealed(b"filled"))).await;
    let head = scribe.flush().await;
    assert_eq!(scribe.read(&keys).await, [None, None, None]);
    let begun = scribe.begin_fill(&keys[2], 2, LONG).await;
    assert_eq!(begun, FillBegun::Lease, "a fill finds a dead record");
    let written = scribe.set(&keys[0], &sealed(b"new")).await;
    assert_eq!(written.seq, head.seq.next());
    assert!(scribe.record(&keys[0]).await.is_some());
}

pub(super) async fn a_fill_right_after_a_flush_lives(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.flush().await;
    scribe.begin_fill(&key, 1, LONG).await;
    let reply = scribe.commit_fill(&key, 1, Some(&sealed(b"loaded"))).await;
    // It has the version of the flush itself: a floor as high as the flush would kill what is loaded after it.
    assert!(
        matches!(reply.answer, Some(FillCommitted::Stored(_))),
        "{:?}",
        reply.answer
    );
    assert!(scribe.record(&key).await.is_some());
}

pub(super) async fn a_flush_leaves_other_shards_alone(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let other = shards_in(Lane::Bulk, 2)[1];
    let (other, key) = (Scribe::create(&fixture.store, other).await, &keys_in(other, 1)[0]);
    other.set(key, &sealed(b"a")).await;
    scribe.flush().await;
    scribe.flush().await;
    assert!(other.record(key).await.is_some());
}

pub(super) async fn a_record_ends_with_its_ttl(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(2));
    scribe.write(Op::Change(vec![living(&keys[0], SHORT)])).await;
    scribe.set(&keys[1], &sealed(b"lasting")).await;
    (fixture.advance)(AFTER_SHORT).await;
    assert_eq!(scribe.record(&keys[0]).await, None);
    assert!(
        scribe.record(&keys[1]).await.is_some(),
        "a record that lasts longer"
    );
    assert_eq!(scribe.begin_fill(&keys[0], 1, LONG).await, FillBegun::Lease);
    let anew = Change {
        expect: Expect::Version(Seq::ZERO),
        ..living(&keys[0], LONG)
    };
    scribe.write(Op::Change(vec![anew])).await;
    assert!(scribe.record(&keys[0]).await.is_some(), "a record written anew");
}

pub(super) async fn a_filled_record_ends_with_its_ttl(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    let record = living(&key, SHORT).record;
    let committed = fixture
        .store
        .commit_fill(scribe.shard(), &key, scribe.lineage(), FillToken(1), record);
    let reply = committed.await.expect("the end of a fill is answered");
    assert!(
        matches!(reply.answer, Some(FillCommitted::Stored(_))),
        "{:?}",
        reply.answer
    );
    (fixture.advance)(AFTER_SHORT).await;
    assert_eq!(scribe.record(&key).await, None);
}

pub(super) async fn a_write_with_a_ttl_of_zero_is_rejected_and_changes_nothing(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(2));
    let head = scribe.set(&keys[0], &sealed(b"a")).await;
    let changes = vec![living(&keys[1], LONG), living(&keys[0], Duration::ZERO)];
    let refused = fixture.store.write(scribe.step(Op::Change(changes))).await;
    assert_eq!(
        refused.expect_err("records always end").kind(),
        ErrorKind::Rejected
    );
    assert_eq!(scribe.head().await, Some(head), "a refused write took a number");
    let record = scribe.record(&keys[0]).await.expect("a record");
    assert_eq!(record.body, sealed(b"a"));
    assert_eq!(scribe.record(&keys[1]).await, None);
}

pub(super) async fn a_fill_with_a_ttl_of_zero_is_rejected_and_stores_nothing(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    let record = living(&key, Duration::ZERO).record;
    let committed = fixture
        .store
        .commit_fill(scribe.shard(), &key, scribe.lineage(), FillToken(1), record);
    let refused = committed.await.expect_err("records always end");
    assert_eq!(refused.kind(), ErrorKind::Rejected);
    assert_eq!(scribe.record(&key).await, None);
}

fn living(key: &CacheKey, ttl: Duration) -> Change {
    let record = NewRecord {
        body: sealed(b"ending"),
        ttl,
    };
    Change {
        record: Some(record),
        ..Scribe::deletion(key)
    }
}
