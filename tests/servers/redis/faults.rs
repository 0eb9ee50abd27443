//! What a node may answer while its connections are bad: nothing older than the bound, whatever direction is affected.
//!
//! Servers that forget are told in `failovers`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Clock, Lane, Moment, SystemClock};
use edge_cache::{CacheError, EdgeCache, Put, Receipt, Rule, Rules};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::nodes::{LEASE, NONE, PATIENCE, Pair, bound_passes, eventually, key, read, stale, tag, warm_by};
use crate::proxy::{Kind, Passage};
use crate::server::Server;

/// A load that takes `delay` and answers what the source holds when it begins.
async fn load(node: &EdgeCache, id: u64, source: &Arc<AtomicU64>, delay: Duration) -> Option<u64> {
    let source = Arc::clone(source);
    let loader = move |_| {
        let source = Arc::clone(&source);
        async move {
            let value = source.load(Ordering::SeqCst);
            sleep(delay).await;
            Ok::<_, std::io::Error>(value)
        }
    };
    let answer = node.get_or_load(&key(id), loader).await;
    answer.ok().flatten().map(|fetched| *fetched)
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_an_answer_that_an_invalidation_overtook_is_not_kept() {
    let pair = Pair::start().await;
    for id in 0..30 {
        pair.near.put(&key(id), 1).await.expect("put");
        pair.proxy.weather(
            Kind::Data,
            Passage::Open,
            Passage::Late(Duration::from_millis(40)),
        );
        let reading = read(&pair.far, id);
        let writing = async {
            sleep(Duration::from_millis(10)).await;
            pair.near.put(&key(id), 2).await.expect("put");
        };
        tokio::join!(reading, writing);
        pair.proxy.calm();
        eventually("the newer value", LEASE, async || {
            read(&pair.far, id).await == Some(2)
        })
        .await;
        assert_eq!(read(&pair.far, id).await, Some(2));
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_a_load_that_an_invalidation_overtook_is_stored_nowhere() {
    let pair = Pair::start().await;
    let source = Arc::new(AtomicU64::new(1));
    for id in 0..20 {
        source.store(1, Ordering::SeqCst);
        let [asked, published] = [(); 2].map(|()| Arc::new(Notify::new()));
        let loading = async {
            let (source, asked, published) =
                (Arc::clone(&source), Arc::clone(&asked), Arc::clone(&published));
            let key = key(id);
            let answer = pair.far.get_or_load(&key, move |_| {
                let (value, asked) = (source.load(Ordering::SeqCst), Arc::clone(&asked));
                let published = Arc::clone(&published);
                async move {
                    if value == 1 {
                        asked.notify_one();
                        published.notified().await;
                    }
                    Ok::<_, std::io::Error>(value)
                }
            });
            answer.await.expect("loaded").as_deref().copied()
        };
        let invalidating = async {
            asked.notified().await;
            source.store(2, Ordering::SeqCst);
            pair.near.invalidate(&key(id)).await.expect("published");
            published.notify_one();
        };
        let (loaded, ()) = tokio::join!(loading, invalidating);
        assert_eq!(loaded, Some(2), "the loader is asked again");
        assert_eq!(load(&pair.near, id, &source, Duration::ZERO).await, Some(2));
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_a_node_reads_what_it_wrote_while_its_own_events_are_late() {
    let pair = Pair::start().await;
    pair.share(0..10).await;
    pair.proxy.weather(
        Kind::Bus,
        Passage::Open,
        Passage::Late(Duration::from_millis(400)),
    );
    for round in 1..=3 {
        for id in 0..10 {
            pair.far.put(&key(id), round * 100 + id).await.expect("put");
            assert_eq!(read(&pair.far, id).await, Some(round * 100 + id));
        }
    }
    pair.proxy.calm();
    bound_passes().await;
    assert_eq!(stale(&pair.far, 0..10, |id| 300 + id).await, NONE);
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s06_a_lost_answer_is_retried_for_an_invalidation_and_told_for_a_value() {
    let pair = Pair::start().await;
    pair.share(0..2).await;
    pair.proxy.weather(Kind::Data, Passage::Open, Passage::Swallowed);
    let put = pair.far.put(&key(0), 100).await;
    assert!(matches!(put, Err(CacheError::Uncertain(_))), "{put:?}");
    pair.proxy.reset(Kind::Data);
    let queued = pair
        .far
        .invalidate(&key(1))
        .await
        .expect("owed, if not published");
    pair.near.put(&key(0), 200).await.expect("a rival's newer write");
    pair.proxy.calm();
    pair.proxy.reset(Kind::Data);
    eventually("nothing is owed", PATIENCE, async || pair.far.stats().owed == 0).await;
    assert!(
        matches!(queued, Receipt::Queued | Receipt::Published { .. }),
        "{queued:?}"
    );
    for node in [&pair.far, &pair.near] {
        eventually("the invalidation holds", PATIENCE, async || {
            read(node, 1).await.is_none()
        })
        .await;
    }
    assert_ne!(
        read(&pair.near, 0).await,
        Some(100),
        "the lost write was not sent a second time"
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_hole_that_the_log_no_longer_fills_flushes_its_shards_and_no_others() {
    let pair = Pair::start().await;
    pair.share(0..100).await;
    let before = pair.far.stats().events[Lane::Bulk.index()];
    pair.proxy.accept(false);
    pair.proxy.reset(Kind::Bus);
    for _ in 0..3 {
        pair.near.put(&key(0), 1_000).await.expect("put");
    }
    let stream = format!("{}:e", tag(0));
    pair.server.command(&["XTRIM", &stream, "MAXLEN", "0"]).await;
    pair.proxy.accept(true);
    eventually("the newest value", PATIENCE, async || {
        read(&pair.far, 0).await == Some(1_000)
    })
    .await;
    let after = pair.far.stats().events[Lane::Bulk.index()];
    assert_eq!(after.flushes, before.flushes + 1, "{after:?}");
    let kept = (1..100)
        .filter(|id| pair.far.peek(&key(*id)).is_ok_and(|held| held.is_some()))
        .count();
    assert!(kept >= 90, "other shards keep what they had: {kept}");
    pair.shutdown().await;
}

/// A connection of one kind goes bad in one direction; what is written meanwhile is nowhere stale after the bound.
async fn bounded(kind: Kind, to_server: Passage, to_node: Passage) -> Pair {
    let pair = Pair::start().await;
    pair.share(0..40).await;
    pair.proxy.weather(kind, to_server, to_node);
    for id in 0..40 {
        pair.near.put(&key(id), 1_000 + id).await.expect("put");
    }
    bound_passes().await;
    assert_eq!(
        stale(&pair.far, 0..40, |id| 1_000 + id).await,
        NONE,
        "{kind:?} {to_server:?} {to_node:?}"
    );
    pair.proxy.calm();
    eventually("the node is well again", PATIENCE, async || {
        pair.far.put(&key(1), 5_000).await.is_ok() && pair.far.health().await.bus_active
    })
    .await;
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_half_open_bus_serves_nothing_older_than_the_bound() {
    bounded(Kind::Bus, Passage::Open, Passage::Swallowed)
        .await
        .shutdown()
        .await;
    bounded(Kind::Bus, Passage::Swallowed, Passage::Open)
        .await
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_without_the_lease_a_half_open_bus_serves_what_is_long_gone() {
    let pair = Pair::under(Rules::without(Rule::LeaseCheck)).await;
    pair.share(0..40).await;
    pair.proxy.weather(Kind::Bus, Passage::Open, Passage::Swallowed);
    for id in 0..40 {
        pair.near.put(&key(id), 1_000 + id).await.expect("put");
    }
    bound_passes().await;
    let stale = stale(&pair.far, 0..40, |id| 1_000 + id).await;
    assert_eq!(stale.len(), 40, "the fault is real, and only the lease bounds it");
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_frozen_bus_serves_nothing_older_than_the_bound_and_catches_up_when_it_thaws() {
    bounded(Kind::Bus, Passage::Open, Passage::Frozen)
        .await
        .shutdown()
        .await;
    bounded(Kind::Bus, Passage::Frozen, Passage::Open)
        .await
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_frozen_data_path_serves_nothing_older_than_the_bound() {
    bounded(Kind::Data, Passage::Open, Passage::Frozen)
        .await
        .shutdown()
        .await;
    bounded(Kind::Data, Passage::Open, Passage::Swallowed)
        .await
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_late_heartbeats_prolong_no_lease() {
    bounded(Kind::Bus, Passage::Open, Passage::Late(LEASE.mul_f64(0.9)))
        .await
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_a_subscriber_that_the_server_throws_out_for_being_slow_misses_nothing() {
    let pair = Pair::start().await;
    pair.share(0..20).await;
    pair.server
        .command(&[
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "pubsub 65536 65536 1",
        ])
        .await;
    pair.proxy.weather(Kind::Bus, Passage::Open, Passage::Frozen);
    let ids: Vec<_> = (0..20).map(key).collect();
    for round in 1..=400 {
        let entries = ids
            .iter()
            .map(|key| (key.clone(), Put::from(round * 1_000)))
            .collect();
        pair.near.put_many(entries).await.expect("put");
    }
    pair.proxy.calm();
    eventually("the newest of everything", PATIENCE, async || {
        stale(&pair.far, 0..20, |_| 400_000).await.is_empty() && read(&pair.far, 7).await == Some(400_000)
    })
    .await;
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s30_a_loader_slower_than_its_lease_stores_nothing_and_its_value_is_returned() {
    let pair = Pair::start().await;
    let source = Arc::new(AtomicU64::new(1));
    let slow = load(&pair.far, 1, &source, LEASE * 2);
    let answer = slow.await;
    assert!(answer.is_none_or(|value| value == 1), "{answer:?}");
    source.store(2, Ordering::SeqCst);
    pair.near.invalidate(&key(1)).await.expect("published");
    for node in [&pair.far, &pair.near] {
        assert_eq!(load(node, 1, &source, Duration::ZERO).await, Some(2));
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s31_more_invalidations_than_an_outage_may_owe_become_flushes_and_none_is_lost() {
    let pair = Pair::start().await;
    pair.share(0..50).await;
    pair.proxy.accept(false);
    pair.proxy.reset(Kind::Data);
    for id in 0..12_000 {
        pair.far.invalidate(&key(id)).await.expect("owed");
    }
    assert!(
        pair.far.stats().owed <= 10_000,
        "bounded: {}",
        pair.far.stats().owed
    );
    pair.proxy.accept(true);
    eventually("nothing is owed", PATIENCE, async || pair.far.stats().owed == 0).await;
    for node in [&pair.far, &pair.near] {
        eventually("none of it is left", LEASE, async || {
            stale(node, 0..50, |_| u64::MAX).await.is_empty()
        })
        .await;
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s50_an_event_of_a_newer_release_flushes_its_shard_and_is_never_ignored() {
    let pair = Pair::start().await;
    pair.share(0..100).await;
    let before = pair.far.stats().events[Lane::Bulk.index()].flushes;
    let channel = format!("{}:c:0", tag(0));
    pair.server
        .command(&[
            "SPUBLISH",
            &channel,
            "\u{3}said in a way that only a newer release knows",
        ])
        .await;
    eventually("its shard is flushed", LEASE, async || {
        pair.far.peek(&key(0)).is_ok_and(|held| held.is_none())
    })
    .await;
    assert_eq!(pair.far.stats().events[Lane::Bulk.index()].flushes, before + 1);
    assert_eq!(read(&pair.far, 0).await, Some(0), "and read again");
    pair.shutdown().await;
}

/// A clock whose idea of the date is wrong.
struct WrongDate(SystemClock, i64);

impl Clock for WrongDate {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn ceiling(&self, deadline: Moment) -> Moment {
        self.0.ceiling(deadline)
    }

    fn unix_millis(&self) -> u64 {
        self.0.unix_millis().saturating_add_signed(self.1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s33_dates_that_are_an_hour_wrong_either_way_change_no_order_and_end_no_life() {
    const HOUR: i64 = 3_600_000;
    let server = Server::start().await;
    let node = |wrong| warm_by(server.settings(), Arc::new(WrongDate(SystemClock::new(), wrong)));
    let nodes = [node(HOUR).await, node(-HOUR).await];
    for round in 0..20 {
        let (writer, reader) = (&nodes[round % 2], &nodes[1 - round % 2]);
        let value = 1_000 + round as u64;
        writer.put(&key(1), value).await.expect("put");
        eventually("the newest counts", PATIENCE, async || {
            read(reader, 1).await == Some(value)
        })
        .await;
        assert_eq!(read(writer, 1).await, Some(value));
    }
    let hits = |node: &EdgeCache| -> u64 {
        let namespaces = node.stats().namespaces;
        namespaces.iter().map(|(_, counts)| counts.l1_hits).sum()
    };
    for node in &nodes {
        let before = hits(node);
        assert_eq!(read(node, 1).await, Some(1_019));
        assert_eq!(hits(node), before + 1, "it lives in memory");
        node.shutdown().await;
    }
}
