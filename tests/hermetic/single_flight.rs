//! Many readers of one key, and readers that go away.
//!
//! What happens when the load itself fails is in `loader_failures`.

use std::time::Duration;

use cache_core::{EventId, Namespace, Op, Permille, Policy, ReadFrom, ShardCount, SharedStore as _, Write};
use cache_memory::Faults;
use edge_cache::{CacheError, Tier};
use futures_util::future::{join, join_all};
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::Source;

const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(30)).with_jitter(Permille(0)),
);

const SLOW: Duration = Duration::from_millis(100);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await
}

#[tokio::test(start_paused = true)]
async fn a_hundred_readers_on_one_node_share_one_load() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7).slow(SLOW));
    let answers = join_all((0..100).map(|_| fleet.nodes[0].get_or_load(&key, source.loader()))).await;
    for answer in answers {
        assert_eq!(answer.expect("loaded").as_deref(), Some(&7));
    }
    assert_eq!(source.calls(), 1);
    let stats = fleet.nodes[0].stats().total();
    assert_eq!((stats.loads, stats.joins, stats.memory.in_flight), (1, 99, 0));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_readers_on_two_nodes_share_one_load() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7).slow(SLOW));
    let readers = (0..100).map(|index| fleet.nodes[index % 2].get_or_load(&key, source.loader()));
    for answer in join_all(readers).await {
        assert_eq!(answer.expect("loaded").as_deref(), Some(&7));
    }
    assert_eq!(source.calls(), 1);
    for node in &fleet.nodes {
        let hit = node
            .peek(&key)
            .expect("registered")
            .expect("in memory of both nodes");
        assert_eq!((*hit, hit.tier()), (7, Tier::L1));
        assert_eq!(node.stats().total().memory.in_flight, 0);
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_readers_all_went_away_is_dropped_and_its_place_is_free_at_once() {
    let fleet = fleet().await;
    let (key, source) = (
        NUMBERS.key(&[("id", &1)]),
        Source::of(7).slow(Duration::from_secs(1)),
    );
    let readers = join_all((0..10).map(|_| fleet.nodes[0].get_or_load(&key, source.loader())));
    assert!(tokio::time::timeout(SLOW, readers).await.is_err());
    // The fetch's task is dropped as soon as it is its turn.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((source.calls(), source.dropped()), (1, 1));
    assert_eq!(fleet.nodes[0].stats().total().memory.in_flight, 0);

    let fast = Source::of(8);
    for node in &fleet.nodes {
        let asked = tokio::time::Instant::now();
        let answer = node.get_or_load(&key, fast.loader()).await.expect("loaded");
        assert_eq!(answer.as_deref(), Some(&8));
        assert!(
            asked.elapsed() < SLOW,
            "the dropped load's lease is still waited for: {:?}",
            asked.elapsed()
        );
    }
    assert_eq!(fast.calls(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_reader_that_stays_keeps_the_load_of_those_who_went_away() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7).slow(SLOW));
    let node = &fleet.nodes[0];
    let impatient = tokio::time::timeout(SLOW / 2, node.get_or_load(&key, source.loader()));
    let patient = async {
        tokio::time::sleep(SLOW / 4).await;
        node.get_or_load(&key, source.loader()).await
    };
    let (gone, stayed) = futures_util::future::join(impatient, patient).await;
    assert!(gone.is_err());
    assert_eq!(stayed.expect("loaded").as_deref(), Some(&7));
    assert_eq!((source.calls(), source.dropped()), (1, 0));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_during_a_load_wins_and_the_loader_is_asked_again() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(1).slow(SLOW));
    let reader = fleet.nodes[0].get_or_load(&key, source.loader());
    let writer = async {
        tokio::time::sleep(SLOW / 2).await;
        source.set(crate::doubles::Says::Value(2));
        fleet.nodes[1].invalidate(&key).await.expect("published");
    };
    let (answer, ()) = futures_util::future::join(reader, writer).await;
    assert_eq!(answer.expect("loaded").as_deref(), Some(&2));
    assert_eq!(source.calls(), 2);
    let kept = fleet.nodes[1].get(&key).await.expect("get");
    assert_eq!(kept.as_deref(), Some(&2));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_without_a_loader_does_not_make_one_with_a_loader_miss() {
    let fleet = fleet().await;
    fleet.hub.set_faults(cache_memory::Faults {
        request_delay: Duration::from_millis(5)..=Duration::from_millis(5),
        ..cache_memory::Faults::NONE
    });
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7));
    let node = &fleet.nodes[0];
    let (without, with) =
        futures_util::future::join(node.get(&key), node.get_or_load(&key, source.loader())).await;
    assert!(without.expect("get").is_none());
    assert_eq!(with.expect("loaded").as_deref(), Some(&7));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_cache_says_so_instead_of_loading() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7));
    fleet.shutdown().await;
    let answer = fleet.nodes[0].get_or_load(&key, source.loader()).await;
    assert!(matches!(answer, Err(CacheError::Closed)), "{answer:?}");
    assert_eq!(source.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_before_its_fetch_has_begun_leaves_no_place_taken() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7));
    fleet.hub.set_faults(cache_memory::Faults {
        request_delay: Duration::from_millis(5)..=Duration::from_millis(5),
        ..cache_memory::Faults::NONE
    });
    {
        // The second makes a task of the fetch; both are dropped before the runtime comes to it.
        let mut readers = [(); 2].map(|()| Box::pin(fleet.nodes[0].get_or_load(&key, source.loader())));
        for reader in &mut readers {
            assert!(futures_util::poll!(reader).is_pending());
        }
    }
    let next = fleet.nodes[0].get_or_load(&key, source.loader());
    let next = tokio::time::timeout(Duration::from_secs(1), next).await;
    let answer = next
        .expect("nobody waits for a fetch that will never end")
        .expect("loaded");
    assert_eq!(answer.as_deref(), Some(&7));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_for_the_second_reader_when_the_first_one_stops_to_poll_it() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7).slow(SLOW));
    // A reader that is neither polled nor dropped, as the other arms of a `select!` loop are.
    let mut first = Box::pin(fleet.nodes[0].get_or_load(&key, source.loader()));
    assert!(futures_util::poll!(&mut first).is_pending());
    let second = fleet.nodes[0].get_or_load(&key, source.loader());
    let second = tokio::time::timeout(SLOW * 2, second).await;
    assert_eq!(second.expect("in time").expect("loaded").as_deref(), Some(&7));
    assert_eq!(first.await.expect("loaded").as_deref(), Some(&7));
    assert_eq!(source.calls(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_when_its_only_reader_goes_away_after_a_second_one_has_joined_it() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(7).slow(SLOW));
    let mut first = Box::pin(fleet.nodes[0].get_or_load(&key, source.loader()));
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut second = Box::pin(fleet.nodes[0].get_or_load(&key, source.loader()));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.expect("loaded").as_deref(), Some(&7));
    assert_eq!(source.calls(), 1);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_does_not_wait_for_a_right_to_fill_that_was_given_in_an_earlier_era() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(1));
    let vandal = fleet.hub.endpoint("vandal");
    let keys = [key.raw().clone()];
    let reply = vandal
        .read(key.shard(ShardCount::DEFAULT), &keys, ReadFrom::Primary)
        .await
        .expect("read");
    let lineage = reply.head.expect("there is a head").lineage;
    let (requests, events) = (Duration::from_millis(50), Duration::from_millis(90));
    fleet.hub.set_faults(Faults {
        request_delay: requests..=requests,
        event_delay: events..=events,
        ..Faults::NONE
    });
    let asked = Instant::now();
    let flush = Write {
        shard: key.shard(ShardCount::DEFAULT),
        lineage,
        id: EventId(77),
        op: Op::Flush,
    };
    // The flush is heard of while the question for the right to fill is under way.
    let (answer, _) = join(node.get_or_load(&key, source.loader()), async {
        sleep(Duration::from_millis(10)).await;
        vandal.write(flush).await.expect("flushed");
    })
    .await;
    assert_eq!(answer.expect("loaded").as_deref(), Some(&1));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "took {:?}",
        asked.elapsed()
    );
    assert_eq!(node.stats().owed, 0);
    fleet.shutdown().await;
}
