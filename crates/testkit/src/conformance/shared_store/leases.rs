//! Rules of a shared store about fill leases: what ends them, and that nothing is stored without one.
//!
//! These rules keep a slow load from burying a newer value (promise G5 of the protocol).

use cache_core::{CacheKey, FillBegun, FillCommitted, Op};

use super::{AFTER_SHORT, LONG, SHORT, key, keys, scribe};
use crate::conformance::StoreFixture;
use crate::{Scribe, sealed};

pub(super) async fn a_commit_without_a_lease_is_rejected(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    assert_rejected(&scribe, &key, 1).await;
    assert_eq!(scribe.record(&key).await, None);
}

pub(super) async fn another_token_neither_commits_nor_releases(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    assert_rejected(&scribe, &key, 2).await;
    let reply = scribe.commit_fill(&key, 2, None).await;
    assert_eq!(reply.answer, Some(FillCommitted::Rejected));
    assert_eq!(scribe.record(&key).await, None);
    assert_stored(&scribe, &key, 1).await;
}

pub(super) async fn a_lease_commits_once(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    assert_stored(&scribe, &key, 1).await;
    assert_rejected(&scribe, &key, 1).await;
}

pub(super) async fn a_lease_ends_after_its_time(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, SHORT).await;
    (fixture.advance)(AFTER_SHORT).await;
    assert_rejected(&scribe, &key, 1).await;
    scribe.begin_fill(&key, 2, SHORT).await;
    (fixture.advance)(AFTER_SHORT).await;
    assert_eq!(scribe.begin_fill(&key, 3, LONG).await, FillBegun::Lease);
    // The one before is late and must not disturb its successor.
    assert_rejected(&scribe, &key, 2).await;
    assert_stored(&scribe, &key, 3).await;
}

pub(super) async fn a_write_takes_the_lease_away(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    scribe.set(&key, &sealed(b"written")).await;
    assert_rejected(&scribe, &key, 1).await;
    let record = scribe.record(&key).await.expect("a record");
    assert_eq!(record.body, sealed(b"written"));
}

pub(super) async fn a_deletion_takes_the_lease_away(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.begin_fill(&key, 1, LONG).await;
    scribe.delete(&key).await;
    assert_rejected(&scribe, &key, 1).await;
    assert_eq!(scribe.record(&key).await, None);
    assert_eq!(
        scribe.begin_fill(&key, 2, LONG).await,
        FillBegun::Lease,
        "nobody waits for the loser"
    );
}

pub(super) async fn a_write_of_many_keys_takes_the_lease_of_each_away(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(3));
    for key in &keys {
        scribe.begin_fill(key, 1, LONG).await;
    }
    let changes = keys.iter().map(Scribe::deletion).collect();
    scribe.write(Op::Change(changes)).await;
    for key in &keys {
        assert_rejected(&scribe, key, 1).await;
    }
}

pub(super) async fn a_write_of_another_key_leaves_the_lease(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(2));
    scribe.begin_fill(&keys[0], 1, LONG).await;
    scribe.set(&keys[1], &sealed(b"written")).await;
    scribe.announce(b"hello").await;
    assert_stored(&scribe, &keys[0], 1).await;
}

pub(super) async fn a_flush_takes_every_lease_away(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(2));
    for key in &keys {
        scribe.begin_fill(key, 1, LONG).await;
    }
    scribe.flush().await;
    // A flush is an invalidation of every key: what was being loaded may be what it was meant to remove.
    for key in &keys {
        assert_rejected(&scribe, key, 1).await;
    }
    assert_eq!(scribe.read(&keys).await, [None, None]);
}

async fn assert_rejected(scribe: &Scribe, key: &CacheKey, token: u64) {
    let reply = scribe.commit_fill(key, token, Some(&sealed(b"loaded"))).await;
    assert_eq!(reply.answer, Some(FillCommitted::Rejected));
}

async fn assert_stored(scribe: &Scribe, key: &CacheKey, token: u64) {
    let reply = scribe.commit_fill(key, token, Some(&sealed(b"loaded"))).await;
    assert!(
        matches!(reply.answer, Some(FillCommitted::Stored(_))),
        "{:?}",
        reply.answer
    );
}
