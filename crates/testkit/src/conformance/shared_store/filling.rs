//! Rules of a shared store about fills: who may load, what a fill stores.
//!
//! What takes the right away again is told in `leases`.

use std::sync::Arc;

use cache_core::{FillBegun, FillCommitted, FillToken, Lineage, Seq};
use tokio::task::JoinSet;

use super::{CROWD, LONG, key, keys, scribe, shard};
use crate::conformance::StoreFixture;
use crate::{Scribe, sealed};

pub(super) async fn a_fill_of_a_missing_record_gets_the_lease_and_the_next_one_waits(fixture: StoreFixture) {
    let (scribe, keys) = (scribe(&fixture).await, keys(2));
    assert_eq!(scribe.begin_fill(&keys[0], 1, LONG).await, FillBegun::Lease);
    match scribe.begin_fill(&keys[0], 2, LONG).await {
        FillBegun::Wait(rest) => assert!(rest <= LONG, "{rest:?} is more than the lease"),
        other => panic!("{other:?} while another node loads"),
    }
    assert_eq!(
        scribe.begin_fill(&keys[1], 2, LONG).await,
        FillBegun::Lease,
        "another key"
    );
}

pub(super) async fn a_fill_of_a_live_record_finds_it(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    scribe.set(&key, &sealed(b"a")).await;
    let record = scribe.record(&key).await.expect("a record");
    assert_eq!(scribe.begin_fill(&key, 1, LONG).await, FillBegun::Found(record));
}

pub(super) async fn a_record_that_is_not_newer_counts_as_missing(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    let version = scribe.set(&key, &sealed(b"a")).await.seq;
    let older = Seq(version.0 - 1);
    let begun = scribe.begin_fill_newer_than(&key, older, 1, LONG).await;
    assert!(
        matches!(begun, FillBegun::Found(_)),
        "{begun:?} of a newer record"
    );
    let begun = scribe.begin_fill_newer_than(&key, version, 2, LONG).await;
    assert_eq!(begun, FillBegun::Lease);
    // Who does not mind the record is served while another node loads a new one.
    let begun = scribe.begin_fill(&key, 3, LONG).await;
    assert!(matches!(begun, FillBegun::Found(_)), "{begun:?} of a live record");
    let begun = scribe.begin_fill_newer_than(&key, version.next(), 4, LONG).await;
    assert!(
        matches!(begun, FillBegun::Wait(_)),
        "{begun:?} while another node loads"
    );
}

pub(super) async fn a_fill_of_a_shard_without_a_head_is_refused(fixture: StoreFixture) {
    let (scribe, key) = (Scribe::believing(&fixture.store, shard(), Lineage(1)), key());
    let begun = fixture
        .store
        .begin_fill(shard(), &key, Seq::ZERO, scribe.lineage(), FillToken(1), LONG);
    let reply = begun.await.expect("the beginning of a fill is answered");
    assert_eq!((reply.answer, reply.head), (None, None));
    let reply = scribe.commit_fill(&key, 1, None).await;
    assert_eq!((reply.answer, reply.head), (None, None));
}

pub(super) async fn a_fill_in_another_lineage_is_refused(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    let head = scribe.set(&key, &sealed(b"a")).await;
    let stranger = Lineage(99);
    let begun = fixture
        .store
        .begin_fill(shard(), &key, head.seq, stranger, FillToken(1), LONG);
    let reply = begun.await.expect("the beginning of a fill is answered");
    assert_eq!((reply.answer, reply.head), (None, Some(head)));
    let begun = scribe.begin_fill_newer_than(&key, head.seq, 2, LONG).await;
    assert_eq!(begun, FillBegun::Lease, "the stranger holds no lease");
    let reply = Scribe::believing(&fixture.store, shard(), stranger)
        .commit_fill(&key, 2, None)
        .await;
    assert_eq!((reply.answer, reply.head), (None, Some(head)));
}

pub(super) async fn a_committed_fill_is_a_record_of_the_heads_version_and_no_step(fixture: StoreFixture) {
    let (scribe, keys, body) = (scribe(&fixture).await, keys(2), sealed(b"loaded"));
    scribe.begin_fill(&keys[0], 1, LONG).await;
    let head = scribe.set(&keys[1], &sealed(b"something else")).await;
    let reply = scribe.commit_fill(&keys[0], 1, Some(&body)).await;
    assert_eq!(reply.head, Some(head));
    let Some(FillCommitted::Stored(stored)) = reply.answer else {
        panic!("{:?} while the lease was held", reply.answer);
    };
    assert_eq!((stored.version, &stored.body), (head.seq, &body));
    assert_eq!(scribe.head().await, Some(head), "a fill took a number");
    assert_eq!(scribe.record(&keys[0]).await.as_ref(), Some(&stored));
    let begun = scribe.begin_fill(&keys[0], 2, LONG).await;
    assert_eq!(begun, FillBegun::Found(stored));
}

pub(super) async fn a_committed_fill_replaces_a_record_that_counted_as_missing(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    let version = scribe.set(&key, &sealed(b"old")).await.seq;
    scribe.begin_fill_newer_than(&key, version, 1, LONG).await;
    let reply = scribe.commit_fill(&key, 1, Some(&sealed(b"new"))).await;
    assert!(
        matches!(reply.answer, Some(FillCommitted::Stored(_))),
        "{reply:?}"
    );
    let record = scribe.record(&key).await.expect("a record");
    assert_eq!(record.body, sealed(b"new"));
}

pub(super) async fn a_commit_without_a_record_gives_the_lease_back(fixture: StoreFixture) {
    let (scribe, key) = (scribe(&fixture).await, key());
    let head = scribe.head().await;
    scribe.begin_fill(&key, 1, LONG).await;
    let reply = scribe.commit_fill(&key, 1, None).await;
    assert_eq!(reply.answer, Some(FillCommitted::Released));
    assert_eq!(scribe.record(&key).await, None);
    assert_eq!(scribe.head().await, head, "a released lease took a number");
    assert_eq!(scribe.begin_fill(&key, 2, LONG).await, FillBegun::Lease);
}

pub(super) async fn of_many_that_begin_a_fill_at_once_one_gets_the_lease(fixture: StoreFixture) {
    let scribe = Arc::new(scribe(&fixture).await);
    let mut crowd = JoinSet::new();
    for token in 1..=CROWD {
        let scribe = Arc::clone(&scribe);
        crowd.spawn(async move { scribe.begin_fill(&key(), token, LONG).await });
    }
    let begun = crowd.join_all().await;
    let leases = begun.iter().filter(|begun| **begun == FillBegun::Lease).count();
    assert_eq!(leases, 1, "{begun:?}");
}
