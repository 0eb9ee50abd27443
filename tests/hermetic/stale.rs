//! Serving an expired value on purpose: while it is refreshed, when the load is slow, when it fails.
//!
//! Jitter is off, so that every expiry is exact.

use std::time::Duration;

use cache_core::{FailSafe, Namespace, Permille, Policy};
use cache_memory::{Cut, Faults};
use edge_cache::{CacheError, Fetched, Freshness, Options, Tier, TierUse};
use futures_util::future::{join, join_all};
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::{Says, Source};

const TTL: Duration = Duration::from_secs(10);
const PLAIN: Policy = Policy::event_driven(TTL).with_jitter(Permille(0));
const SAFE: Policy = PLAIN.with_fail_safe(FailSafe {
    max_stale: Duration::from_secs(60),
    throttle: Duration::from_secs(5),
});
const REVALIDATED: Namespace<u64> = Namespace::new(
    "revalidated",
    PLAIN.with_stale_while_revalidate(Duration::from_secs(20)),
);
const GUARDED: Namespace<u64> = Namespace::new("guarded", SAFE);
const HURRIED: Namespace<u64> = Namespace::new(
    "hurried",
    SAFE.with_timeouts(Some(Duration::from_millis(100)), Duration::from_secs(2)),
);
const LASTING: Namespace<u64> = Namespace::new(
    "lasting",
    Policy::event_driven(Duration::from_secs(3_600))
        .with_jitter(Permille(0))
        .with_fail_safe(FailSafe {
            max_stale: Duration::from_secs(60),
            throttle: Duration::from_secs(5),
        }),
);
const EAGER: Namespace<u64> = Namespace::new("eager", PLAIN.with_eager_refresh(Permille(500)));

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder
            .namespace(&REVALIDATED)
            .namespace(&GUARDED)
            .namespace(&HURRIED)
            .namespace(&LASTING)
            .namespace(&EAGER)
    })
    .await
}

fn stale_by(answer: &Fetched<u64>) -> Option<Duration> {
    match answer.freshness() {
        Freshness::Stale { at_most } => Some(at_most),
        _fresh => None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_served_at_once_while_one_load_refreshes_it() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], REVALIDATED.key(&[("id", &1)]));
    let source = Source::of(1).slow(Duration::from_millis(50));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    source.set(Says::Value(2));
    sleep(TTL + Duration::from_secs(1)).await;
    let asked = Instant::now();
    for answer in join_all((0..10).map(|_| node.get_or_load(&key, source.loader()))).await {
        let answer = answer.expect("served").expect("there");
        assert_eq!((*answer, answer.tier()), (1, Tier::L1));
        assert!(stale_by(&answer) >= Some(Duration::from_secs(1)), "{answer:?}");
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sleep(Duration::from_millis(60)).await;
    assert_eq!(source.calls(), 2);
    assert_eq!(node.peek(&key).expect("registered").as_deref(), Some(&2));
    assert_eq!(node.stats().total().stale_served, 10);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_time_for_revalidation_a_reader_waits_for_the_load() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], REVALIDATED.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    source.set(Says::Value(2));
    sleep(TTL + Duration::from_secs(21)).await;
    let answer = node
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded")
        .expect("there");
    assert_eq!((*answer, answer.tier()), (2, Tier::Source));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn when_the_load_fails_the_expired_value_stands_in_on_every_node_and_the_source_is_left_alone() {
    let fleet = fleet().await;
    let (key, source) = (GUARDED.key(&[("id", &1)]), Source::of(1));
    fleet.nodes[0]
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded");
    source.set(Says::Error);
    sleep(TTL + Duration::from_secs(1)).await;
    // The second node never had it in memory: the shared store keeps it for this.
    for (node, calls) in fleet.nodes.iter().zip([2, 3]) {
        for _ in 0..5 {
            let answer = node
                .get_or_load(&key, source.loader())
                .await
                .expect("served")
                .expect("there");
            assert_eq!(*answer, 1);
            assert!(stale_by(&answer) >= Some(Duration::from_secs(1)), "{answer:?}");
        }
        assert_eq!(source.calls(), calls);
        assert_eq!(node.stats().total().stale_served, 5);
    }
    sleep(Duration::from_secs(5)).await;
    source.set(Says::Value(2));
    let answer = fleet.nodes[0]
        .get_or_load(&key, source.loader())
        .await
        .expect("loaded")
        .expect("there");
    assert_eq!((*answer, source.calls()), (2, 4));
    assert_eq!(stale_by(&answer), None);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_that_expired_longer_ago_than_max_stale() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], GUARDED.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    source.set(Says::Error);
    sleep(TTL + Duration::from_secs(59)).await;
    assert_eq!(
        node.get_or_load(&key, source.loader())
            .await
            .expect("served")
            .as_deref(),
        Some(&1)
    );
    sleep(Duration::from_secs(2)).await;
    let answer = node.get_or_load(&key, source.loader()).await;
    assert!(matches!(answer, Err(CacheError::Load(_))), "{answer:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_for_an_unproven_value_says_how_long_it_is_unproven_and_is_throttled_too() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], GUARDED.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    source.set(Says::Error);
    fleet.hub.partition("node-0", Cut::Both);
    sleep(Duration::from_secs(5)).await;
    // Not expired, but the lease is over: whether somebody changed it cannot be known.
    for _ in 0..5 {
        let answer = node
            .get_or_load(&key, source.loader())
            .await
            .expect("served")
            .expect("there");
        assert!(stale_by(&answer) >= Some(Duration::from_secs(4)), "{answer:?}");
    }
    assert_eq!(source.calls(), 2);
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_is_waited_for_until_the_soft_timeout_and_then_goes_on_for_the_next_reader() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], HURRIED.key(&[("id", &1)]));
    node.get_or_load(&key, Source::of(1).loader())
        .await
        .expect("loaded");
    sleep(TTL + Duration::from_secs(1)).await;
    let (slow, asked) = (Source::of(2).slow(Duration::from_secs(1)), Instant::now());
    let answer = node
        .get_or_load(&key, slow.loader())
        .await
        .expect("served")
        .expect("there");
    assert_eq!((*answer, asked.elapsed()), (1, Duration::from_millis(100)));
    assert!(stale_by(&answer).is_some());
    sleep(Duration::from_secs(1)).await;
    assert_eq!((slow.calls(), slow.dropped()), (1, 0));
    let next = node.peek(&key).expect("registered").expect("in memory");
    assert_eq!(*next, 2);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_within_the_soft_timeout_is_answered_with_the_new_value() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], HURRIED.key(&[("id", &1)]));
    node.get_or_load(&key, Source::of(1).loader())
        .await
        .expect("loaded");
    sleep(TTL + Duration::from_secs(1)).await;
    let quick = Source::of(2).slow(Duration::from_millis(50));
    let answer = node
        .get_or_load(&key, quick.loader())
        .await
        .expect("loaded")
        .expect("there");
    assert_eq!((*answer, stale_by(&answer)), (2, None));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_hit_refreshes_the_value_before_it_expires_and_waits_for_nothing() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], EAGER.key(&[("id", &1)]));
    let source = Source::of(1).slow(Duration::from_millis(50));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    source.set(Says::Value(2));
    sleep(Duration::from_secs(4)).await;
    node.get_or_load(&key, source.loader()).await.expect("served");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(source.calls(), 1, "an early hit must not refresh");
    let asked = Instant::now();
    for _ in 0..10 {
        let answer = node
            .get_or_load(&key, source.loader())
            .await
            .expect("served")
            .expect("there");
        assert_eq!((*answer, answer.tier(), stale_by(&answer)), (1, Tier::L1, None));
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sleep(Duration::from_millis(60)).await;
    assert_eq!(
        (source.calls(), node.peek(&key).expect("registered").as_deref()),
        (2, Some(&2))
    );
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        node.peek(&key).expect("registered").as_deref(),
        Some(&2),
        "it has a life of its own"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn expire_ends_freshness_on_every_node_and_keeps_the_value_as_a_stand_in() {
    let fleet = fleet().await;
    let (key, source) = (GUARDED.key(&[("id", &1)]), Source::of(1));
    for node in &fleet.nodes {
        node.get_or_load(&key, source.loader()).await.expect("loaded");
    }
    source.set(Says::Error);
    fleet.nodes[0].expire(&key).await.expect("published");
    sleep(Duration::from_millis(2)).await;
    for node in &fleet.nodes {
        assert!(node.peek(&key).expect("registered").is_none());
        let answer = node
            .get_or_load(&key, source.loader())
            .await
            .expect("served")
            .expect("there");
        assert_eq!(*answer, 1);
        assert!(stale_by(&answer).is_some(), "{answer:?}");
    }
    sleep(Duration::from_secs(6)).await;
    source.set(Says::Value(2));
    for node in &fleet.nodes {
        assert_eq!(
            node.get_or_load(&key, source.loader())
                .await
                .expect("loaded")
                .as_deref(),
            Some(&2)
        );
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn expire_of_a_missing_value_supersedes_a_load_that_is_under_way() {
    let fleet = fleet().await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], GUARDED.key(&[("id", &1)]));
    let source = Source::of(1).slow(Duration::from_millis(100));
    let (loaded, ()) = join(there.get_or_load(&key, source.loader()), async {
        sleep(Duration::from_millis(50)).await;
        source.set(Says::Value(2));
        here.expire(&key).await.expect("published");
    })
    .await;
    loaded.expect("loaded");
    let answer = there.get(&key).await.expect("get");
    assert_eq!(
        answer.as_deref(),
        Some(&2),
        "the load had begun before the value changed"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_unproven_value_is_not_served_beyond_max_stale_however_long_it_would_live() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], LASTING.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    fleet.hub.partition("node-0", Cut::Both);
    source.set(Says::Error);
    sleep(Duration::from_secs(600)).await;
    let answer = node.get_or_load(&key, source.loader()).await;
    assert!(matches!(answer, Err(CacheError::Load(_))), "{answer:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_stand_in_counts_the_wait_for_what_failed() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], GUARDED.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    let born = Instant::now();
    sleep(TTL + Duration::from_secs(1)).await;
    let hanging = Duration::from_millis(1_500);
    fleet.hub.set_faults(Faults {
        request_delay: hanging..=hanging,
        timeout: Duration::from_secs(1),
        ..Faults::NONE
    });
    let asked = Instant::now();
    let answer = node.get(&key).await.expect("a stand-in").expect("there");
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "it waited for the shared store"
    );
    let expired_for = born.elapsed() - TTL;
    assert!(
        stale_by(&answer).is_some_and(|at_most| at_most >= expired_for),
        "{answer:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_that_was_invalidated_does_not_ask_a_broken_source_again_and_again() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], GUARDED.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    sleep(TTL + Duration::from_secs(1)).await;
    source.set(Says::Error);
    let source = source.slow(Duration::from_millis(50));
    let (answer, _) = join(node.get_or_load(&key, source.loader()), async {
        sleep(Duration::from_millis(20)).await;
        node.invalidate(&key).await.expect("published");
    })
    .await;
    // The read began before the invalidation, so the old value may answer it; but nobody after it.
    assert!(answer.is_ok(), "{answer:?}");
    assert!(source.calls() <= 3, "{} calls", source.calls());
    let answer = node.get_or_load(&key, source.loader()).await;
    assert!(matches!(answer, Err(CacheError::Load(_))), "{answer:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_lost_its_place_for_a_while_gives_up_what_might_have_stood_in() {
    let fleet = fleet().await;
    let (node, other, key) = (&fleet.nodes[0], &fleet.nodes[1], GUARDED.key(&[("id", &1)]));
    node.get_or_load(&key, Source::of(1).loader())
        .await
        .expect("loaded");
    sleep(TTL + Duration::from_secs(1)).await;
    let broken = Source::saying(Says::Error).slow(Duration::from_millis(300));
    let newer = async {
        sleep(Duration::from_millis(100)).await;
        // Whoever comes after this takes the place of what began before it.
        node.invalidate_tag("another").await.expect("published");
        let loaded = node
            .get_or_load_with(
                &key,
                Options::default().with_l2(TierUse::WriteOnly),
                Source::of(2).loader(),
            )
            .await;
        let shown = loaded.expect("loaded").map(|value| *value);
        other.invalidate(&key).await.expect("published");
        sleep(Duration::from_millis(350)).await;
        (shown, node.get_or_load(&key, broken.loader()).await)
    };
    let (_, (shown, then)) = join(node.get_or_load(&key, broken.loader()), newer).await;
    assert_eq!(shown, Some(2));
    assert!(
        matches!(then, Err(CacheError::Load(_))),
        "after {shown:?} it is shown {then:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_is_not_called_proven_by_a_lease_that_was_renewed_after_it_was_superseded() {
    for options in [Options::default(), Options::default().with_l1(TierUse::ReadOnly)] {
        let fleet = fleet().await;
        let (node, other, key) = (&fleet.nodes[0], &fleet.nodes[1], LASTING.key(&[("id", &1)]));
        let source = Source::of(1);
        node.get_or_load(&key, source.loader()).await.expect("loaded");
        fleet.hub.partition("node-0", Cut::Bus);
        sleep(Duration::from_millis(100)).await;
        let published = Instant::now();
        other.invalidate(&key).await.expect("published");
        sleep(Duration::from_secs(5)).await;
        let source = source.slow(Duration::from_millis(1_900));
        source.set(Says::Error);
        let (answer, ()) = join(node.get_or_load_with(&key, options, source.loader()), async {
            sleep(Duration::from_millis(100)).await;
            fleet.hub.heal("node-0");
        })
        .await;
        let lacking = published.elapsed();
        let answer = answer.expect("a stand-in").expect("there");
        assert!(
            stale_by(&answer).is_some_and(|at_most| at_most >= lacking),
            "{answer:?} lacks what was published {lacking:?} ago"
        );
        fleet.shutdown().await;
    }
}
