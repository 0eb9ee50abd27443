//! Waiting until another node has caught up with a write.

use std::time::Duration;

use cache_core::{Key, Lane, Namespace, Permille, Policy, Propagation};
use cache_memory::{Cut, Faults};
use edge_cache::{CacheError, CaughtUp, Put};
use tests::{Fleet, FleetOptions};
use tokio::time::Instant;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(60)).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);
const CARRIED: Namespace<u64> = Namespace::new(
    "carried",
    POLICY
        .with_propagation(Propagation::Value)
        .with_lane(Lane::Critical),
);
const LIMIT: Duration = Duration::from_secs(10);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&CARRIED)
    })
    .await
}

fn late(delay: Duration) -> Faults {
    Faults {
        event_delay: delay..=delay,
        ..Faults::NONE
    }
}

fn keys() -> [Key<u64>; 2] {
    [&NUMBERS, &CARRIED].map(|namespace| namespace.key(&[("id", &1)]))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_caught_up_with_a_write_reads_it_from_memory_as_well() {
    let fleet = fleet().await;
    let [here, there] = [&fleet.nodes[0], &fleet.nodes[1]];
    for key in keys() {
        here.put(&key, 1).await.expect("published");
        there.get(&key).await.expect("get").expect("in memory");
    }
    fleet.hub.set_faults(late(Duration::from_millis(700)));
    for key in keys() {
        let (receipt, asked) = (here.put(&key, 2).await.expect("published"), Instant::now());
        assert_eq!(
            there.get(&key).await.expect("get").as_deref(),
            Some(&1),
            "one delay behind"
        );
        assert_eq!(
            there.caught_up(&receipt, LIMIT).await.expect("open"),
            CaughtUp::Applied
        );
        assert!(
            asked.elapsed() <= Duration::from_millis(700),
            "took {:?}",
            asked.elapsed()
        );
        assert_eq!(there.get(&key).await.expect("get").as_deref(), Some(&2));
        assert_eq!(
            here.caught_up(&receipt, LIMIT).await.expect("open"),
            CaughtUp::Applied
        );
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_published_can_be_waited_for() {
    let fleet = fleet().await;
    let [here, there] = [&fleet.nodes[0], &fleet.nodes[1]];
    let key = &keys()[0];
    let tagged = || Put::new(1).with_tag("tag");
    fleet.hub.set_faults(late(Duration::from_millis(700)));
    for what in ["invalidate", "tag", "clear", "everything"] {
        let receipt = here.put(key, tagged()).await.expect("published");
        assert_eq!(
            there.caught_up(&receipt, LIMIT).await.expect("open"),
            CaughtUp::Applied
        );
        there.get(key).await.expect("get").expect("in memory");
        let receipt = match what {
            "invalidate" => here.invalidate(key).await,
            "tag" => here.invalidate_tag("tag").await,
            "clear" => here.clear(&NUMBERS).await,
            _everything => here.clear_all().await,
        };
        let receipt = receipt.expect("published");
        assert_eq!(
            there.caught_up(&receipt, LIMIT).await.expect("open"),
            CaughtUp::Applied
        );
        assert!(there.get(key).await.expect("get").is_none(), "{what}");
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_lost_is_caught_up_with_before_the_next_heartbeat() {
    let fleet = fleet().await;
    let [here, there] = [&fleet.nodes[0], &fleet.nodes[1]];
    fleet.hub.set_faults(Faults {
        event_loss: Permille(1_000),
        ..Faults::NONE
    });
    let receipt = here.put(&keys()[0], 1).await.expect("published");
    fleet.hub.set_faults(Faults::NONE);
    let asked = Instant::now();
    assert_eq!(
        there.caught_up(&receipt, LIMIT).await.expect("open"),
        CaughtUp::Applied
    );
    assert!(
        asked.elapsed() < Duration::from_millis(100),
        "took {:?}",
        asked.elapsed()
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_has_not_caught_up_when_the_time_is_over() {
    let fleet = fleet().await;
    fleet.hub.partition("node-1", Cut::Both);
    let receipt = fleet.nodes[0].put(&keys()[0], 1).await.expect("published");
    let asked = Instant::now();
    let there = fleet.nodes[1].caught_up(&receipt, LIMIT).await.expect("open");
    assert_eq!((there, asked.elapsed()), (CaughtUp::NotYet, LIMIT));
    fleet.hub.heal("node-1");
    let there = fleet.nodes[1].caught_up(&receipt, LIMIT).await.expect("open");
    assert_eq!(there, CaughtUp::Applied);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_a_failover_lost_is_superseded_and_never_caught_up_with() {
    let fleet = fleet().await;
    let receipt = fleet.nodes[0].put(&keys()[0], 1).await.expect("published");
    let before = fleet.nodes[1].caught_up(&receipt, LIMIT).await.expect("open");
    assert_eq!(before, CaughtUp::Applied);
    fleet.hub.failover(1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for node in &fleet.nodes {
        let after = node.caught_up(&receipt, LIMIT).await.expect("open");
        assert_eq!(after, CaughtUp::Superseded);
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_only_queued_cannot_be_waited_for() {
    let fleet = fleet().await;
    fleet.hub.partition("node-0", Cut::Both);
    let receipt = fleet.nodes[0].invalidate(&keys()[0]).await.expect("owed");
    let answer = fleet.nodes[1].caught_up(&receipt, LIMIT).await;
    assert!(matches!(answer, Err(CacheError::Rejected(_))), "{answer:?}");
    fleet.shutdown().await;
}
