//! Rules of a shared store about heads and lineages: who creates them, who wins, what an old lineage may still do.
//!
//! The event that tells the others is told in the suite of the bus.

use std::sync::Arc;

use cache_core::{
    Adopted, Adoption, EventId, FillToken, Lane, Lineage, Op, ReadFrom, Reply, Seq, Shard, SharedStore,
};
use tokio::task::JoinSet;

use super::{CROWD, LONG, key, keys, scribe, shard};
use crate::conformance::StoreFixture;
use crate::{Scribe, sealed, shards_in};

pub(super) async fn a_connected_store_says_so(fixture: StoreFixture) {
    let description = fixture.store.describe().await;
    assert!(description.connected);
    assert!(!description.backend.is_empty());
}

pub(super) async fn there_is_no_head_before_an_adoption(fixture: StoreFixture) {
    for shard in [shard(), Shard::barriers(Lane::Critical)] {
        let reply = fixture.store.read(shard, &[key()], ReadFrom::Primary).await;
        let reply = reply.expect("a read is answered");
        assert_eq!(reply.head, None);
        let records = reply.answer.unwrap_or_default();
        assert!(records.iter().all(Option::is_none), "{records:?}");
    }
}

pub(super) async fn an_adoption_gives_a_shard_its_first_head(fixture: StoreFixture) {
    let adoption = adoption(None, 7);
    let reply = adopt(&fixture.store, adoption).await;
    assert_eq!(reply.answer, Some(Adopted::Won));
    let head = reply.head.expect("there is a head now");
    assert_eq!((head.lineage, head.id), (adoption.to, adoption.id));
    assert!(head.seq > Seq::ZERO, "zero means that there is no record");
    let scribe = Scribe::believing(&fixture.store, shard(), adoption.to);
    assert_eq!(scribe.head().await, Some(head));
}

pub(super) async fn of_many_adopters_of_a_new_shard_one_wins(fixture: StoreFixture) {
    one_of_many_wins(&fixture.store, None).await;
}

pub(super) async fn of_many_adopters_of_a_lineage_one_wins(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    one_of_many_wins(&fixture.store, Some(scribe.lineage())).await;
}

pub(super) async fn an_adoption_from_another_lineage_loses_and_changes_nothing(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let head = scribe.set(&key(), &sealed(b"a")).await;
    for from in [None, Some(Lineage(99))] {
        let reply = adopt(&fixture.store, adoption(from, 7)).await;
        assert_eq!(reply.answer, Some(Adopted::Lost));
        assert_eq!(reply.head, Some(head), "the head that stands");
    }
    assert!(scribe.record(&key()).await.is_some());
}

pub(super) async fn a_number_up_to_the_hint_is_never_issued_again(fixture: StoreFixture) {
    let old = scribe(&fixture).await;
    let new = old.succeed(Seq(1_000)).await;
    let adopted = new.head().await.expect("a head").seq;
    assert!(adopted > Seq(1_000), "the adoption itself took {adopted}");
    assert_eq!(new.set(&key(), &sealed(b"a")).await.seq, adopted.next());
}

pub(super) async fn a_hint_below_the_head_does_not_turn_the_sequence_back(fixture: StoreFixture) {
    let old = scribe(&fixture).await;
    old.announce(b"one").await;
    let before = old.announce(b"two").await.seq;
    let new = old.succeed(Seq(1)).await;
    assert_eq!(new.head().await.expect("a head").seq, before.next());
}

pub(super) async fn after_an_adoption_every_record_is_dead_and_new_ones_live(fixture: StoreFixture) {
    let (old, keys) = (scribe(&fixture).await, keys(3));
    for key in &keys {
        old.set(key, &sealed(b"old")).await;
    }
    let new = old.succeed(Seq::ZERO).await;
    assert_eq!(new.read(&keys).await, [None, None, None]);
    new.begin_fill(&keys[0], 1, LONG).await;
    new.commit_fill(&keys[0], 1, Some(&sealed(b"filled"))).await;
    assert!(
        new.record(&keys[0]).await.is_some(),
        "a fill right after an adoption"
    );
    new.set(&keys[1], &sealed(b"new")).await;
    assert!(new.record(&keys[1]).await.is_some(), "a write after an adoption");
}

pub(super) async fn after_an_adoption_the_old_lineage_is_refused(fixture: StoreFixture) {
    let (old, key) = (scribe(&fixture).await, key());
    old.begin_fill(&key, 1, LONG).await;
    let new = old.succeed(Seq::ZERO).await;
    let head = new.head().await;
    let reply = old.attempt(Op::Flush).await;
    assert_eq!((reply.answer, reply.head), (None, head), "a write");
    let reply = old.commit_fill(&key, 1, Some(&sealed(b"old"))).await;
    assert_eq!((reply.answer, reply.head), (None, head), "the end of a fill");
    let begun = fixture
        .store
        .begin_fill(shard(), &key, Seq::ZERO, old.lineage(), FillToken(2), LONG);
    let reply = begun.await.expect("the beginning of a fill is answered");
    assert_eq!(
        (reply.answer, reply.head),
        (None, head),
        "the beginning of a fill"
    );
    assert_eq!(new.record(&key).await, None);
}

pub(super) async fn shards_have_histories_of_their_own(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    scribe.announce(b"one").await;
    let twin = shards_in(Lane::Critical, 1)[0];
    assert_eq!(
        twin.index(),
        shard().index(),
        "the other lane's shard of this number"
    );
    for other in [shards_in(Lane::Bulk, 2)[1], twin] {
        assert_eq!(
            Scribe::believing(&fixture.store, other, Lineage(1)).head().await,
            None
        );
        let other = Scribe::create(&fixture.store, other).await;
        let first = other.announce(b"one").await.seq;
        assert_eq!(
            scribe.head().await.expect("a head").seq,
            first,
            "both took as many steps"
        );
    }
}

async fn one_of_many_wins(store: &Arc<dyn SharedStore>, from: Option<Lineage>) {
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let (store, adoption) = (Arc::clone(store), adoption(from, 100 + number));
        crowd.spawn(async move { (adoption.to, adopt(&store, adoption).await) });
    }
    let replies = crowd.join_all().await;
    let won = |reply: &Reply<Adopted>| reply.answer == Some(Adopted::Won);
    let winners: Vec<_> = replies.iter().filter(|(_, reply)| won(reply)).collect();
    let [(winner, _)] = winners[..] else {
        panic!("{} of {CROWD} adopters won", winners.len());
    };
    for (_, reply) in &replies {
        assert_eq!(
            reply.head.map(|head| head.lineage),
            Some(*winner),
            "the head that stands"
        );
    }
}

async fn adopt(store: &Arc<dyn SharedStore>, adoption: Adoption) -> Reply<Adopted> {
    store.adopt(adoption).await.expect("an adoption is answered")
}

fn adoption(from: Option<Lineage>, to: u64) -> Adoption {
    Adoption {
        shard: shard(),
        from,
        to: Lineage(to),
        hint: Seq::ZERO,
        id: EventId(1_000 + to),
    }
}

pub(super) async fn an_adoption_sets_the_mark_and_every_other_step_keeps_it(fixture: StoreFixture) {
    let scribe = scribe(&fixture).await;
    let mark = scribe.head().await.expect("a head").mark;
    let set = scribe.set(&key(), &sealed(b"a")).await;
    let deleted = scribe.delete(&key()).await;
    let announced = scribe.announce(b"hello").await;
    let flushed = scribe.flush().await;
    scribe.begin_fill(&key(), 7, LONG).await;
    let filled = scribe.commit_fill(&key(), 7, Some(&sealed(b"b"))).await.head;
    for head in [set, deleted, announced, flushed, filled.expect("a head")] {
        assert_eq!(head.mark, mark);
    }
    // The server is the same process still.
    let next = scribe.succeed(Seq::ZERO).await;
    assert_eq!(next.head().await.expect("a head").mark, mark);
}
