//! Events that are lost, doubled and put out of order on their way, and readers that come while they are under way.
//!
//! The proxy changes what the server says at the borders of its messages; all else passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Lane, ManualClock};
use edge_cache::EdgeCache;
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::nodes::{
    LEASE, NONE, PATIENCE, Pair, bound_passes, eventually, key, read, stale, through, warm, warm_by,
};
use crate::proxy::{Events, Kind, Passage, Proxy};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn s05_a_reader_that_joins_a_fetch_from_before_its_nodes_own_write_gets_the_written_value() {
    let pair = Pair::start().await;
    for id in 0..20 {
        pair.near.put(&key(id), 1).await.expect("put");
        pair.proxy.weather(
            Kind::Data,
            Passage::Open,
            Passage::Late(Duration::from_millis(40)),
        );
        let key = key(id);
        let fetching = read(&pair.far, id);
        let writing = async {
            pair.far.put(&key, 2).await.expect("put");
            // The fetch may still be under way; who comes now may not be given what it finds.
            let joining = (0..5).map(|_| read(&pair.far, id));
            assert_eq!(join_all(joining).await, [Some(2); 5]);
        };
        tokio::join!(fetching, writing);
        pair.proxy.calm();
        assert_eq!(read(&pair.far, id).await, Some(2));
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_one_lost_event_on_a_bus_that_falls_silent_is_found_by_the_next_heartbeat() {
    let pair = Pair::start().await;
    pair.share(0..40).await;
    let before = pair.far.stats().events[Lane::Bulk.index()];
    pair.proxy
        .weather(Kind::Bus, Passage::Open, Passage::Events(Events::Lost));
    pair.near.put(&key(7), 1_000).await.expect("put");
    eventually("the event is lost", PATIENCE, async || pair.proxy.touched() == 1).await;
    pair.proxy.calm();
    // Nothing is published after it that would show the hole.
    eventually("the lost event is read from the log", LEASE, async || {
        pair.far
            .peek(&key(7))
            .is_ok_and(|held| held.is_none_or(|held| *held == 1_000))
    })
    .await;
    assert_eq!(read(&pair.far, 7).await, Some(1_000));
    let after = pair.far.stats().events[Lane::Bulk.index()];
    assert_eq!(
        (after.flushes, after.lineages),
        (before.flushes, before.lineages),
        "by a replay"
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_doubled_and_reordered_events_end_as_in_order() {
    let pair = Pair::start().await;
    pair.share(0..10).await;
    let before = pair.far.stats().events[Lane::Bulk.index()];
    pair.proxy
        .weather(Kind::Bus, Passage::Open, Passage::Events(Events::Unruly));
    for round in 1..=60 {
        for id in 0..10 {
            pair.near.put(&key(id), round * 1_000 + id).await.expect("put");
        }
        // Versions never go back, whatever has come of the events.
        let newest = read(&pair.far, round % 10).await.unwrap_or(0);
        let again = read(&pair.far, round % 10).await.unwrap_or(u64::MAX);
        assert!(again >= newest, "{newest} was followed by {again}");
    }
    bound_passes().await;
    assert_eq!(stale(&pair.far, 0..10, |id| 60_000 + id).await, NONE);
    let after = pair.far.stats().events[Lane::Bulk.index()];
    assert!(
        pair.proxy.touched() > 100,
        "{} events were moved",
        pair.proxy.touched()
    );
    assert!(after.duplicates > before.duplicates, "{after:?}");
    assert_eq!(
        (after.forks, after.lineages),
        (before.forks, before.lineages),
        "no history was doubted"
    );
    pair.proxy.calm();
    pair.shutdown().await;
}

/// A load that answers what the source holds when it begins, and tells that it has begun.
async fn slow_load(
    node: &EdgeCache,
    id: u64,
    source: &Arc<AtomicU64>,
    begun: &Arc<Notify>,
    delay: Duration,
) -> u64 {
    let (source, begun) = (Arc::clone(source), Arc::clone(begun));
    let loader = move |_| {
        let value = source.load(Ordering::SeqCst);
        begun.notify_one();
        async move {
            tokio::time::sleep(delay).await;
            Ok::<_, std::io::Error>(value)
        }
    };
    let loaded = node.get_or_load(&key(id), loader).await;
    loaded.ok().flatten().map_or(0, |fetched| *fetched)
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_who_comes_to_a_load_that_hangs_is_not_given_what_it_began_with_long_ago() {
    let pair = Pair::start().await;
    let (source, begun) = (Arc::new(AtomicU64::new(1)), Arc::new(Notify::new()));
    let hanging = {
        let (far, source, begun) = (pair.far.clone(), Arc::clone(&source), Arc::clone(&begun));
        tokio::spawn(async move { slow_load(&far, 1, &source, &begun, LEASE * 3).await })
    };
    begun.notified().await;
    source.store(2, Ordering::SeqCst);
    pair.near.invalidate(&key(1)).await.expect("published");
    bound_passes().await;
    for _ in 0..5 {
        let late = slow_load(&pair.far, 1, &source, &begun, Duration::ZERO).await;
        assert_eq!(late, 2, "the bound has passed since the change was published");
    }
    hanging.await.expect("a reader");
    assert_eq!(slow_load(&pair.far, 1, &source, &begun, Duration::ZERO).await, 2);
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s34_a_tagged_load_on_one_shard_that_its_tags_invalidation_overtook_is_dead_everywhere() {
    let pair = Pair::start().await;
    for id in 0..40 {
        let tag = format!("tag-{id}");
        let source = Arc::new(AtomicU64::new(1));
        let [begun, published] = [(); 2].map(|()| Arc::new(Notify::new()));
        let load = async |node: &EdgeCache, waits: bool| {
            let (source, tag) = (Arc::clone(&source), tag.clone());
            let (begun, published) = (Arc::clone(&begun), Arc::clone(&published));
            let loader = move |_| {
                let (value, tag) = (source.load(Ordering::SeqCst), tag.clone());
                let (begun, published) = (Arc::clone(&begun), Arc::clone(&published));
                async move {
                    if waits && value == 1 {
                        begun.notify_one();
                        published.notified().await;
                    }
                    Ok::<_, std::io::Error>(edge_cache::Load::value(value).with_tag(tag))
                }
            };
            node.get_or_load(&key(id), loader)
                .await
                .ok()
                .flatten()
                .map(|fetched| *fetched)
        };
        let invalidating = async {
            begun.notified().await;
            source.store(2, Ordering::SeqCst);
            pair.near.invalidate_tag(&tag).await.expect("published");
            published.notify_one();
        };
        tokio::join!(load(&pair.far, true), invalidating);
        for node in [&pair.far, &pair.near] {
            eventually("the old value is dead", LEASE, async || {
                load(node, false).await == Some(2)
            })
            .await;
            assert_eq!(read(node, id).await, Some(2));
        }
    }
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s35_a_key_that_is_written_without_a_pause_ends_the_same_on_every_node() {
    let server = Server::start().await;
    let mut nodes = Vec::new();
    for _ in 0..10 {
        nodes.push(warm(server.settings()).await);
    }
    let flushes = |node: &EdgeCache| node.stats().events[Lane::Bulk.index()].flushes;
    let before: Vec<u64> = nodes.iter().map(flushes).collect();
    // Two write and eight read; half of all writes are of the same instant.
    let writing = [0, 1].map(|writer| {
        let node = nodes[writer].clone();
        async move {
            for round in 1..=400 {
                // On a busy machine an acknowledgement may once come too late to count.
                eventually("the value is written", PATIENCE, async || {
                    node.put(&key(1), round * 2 + writer as u64).await.is_ok()
                })
                .await;
            }
        }
    });
    let reading = nodes[2..].iter().map(|node| async {
        for _ in 0..400 {
            read(node, 1).await;
        }
    });
    tokio::join!(join_all(writing), join_all(reading));
    bound_passes().await;
    let after: Vec<u64> = nodes.iter().map(flushes).collect();
    assert_eq!(before, after, "the server is well, and nobody flushes anything");
    let last = read(&nodes[0], 1).await.expect("a value");
    assert!(last >= 800, "one of the two last writes: {last}");
    for node in &nodes {
        eventually("all agree", PATIENCE, async || read(node, 1).await == Some(last)).await;
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s48_memory_answers_until_the_last_instant_of_the_lease_and_not_at_its_end() {
    let server = Server::start().await;
    let proxy = Proxy::to(&server).await;
    // It stands still unless it is moved: the lease runs from where it stands, whenever heartbeats are answered.
    let clock = ManualClock::new();
    let far = warm_by(through(&proxy), Arc::new(clock.clone())).await;
    let near = warm(server.settings()).await;
    near.put(&key(1), 1).await.expect("put");
    assert_eq!(read(&far, 1).await, Some(1));
    proxy.weather(Kind::Bus, Passage::Open, Passage::Swallowed);
    near.put(&key(1), 2).await.expect("put");
    let instant = Duration::from_nanos(1);
    let held = |node: &EdgeCache| node.peek(&key(1)).expect("a known namespace").as_deref().copied();
    clock.advance(LEASE - instant);
    assert_eq!(held(&far), Some(1), "the lease holds for one more instant");
    clock.advance(instant);
    assert_eq!(held(&far), None, "the lease is over at its end, not after it");
    assert_eq!(read(&far, 1).await, Some(2));
    proxy.calm();
    proxy.reset(Kind::Bus);
    eventually("there is a lease again", PATIENCE, async || {
        read(&far, 1).await == Some(2) && held(&far) == Some(2)
    })
    .await;
    far.shutdown().await;
    near.shutdown().await;
}
