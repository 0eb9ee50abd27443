//! Rules of a bus about heads: what a heartbeat learns.
//!
//! What the answer does to leases is the protocol's concern.

use std::collections::HashMap;
use std::time::Duration;

use cache_core::{BusLink, Head, Heads, Lane, Op, ReadFrom, Seq, Shard};

use super::{listener, listener_and_scribe, shard};
use crate::conformance::BusFixture;
use crate::{Scribe, keys_in, sealed, shards_in};

pub(super) async fn heads_name_every_shard_of_the_lane_once(fixture: BusFixture) {
    for lane in Lane::ALL {
        let (_inbox, link) = listener(&fixture, lane).await;
        let mut named: Vec<_> = ask(&*link).await.heads.iter().map(|of| of.shard).collect();
        named.sort();
        assert_eq!(named, fixture.bus.shards().all(lane).collect::<Vec<_>>());
    }
}

pub(super) async fn heads_are_those_of_this_instant(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let barriers = Scribe::create(&fixture.store, Shard::barriers(Lane::Bulk)).await;
    let unborn = shards_in(Lane::Bulk, 2)[1];
    for _ in 0..3 {
        let newest = scribe.flush().await;
        let heads = by_shard(&ask(&*link).await);
        assert_eq!(heads[&shard()], Some(newest));
        assert_eq!(heads[&barriers.shard()], barriers.head().await);
        assert_eq!(heads[&unborn], None);
    }
    let next = scribe.succeed(Seq(50)).await;
    assert_eq!(
        by_shard(&ask(&*link).await)[&shard()],
        next.head().await,
        "after an adoption"
    );
}

pub(super) async fn every_answer_names_the_same_server(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let read = fixture
        .store
        .read(shard(), &[], ReadFrom::Primary)
        .await
        .expect("a read is answered");
    let written = scribe.attempt(Op::Flush).await;
    let replay = link
        .replay(shard(), scribe.head().await.expect("a head").seq)
        .await
        .expect("a replay");
    let heads = ask(&*link).await.heads;
    let told = heads
        .iter()
        .find(|of| of.shard == shard())
        .expect("its head")
        .server;
    assert_eq!([read.server, written.server, replay.server], [told; 3]);
}

pub(super) async fn a_record_ends_its_ttl_after_the_time_that_heads_tell(fixture: BusFixture) {
    let (_inbox, link, scribe) = listener_and_scribe(&fixture).await;
    let key = &keys_in(shard(), 1)[0];
    let before = ask(&*link).await.time;
    scribe.set(key, &sealed(b"a")).await;
    let record = scribe.record(key).await.expect("a record");
    let after = ask(&*link).await.time;
    let ttl = Scribe::lasting(&record.body).ttl;
    // Nodes derive from both when their copies end; a millisecond is the clock's grain.
    let grain = Duration::from_millis(1);
    assert!(
        before + ttl <= record.expires + grain,
        "{} ends too early",
        record.expires
    );
    assert!(
        record.expires <= after + ttl + grain,
        "{} ends too late",
        record.expires
    );
}

async fn ask(link: &dyn BusLink) -> Heads {
    link.heads().await.expect("heads are told")
}

fn by_shard(heads: &Heads) -> HashMap<Shard, Option<Head>> {
    heads.heads.iter().map(|of| (of.shard, of.head)).collect()
}
