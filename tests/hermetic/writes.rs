//! Single writes: conditional ones, invalidations, and refreshes that race.
//!
//! Writes while the shared store is away are in `outages`.

use std::time::Duration;

use cache_core::{
    EventId, Namespace, Op, Permille, Policy, Propagation, ReadFrom, Seq, ShardCount, SharedStore as _, Write,
};
use cache_memory::Faults;
use edge_cache::{CacheError, Receipt, Timing};
use futures_util::future::join;
use tests::{Fleet, FleetOptions, Node};
use tokio::time::sleep;

use crate::doubles::{Says, Source};

const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(30)).with_jitter(Permille(0)),
);

const TRAVELLING: Namespace<u64> = Namespace::new(
    "travelling",
    Policy::event_driven(Duration::from_secs(300))
        .with_jitter(Permille(0))
        .with_propagation(Propagation::Value),
);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await
}

fn seq(receipt: &Receipt) -> Seq {
    receipt.version().expect("published").seq
}

#[tokio::test(start_paused = true)]
async fn a_conditional_put_happens_only_at_the_expected_version() {
    let fleet = fleet().await;
    let (one, two, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    let first = seq(&one.put_if(&key, Seq::ZERO, 1).await.expect("nothing was there"));
    let read = two.get(&key).await.expect("get").expect("there").version().seq;
    assert_eq!(read, first);
    let second = seq(&two.put_if(&key, read, 2).await.expect("unchanged since"));
    assert!(second > first);
    let late = one.put_if(&key, first, 3).await;
    assert!(
        matches!(late, Err(CacheError::Conflict { found }) if found == second),
        "{late:?}"
    );
    let occupied = one.put_if(&key, Seq::ZERO, 3).await;
    assert!(
        matches!(occupied, Err(CacheError::Conflict { found }) if found == second),
        "{occupied:?}"
    );
    assert_eq!(
        (one.stats().total().conflicts, two.stats().total().conflicts),
        (2, 0)
    );
    sleep(Duration::from_millis(1)).await;
    assert_eq!(one.get(&key).await.expect("get").as_deref(), Some(&2));
    two.invalidate(&key).await.expect("published");
    one.put_if(&key, Seq::ZERO, 4).await.expect("nothing is there");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_conditional_puts_at_once_exactly_one_wins() {
    let fleet = fleet().await;
    for round in 0..20_u64 {
        let key = NUMBERS.key(&[("round", &round)]);
        let (one, two) = join(
            fleet.nodes[0].put_if(&key, Seq::ZERO, 1),
            fleet.nodes[1].put_if(&key, Seq::ZERO, 2),
        )
        .await;
        let winner = match (one, two) {
            (Ok(_), Err(CacheError::Conflict { .. })) => 1,
            (Err(CacheError::Conflict { .. }), Ok(_)) => 2,
            other => panic!("expected one winner, got {other:?}"),
        };
        sleep(Duration::from_millis(1)).await;
        for node in &fleet.nodes {
            assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&winner));
        }
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_empties_both_tiers_on_every_node() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    fleet.nodes[0].put(&key, 1).await.expect("put");
    fleet.nodes[1]
        .get(&key)
        .await
        .expect("get")
        .expect("in memory of both");
    fleet.nodes[0].invalidate(&key).await.expect("published");
    assert!(
        fleet.nodes[0].get(&key).await.expect("get").is_none(),
        "its writer sees it at once"
    );
    sleep(Duration::from_millis(1)).await;
    assert!(fleet.nodes[1].get(&key).await.expect("get").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_publishes_what_the_source_says_now() {
    let fleet = fleet().await;
    let (key, source) = (NUMBERS.key(&[("id", &1)]), Source::of(1));
    for node in &fleet.nodes {
        node.get_or_load(&key, source.loader()).await.expect("loaded");
    }
    source.set(Says::Value(2));
    fleet.nodes[0]
        .refresh(&key, source.loader())
        .await
        .expect("published");
    sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&2));
    }
    source.set(Says::Absent);
    fleet.nodes[0]
        .refresh(&key, source.loader())
        .await
        .expect("published");
    sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert!(node.get(&key).await.expect("get").is_none());
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_another_write_overtook_asks_the_source_again() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    fleet.nodes[0].put(&key, 0).await.expect("put");
    let source = Source::of(1).slow(Duration::from_millis(100));
    let refresh = fleet.nodes[0].refresh(&key, source.loader());
    let rival = async {
        sleep(Duration::from_millis(50)).await;
        source.set(Says::Value(2));
        fleet.nodes[1].put(&key, 99).await.expect("put");
    };
    let (refreshed, ()) = join(refresh, rival).await;
    refreshed.expect("published");
    assert_eq!((source.calls(), fleet.nodes[0].stats().total().conflicts), (2, 1));
    sleep(Duration::from_millis(1)).await;
    for node in &fleet.nodes {
        assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&2));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_change_a_source_and_refresh_end_with_its_newest_state() {
    for (there_before, lag) in [
        (true, 0),
        (true, 7),
        (false, 0),
        (false, 7),
        (true, 30),
        (false, 30),
    ] {
        let fleet = fleet().await;
        let (key, source) = (
            NUMBERS.key(&[("id", &1)]),
            Source::of(0).slow(Duration::from_millis(20)),
        );
        if there_before {
            fleet.nodes[0].put(&key, 0).await.expect("put");
        }
        let changes = fleet.nodes.iter().enumerate().map(|(index, node)| {
            let (key, source) = (&key, &source);
            async move {
                sleep(Duration::from_millis(lag * index as u64)).await;
                source.set(Says::Value(index as u64 + 1));
                node.refresh(key, source.loader()).await.expect("published");
            }
        });
        futures_util::future::join_all(changes).await;
        sleep(Duration::from_millis(1)).await;
        for node in &fleet.nodes {
            let answer = node.get_or_load(&key, source.loader()).await.expect("there");
            assert_eq!(
                answer.as_deref(),
                Some(&2),
                "there before: {there_before}, lag: {lag} ms"
            );
        }
        fleet.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_came_in_one_batch_with_the_flush_that_killed_it_is_not_served() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&TRAVELLING)).await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], TRAVELLING.key(&[("id", &1)]));
    here.put(&key, 1).await.expect("published");
    there.get(&key).await.expect("read").expect("in memory of both");
    let third = fleet.hub.endpoint("third");
    let head = third
        .read(key.shard(ShardCount::DEFAULT), &[], ReadFrom::Primary)
        .await
        .expect("read")
        .head;
    let delay = Duration::from_millis(50);
    fleet.hub.set_faults(Faults {
        event_delay: delay..=delay,
        ..Faults::NONE
    });
    here.put(&key, 2).await.expect("published");
    let flush = Write {
        shard: key.shard(ShardCount::DEFAULT),
        lineage: head.expect("there is a head").lineage,
        id: EventId(99),
        op: Op::Flush,
    };
    third.write(flush).await.expect("flushed");
    sleep(Duration::from_secs(20)).await;
    assert!(there.get(&key).await.expect("read").is_none(), "flushed 20 s ago");
    fleet.shutdown().await;
}

/// Of the fleet that one hot key must not upset.
const MANY: usize = 150;

#[tokio::test(start_paused = true)]
async fn a_key_written_five_thousand_times_a_second_while_150_nodes_read_it_ends_the_same_on_all() {
    let options = FleetOptions {
        nodes: MANY,
        spot_checks: 4,
        // Many heartbeats in the second that it takes, so that there are heads to compare hits with.
        timing: Timing {
            lease: Duration::from_millis(300),
            deadline: Duration::from_millis(200),
        },
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await;
    fleet.hub.set_faults(Faults {
        event_delay: Duration::ZERO..=Duration::from_millis(5),
        reorder: Permille(100),
        ..Faults::NONE
    });
    let (key, writers) = (NUMBERS.key(&[("id", &1)]), [&fleet.nodes[0], &fleet.nodes[1]]);
    let read = async |node: &Node| node.get(&key).await.expect("read").map(|value| *value);
    let mut behind = 0;
    for round in 1..=500_u64 {
        for write in 0..10 {
            writers[write % 2].put(&key, round).await.expect("put");
        }
        for node in &fleet.nodes {
            // Every event takes up to five milliseconds, and one that may be overtaken one more.
            let seen = read(node).await.expect("a value");
            assert!(seen + 3 >= round, "{seen} at {round}");
            behind += u64::from(seen < round);
        }
        sleep(Duration::from_millis(2)).await;
    }
    assert!(behind > 1_000, "memory answers meanwhile: {behind}");
    sleep(Duration::from_millis(10)).await;
    for node in &fleet.nodes {
        assert_eq!(read(node).await, Some(500));
    }
    // The nodes look their hits up in the logs with their next heartbeats.
    sleep(Duration::from_secs(5)).await;
    let mut checked = 0;
    for node in &fleet.nodes {
        let stats = node.stats();
        assert_eq!(stats.events.iter().map(|tally| tally.flushes).sum::<u64>(), 0);
        assert_eq!(stats.spot_checks.inconsistent, 0);
        checked += stats.spot_checks.consistent;
    }
    assert!(checked > 500, "{checked}");
    fleet.shutdown().await;
}
