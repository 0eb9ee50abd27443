//! Calls that use the tiers otherwise than their namespace does, and calls that are wrong.
//!
//! Each option is shown to do what it says, and to leave other readers alone.

use std::time::Duration;

use cache_core::{Namespace, Permille, Policy};
use edge_cache::{CacheError, Options, Tier, TierUse};
use futures_util::future::join;
use tests::{Fleet, FleetOptions};

use crate::doubles::{Says, Source};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(30)).with_jitter(Permille(0));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await
}

fn l1(tier_use: TierUse) -> Options {
    Options::default().with_l1(tier_use)
}

fn l2(tier_use: TierUse) -> Options {
    Options::default().with_l2(tier_use)
}

#[tokio::test(start_paused = true)]
async fn a_read_may_pass_memory_by_or_leave_nothing_there() {
    let fleet = fleet().await;
    let (writer, reader, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    writer.put(&key, 1).await.expect("put");
    for leaves_nothing in [TierUse::ReadOnly, TierUse::Skip] {
        let answer = reader
            .get_with(&key, l1(leaves_nothing))
            .await
            .expect("get")
            .expect("there");
        assert_eq!((*answer, answer.tier()), (1, Tier::L2));
        assert!(
            reader.peek(&key).expect("registered").is_none(),
            "{leaves_nothing:?}"
        );
    }
    for _ in 0..2 {
        let answer = reader
            .get_with(&key, l1(TierUse::WriteOnly))
            .await
            .expect("get")
            .expect("there");
        assert_eq!(answer.tier(), Tier::L2, "write-only does not look");
        assert!(
            reader.peek(&key).expect("registered").is_some(),
            "but leaves what it found"
        );
    }
    let answer = reader
        .get_with(&key, l1(TierUse::ReadOnly))
        .await
        .expect("get")
        .expect("there");
    assert_eq!(answer.tier(), Tier::L1, "read-only does look");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_may_leave_memory_alone_but_not_the_shared_store() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    node.put_with(&key, 1, l1(TierUse::Skip)).await.expect("put");
    assert!(node.peek(&key).expect("registered").is_none());
    assert_eq!(
        node.get(&key).await.expect("get").expect("there").tier(),
        Tier::L2
    );
    for refused in [TierUse::Skip, TierUse::ReadOnly] {
        let answer = node.put_with(&key, 2, l2(refused)).await;
        assert!(matches!(answer, Err(CacheError::Rejected(_))), "{answer:?}");
    }
    assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_skips_the_shared_store_asks_the_loader_and_keeps_nothing_anywhere() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(2));
    fleet.nodes[1].put(&key, 1).await.expect("put");
    let answer = node
        .get_or_load_with(&key, l2(TierUse::Skip), source.loader())
        .await
        .expect("loaded");
    assert_eq!(
        answer.map(|answer| (*answer, answer.tier())),
        Some((2, Tier::Source))
    );
    assert!(
        node.get_with(&key, l2(TierUse::Skip))
            .await
            .expect("get")
            .is_none()
    );
    assert!(node.peek(&key).expect("registered").is_none());
    assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_may_use_the_shared_store_without_writing_to_it() {
    let fleet = fleet().await;
    let (node, source) = (&fleet.nodes[0], Source::of(2));
    let (there, missing) = (NUMBERS.key(&[("id", &1)]), NUMBERS.key(&[("id", &2)]));
    fleet.nodes[1].put(&there, 1).await.expect("put");
    let answer = node
        .get_or_load_with(&there, l2(TierUse::ReadOnly), source.loader())
        .await
        .expect("read");
    assert_eq!(answer.map(|answer| (*answer, answer.tier())), Some((1, Tier::L2)));
    let answer = node
        .get_or_load_with(&missing, l2(TierUse::ReadOnly), source.loader())
        .await
        .expect("loaded");
    assert_eq!(
        answer.map(|answer| (*answer, answer.tier())),
        Some((2, Tier::Source))
    );
    assert!(fleet.nodes[1].get(&missing).await.expect("get").is_none());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_may_load_anew_whatever_the_shared_store_has_and_store_that() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(2));
    fleet.nodes[1].put(&key, 1).await.expect("put");
    let anew = l1(TierUse::WriteOnly).with_l2(TierUse::WriteOnly);
    let answer = node
        .get_or_load_with(&key, anew, source.loader())
        .await
        .expect("loaded");
    assert_eq!(
        answer.map(|answer| (*answer, answer.tier())),
        Some((2, Tier::Source))
    );
    assert_eq!(node.peek(&key).expect("registered").as_deref(), Some(&2));
    let other = fleet.nodes[1]
        .get_with(&key, l1(TierUse::Skip))
        .await
        .expect("get");
    assert_eq!(other.as_deref(), Some(&2));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn readers_with_other_options_do_not_mislead_each_other_when_they_meet() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    fleet.nodes[1].put(&key, 1).await.expect("put");
    let source = Source::of(2).slow(Duration::from_millis(10));
    let direct = || node.get_or_load_with(&key, l2(TierUse::Skip), source.loader());
    let (skipping, plain) = join(direct(), node.get(&key)).await;
    assert_eq!(skipping.expect("loaded").as_deref(), Some(&2));
    assert_eq!(plain.expect("get").as_deref(), Some(&1));
    let nowhere = l1(TierUse::Skip).with_l2(TierUse::Skip);
    let (nothing, plain) = join(
        node.get_with(&key, nowhere),
        node.get_with(&key, l1(TierUse::Skip)),
    )
    .await;
    assert!(nothing.expect("get").is_none());
    assert_eq!(plain.expect("get").as_deref(), Some(&1));
    assert_eq!(node.stats().total().memory.in_flight, 0);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_may_have_a_policy_of_its_own() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]), Source::of(1));
    let short = Policy::event_driven(Duration::from_secs(2)).with_jitter(Permille(0));
    let options = Options::default().with_policy(short);
    node.get_or_load_with(&key, options, source.loader())
        .await
        .expect("loaded");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(node.get(&key).await.expect("get").is_none());

    let hurried = Options::default().with_policy(POLICY.with_timeouts(None, Duration::from_millis(20)));
    let asked = tokio::time::Instant::now();
    let answer = node
        .get_or_load_with(&key, hurried, Source::of(1).slow(Duration::from_secs(1)).loader())
        .await;
    assert!(matches!(answer, Err(CacheError::Load(_))), "{answer:?}");
    assert_eq!(asked.elapsed(), Duration::from_millis(20));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_unregistered_namespace_and_a_wrong_type_are_refused_by_name() {
    const UNKNOWN: Namespace<u64> = Namespace::new("unknown", POLICY);
    const MISTYPED: Namespace<String> = Namespace::new("numbers", POLICY);
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    let refused = |answer: Result<(), CacheError>, name: &str| match answer {
        Err(CacheError::Rejected(why)) => assert!(why.contains(name), "{why}"),
        other => panic!("expected a refusal that names {name}, got {other:?}"),
    };
    let (unknown, mistyped) = (UNKNOWN.key(&[("id", &1)]), MISTYPED.key(&[("id", &1)]));
    refused(node.get(&unknown).await.map(drop), "unknown");
    refused(node.put(&unknown, 1).await.map(drop), "unknown");
    refused(node.invalidate(&unknown).await.map(drop), "unknown");
    refused(node.clear(&UNKNOWN).await.map(drop), "unknown");
    refused(node.peek(&mistyped).map(drop), "numbers");
    refused(node.get(&mistyped).await.map(drop), "numbers");
    refused(node.put(&mistyped, String::new()).await.map(drop), "numbers");
    refused(node.clear(&MISTYPED).await.map(drop), "numbers");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn versions_do_not_go_back_after_a_read_that_passed_memory_by() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    here.put(&key, 1).await.expect("published");
    there.get(&key).await.expect("read").expect("in memory");
    let delay = Duration::from_millis(500);
    fleet.hub.set_faults(cache_memory::Faults {
        event_delay: delay..=delay,
        ..cache_memory::Faults::NONE
    });
    here.put(&key, 2).await.expect("published");
    for options in [
        Options::default().with_l1(TierUse::Skip),
        Options::default()
            .with_l1(TierUse::Skip)
            .with_l2(TierUse::ReadOnly),
    ] {
        let first = there.get_with(&key, options).await.expect("read").expect("there");
        let then = there.get(&key).await.expect("read").expect("there");
        assert!(
            then.version().seq >= first.version().seq,
            "{first:?}, then {then:?}"
        );
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_for_as_long_as_the_loader_says() {
    let fleet = fleet().await;
    let (node, other, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    let source = Source::saying(Says::AbsentFor(Duration::from_secs(5)));
    for _ in 0..3 {
        for node in [node, other] {
            assert!(
                node.get_or_load(&key, source.loader())
                    .await
                    .expect("loaded")
                    .is_none()
            );
        }
    }
    assert_eq!(source.calls(), 1, "although the namespace remembers none");
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    assert_eq!(source.calls(), 2);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_finds_nothing_leaves_an_absence_for_as_long_as_the_loader_says() {
    let fleet = fleet().await;
    let (node, other, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    let source = Source::saying(Says::AbsentFor(Duration::from_secs(5)));
    node.put(&key, 1).await.expect("published");
    other.get(&key).await.expect("get").expect("in memory");
    node.refresh(&key, source.loader()).await.expect("published");
    tokio::time::sleep(Duration::from_millis(1)).await;
    for node in [node, other] {
        assert!(
            node.get_or_load(&key, source.loader())
                .await
                .expect("answered")
                .is_none()
        );
    }
    assert_eq!(source.calls(), 1);
    fleet.shutdown().await;
}
