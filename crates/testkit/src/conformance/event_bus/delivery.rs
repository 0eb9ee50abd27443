//! Rules of a bus about delivery: who hears what, in which order, and for how long.
//!
//! What the events say is told in `words`.

use cache_core::{Change, Expect, Lane, Lineage, Op, Seq, Written};

use super::{heard, listener, listener_and_scribe, shard};
use crate::conformance::BusFixture;
use crate::{Scribe, keys_in, sealed, shards_in};

/// Events in a burst: more than fit one packet.
const MANY: u64 = 100;

pub(super) async fn a_subscriber_sees_every_event_in_order(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let mut heads = vec![scribe.head().await.expect("a head")];
    for number in 0..MANY {
        let key = &keys_in(shard(), 1)[0];
        heads.push(match number % 3 {
            0 => scribe.set(key, &sealed(b"a")).await,
            1 => scribe.delete(key).await,
            _ => scribe.announce(b"hello").await,
        });
    }
    let events = heard(&inbox, shard(), heads.len()).await;
    let told = events.iter().map(|event| (event.lineage, event.seq, event.id));
    let taken = heads.iter().map(|head| (head.lineage, head.seq, head.id));
    assert_eq!(told.collect::<Vec<_>>(), taken.collect::<Vec<_>>());
}

pub(super) async fn each_event_names_the_one_before_it(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    for _ in 0..5 {
        scribe.announce(b"hello").await;
    }
    scribe.flush().await;
    let events = heard(&inbox, shard(), 7).await;
    for pair in events.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.next());
        assert_eq!(pair[1].prev, pair[0].id, "what event {} names", pair[1].seq);
    }
}

pub(super) async fn every_shard_of_the_lane_is_heard(fixture: BusFixture) {
    for lane in Lane::ALL {
        let (inbox, _link) = listener(&fixture, lane).await;
        for shard in fixture.bus.shards().all(lane) {
            Scribe::create(&fixture.store, shard)
                .await
                .announce(b"hello")
                .await;
        }
        for shard in fixture.bus.shards().all(lane) {
            heard(&inbox, shard, 2).await;
        }
    }
}

pub(super) async fn events_of_the_other_lane_are_not_delivered(fixture: BusFixture) {
    let (bulk, _bulk_link) = listener(&fixture, Lane::Bulk).await;
    let (critical, _critical_link) = listener(&fixture, Lane::Critical).await;
    let shards = Lane::ALL.map(|lane| shards_in(lane, 1)[0]);
    for shard in shards {
        Scribe::create(&fixture.store, shard)
            .await
            .announce(b"hello")
            .await;
    }
    // When each has heard its own, neither may have heard the other's.
    for (inbox, own, other) in [(critical, shards[0], shards[1]), (bulk, shards[1], shards[0])] {
        heard(&inbox, own, 2).await;
        assert_eq!(inbox.events_of(other), []);
    }
}

pub(super) async fn two_subscribers_both_get_everything(fixture: BusFixture) {
    let (first, _first_link, scribe) = listener_and_scribe(&fixture).await;
    let (second, _second_link) = listener(&fixture, Lane::Bulk).await;
    for _ in 0..5 {
        scribe.announce(b"hello").await;
    }
    let events = heard(&first, shard(), 6).await;
    assert_eq!(heard(&second, shard(), 5).await, events[1..]);
}

pub(super) async fn dropping_the_link_ends_delivery(fixture: BusFixture) {
    let (stays, _link, scribe) = listener_and_scribe(&fixture).await;
    let (leaves, link) = listener(&fixture, Lane::Bulk).await;
    scribe.announce(b"before").await;
    heard(&leaves, shard(), 1).await;
    drop(link);
    for _ in 0..5 {
        scribe.announce(b"after").await;
    }
    heard(&stays, shard(), 7).await;
    assert_eq!(leaves.events_of(shard()).len(), 1);
}

pub(super) async fn what_was_refused_is_no_event(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let stranger = Scribe::believing(&fixture.store, shard(), Lineage(99));
    assert_eq!(stranger.attempt(Op::Flush).await.answer, None);
    let conflicting = Change {
        expect: Expect::Version(Seq(77)),
        ..Scribe::deletion(&keys_in(shard(), 1)[0])
    };
    let reply = scribe.attempt(Op::Change(vec![conflicting])).await;
    assert_eq!(reply.answer, Some(Written::Conflict { found: Seq::ZERO }));
    let marker = scribe.announce(b"marker").await;
    assert_eq!(heard(&inbox, shard(), 2).await[1].id, marker.id);
}

pub(super) async fn a_fill_is_no_event(fixture: BusFixture) {
    let (inbox, _link, scribe) = listener_and_scribe(&fixture).await;
    let key = &keys_in(shard(), 1)[0];
    scribe.begin_fill(key, 1, super::DEADLINE).await;
    scribe.commit_fill(key, 1, Some(&sealed(b"loaded"))).await;
    let marker = scribe.announce(b"marker").await;
    assert_eq!(heard(&inbox, shard(), 2).await[1].id, marker.id);
}
