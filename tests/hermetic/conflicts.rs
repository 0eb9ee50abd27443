//! Writes that depend on what stands there: what a conflict tells, what counts as nothing, and changes that nobody loses.
//!
//! Of plain writes and invalidations see `writes`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{FailSafe, Namespace, Permille, Policy, Seq};
use cache_memory::{Cut, Faults};
use edge_cache::{CacheError, Put, Tier};
use futures_util::future::join_all;
use tests::{Fleet, FleetOptions, Node};
use tokio::time::{Instant, sleep};

use crate::doubles::{Says, Source};

const TTL: Duration = Duration::from_secs(30);
const POLICY: Policy = Policy::event_driven(TTL).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY.with_negative_ttl(Duration::from_secs(60)));
const KEPT: Namespace<u64> = Namespace::new(
    "kept",
    POLICY.with_fail_safe(FailSafe {
        max_stale: Duration::from_secs(600),
        throttle: Duration::from_secs(5),
    }),
);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&KEPT)
    })
    .await
}

/// Events take this long from now on.
fn late_events(fleet: &Fleet, delay: Duration) {
    fleet.hub.set_faults(Faults {
        event_delay: delay..=delay,
        ..Faults::NONE
    });
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_the_next_read_sees_what_stands_there() {
    let fleet = fleet().await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    here.put(&key, 1).await.expect("published");
    let read = there
        .get(&key)
        .await
        .expect("read")
        .expect("in memory")
        .version()
        .seq;
    late_events(&fleet, Duration::from_secs(1));
    here.put(&key, 2).await.expect("published");
    let late = there.put_if(&key, read, 3).await;
    let Err(CacheError::Conflict { found }) = late else {
        panic!("expected a conflict, got {late:?}");
    };
    let answer = there.get(&key).await.expect("read").expect("there");
    assert_eq!(
        (*answer, answer.version().seq, answer.tier()),
        (2, found, Tier::L2)
    );
    there
        .put_if(&key, found, 3)
        .await
        .expect("it is what stands there");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_with_nothing_memory_does_not_show_what_is_gone() {
    let fleet = fleet().await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    here.put(&key, 1).await.expect("published");
    let read = there
        .get(&key)
        .await
        .expect("read")
        .expect("in memory")
        .version()
        .seq;
    late_events(&fleet, Duration::from_secs(1));
    here.invalidate(&key).await.expect("published");
    let late = there.put_if(&key, read, 3).await;
    assert!(
        matches!(late, Err(CacheError::Conflict { found: Seq::ZERO })),
        "{late:?}"
    );
    assert!(there.get(&key).await.expect("read").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_loop_of_reading_and_writing_at_the_version_read_does_not_spin() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    fleet.nodes[0].put(&key, 20).await.expect("published");
    late_events(&fleet, Duration::from_millis(5));
    let attempts = AtomicU64::new(0);
    let take = async |node: &Node| {
        for _decrement in 0..10 {
            loop {
                attempts.fetch_add(1, Ordering::Relaxed);
                let stands = node.get(&key).await.expect("read").expect("there");
                match node.put_if(&key, stands.version().seq, *stands - 1).await {
                    Ok(_) => break,
                    Err(CacheError::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    futures_util::future::join(take(&fleet.nodes[0]), take(&fleet.nodes[1])).await;
    let attempts = attempts.load(Ordering::Relaxed);
    assert!(attempts <= 60, "{attempts} attempts for 20 decrements");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(fleet.nodes[0].get(&key).await.expect("read").as_deref(), Some(&0));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_that_expects_nothing_succeeds_wherever_a_reader_is_told_that_there_is_nothing() {
    let fleet = fleet().await;
    let (here, there) = (&fleet.nodes[0], &fleet.nodes[1]);
    let absent = NUMBERS.key(&[("absent", &1)]);
    let nothing = Source::saying(Says::Absent);
    let loaded = here.get_or_load(&absent, nothing.loader()).await;
    assert!(loaded.expect("loaded").is_none(), "and that is remembered");
    let killed = NUMBERS.key(&[("killed", &1)]);
    let tagged = Put::new(1).with_tag("vast");
    here.put(&killed, tagged).await.expect("published");
    let expired = KEPT.key(&[("expired", &1)]);
    here.put(&expired, Put::new(1).with_ttl(Duration::from_secs(5)))
        .await
        .expect("published");
    sleep(Duration::from_secs(6)).await;
    here.invalidate_tag("vast").await.expect("published");
    sleep(Duration::from_millis(1)).await;
    for key in [absent, killed, expired] {
        assert!(there.get(&key).await.expect("read").is_none(), "{key:?}");
        there.put_if(&key, Seq::ZERO, 2).await.expect("nothing is there");
        let occupied = here.put_if(&key, Seq::ZERO, 3).await;
        assert!(
            matches!(occupied, Err(CacheError::Conflict { .. })),
            "{occupied:?}"
        );
        assert_eq!(here.get(&key).await.expect("read").as_deref(), Some(&2));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn updates_of_one_value_by_many_tasks_of_two_nodes_lose_none() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    late_events(&fleet, Duration::from_millis(5));
    let calls = AtomicU64::new(0);
    let updates = (0..40).map(|task| {
        let (node, key, calls) = (&fleet.nodes[task % 2], &key, &calls);
        node.update(key, |old: Option<&u64>| {
            calls.fetch_add(1, Ordering::Relaxed);
            old.map_or(1, |count| count + 1)
        })
    });
    for outcome in join_all(updates).await {
        outcome.expect("published");
    }
    sleep(Duration::from_millis(10)).await;
    for node in &fleet.nodes {
        assert_eq!(node.get(&key).await.expect("read").as_deref(), Some(&40));
    }
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls < 40 * 12, "{calls} attempts");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_loses_every_time_gives_up_and_says_what_stands_there() {
    let fleet = fleet().await;
    let (here, there, key) = (
        &fleet.nodes[0],
        fleet.nodes[1].clone(),
        NUMBERS.key(&[("id", &1)]),
    );
    here.put(&key, 0).await.expect("published");
    // Everything is on its way for a while, so that the rival is always faster.
    let delay = Duration::from_millis(5);
    fleet.hub.set_faults(Faults {
        request_delay: delay..=delay,
        ..Faults::NONE
    });
    let rival = tokio::spawn({
        let key = key.clone();
        async move {
            loop {
                there.put(&key, 9).await.expect("published");
            }
        }
    });
    let asked = Instant::now();
    let outcome = here
        .update(&key, |old: Option<&u64>| old.map_or(0, |old| old + 1))
        .await;
    assert!(
        matches!(outcome, Err(CacheError::Conflict { found }) if found > Seq::ZERO),
        "{outcome:?}"
    );
    assert!(asked.elapsed() <= Duration::from_secs(7), "{:?}", asked.elapsed());
    rival.abort();
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_the_tags_and_dies_with_a_tag_that_is_invalidated_meanwhile() {
    let fleet = fleet().await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    here.put(&key, Put::new(1).with_tag("vast"))
        .await
        .expect("published");
    there
        .update(&key, |old: Option<&u64>| old.copied().unwrap_or(0) + 1)
        .await
        .expect("published");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(here.get(&key).await.expect("read").as_deref(), Some(&2));
    here.invalidate_tag("vast").await.expect("published");
    sleep(Duration::from_millis(1)).await;
    assert!(there.get(&key).await.expect("read").is_none(), "the tag was kept");
    // What was killed is nothing to start from.
    there
        .update(&key, |old: Option<&u64>| {
            Put::new(old.copied().unwrap_or(10)).with_tag("vast")
        })
        .await
        .expect("published");
    assert_eq!(there.get(&key).await.expect("read").as_deref(), Some(&10));
    let delay = Duration::from_millis(20);
    fleet.hub.set_faults(Faults {
        request_delay: delay..=delay,
        ..Faults::NONE
    });
    let update = there.update(&key, |old: Option<&u64>| old.copied().unwrap_or(0) + 1);
    let (updated, killed) = futures_util::future::join(update, async {
        sleep(Duration::from_millis(50)).await;
        here.invalidate_tag("vast").await
    })
    .await;
    updated.expect("published");
    killed.expect("published");
    sleep(Duration::from_millis(100)).await;
    assert!(
        here.get(&key).await.expect("read").is_none(),
        "it came from what was killed"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_without_the_shared_store_fails_and_changes_nothing() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    node.put(&key, 1).await.expect("published");
    fleet.hub.partition("node-0", Cut::Data);
    let outcome = node
        .update(&key, |old: Option<&u64>| old.map_or(0, |old| old + 1))
        .await;
    assert!(matches!(outcome, Err(CacheError::Unavailable(_))), "{outcome:?}");
    fleet.hub.heal("node-0");
    assert_eq!(fleet.nodes[1].get(&key).await.expect("read").as_deref(), Some(&1));
    fleet.shutdown().await;
}
