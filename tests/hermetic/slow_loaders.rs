//! Loaders that take ten seconds and more: their values are kept, shared, and honest about their age.

use std::time::Duration;

use cache_core::{Key, Namespace, Permille, Policy};
use cache_memory::Cut;
use edge_cache::{CacheError, Freshness, LoadError, Tier};
use futures_util::future::{join, join3};
use tests::{Fleet, FleetOptions};
use tokio::time::{Instant, sleep};

use crate::doubles::{Says, Source};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0));
const SLOW: Namespace<u64> = Namespace::new("slow", POLICY.with_timeouts(None, Duration::from_secs(60)));
const TIGHT: Namespace<u64> = Namespace::new("tight", POLICY.with_timeouts(None, Duration::from_secs(10)));
const PLAIN: Namespace<u64> = Namespace::new("plain", POLICY);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&SLOW).namespace(&TIGHT).namespace(&PLAIN)
    })
    .await
}

fn key(namespace: &Namespace<u64>) -> Key<u64> {
    namespace.key(&[("id", &1)])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_loader_finds_is_kept_when_nothing_invalidated_the_key_meanwhile() {
    let fleet = fleet().await;
    for (namespace, load) in [(&TIGHT, seconds(9)), (&SLOW, seconds(59))] {
        let (key, source) = (key(namespace), Source::of(7).slow(load));
        let answer = fleet.nodes[0]
            .get_or_load(&key, source.loader())
            .await
            .expect("loaded")
            .expect("there");
        assert_eq!((*answer, answer.tier()), (7, Tier::Source));
        let hit = fleet.nodes[0].peek(&key).expect("registered").expect("in memory");
        assert!(hit.age() >= load, "{hit:?}");
        let other = fleet.nodes[1].get(&key).await.expect("get").expect("shared");
        assert_eq!((*other, other.tier(), source.calls()), (7, Tier::L2, 1));
        assert!(other.age() >= load, "{other:?}");
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_slow_load_late_shares_it_and_is_told_how_old_it_can_be() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], key(&SLOW), Source::of(7).slow(seconds(20)));
    let late = async {
        sleep(seconds(15)).await;
        node.get_or_load(&key, source.loader()).await
    };
    let elsewhere = async {
        sleep(seconds(5)).await;
        fleet.nodes[1].get_or_load(&key, source.loader()).await
    };
    let (first, late, elsewhere) = join3(node.get_or_load(&key, source.loader()), late, elsewhere).await;
    for answer in [first, late] {
        let answer = answer.expect("loaded").expect("there");
        let Freshness::Current { at_most } = answer.freshness() else {
            panic!("{answer:?}");
        };
        assert!(at_most >= seconds(20) && at_most < seconds(21), "{at_most:?}");
    }
    assert_eq!(elsewhere.expect("waited").expect("there").tier(), Tier::L2);
    assert_eq!(source.calls(), 1, "one load for all nodes");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_that_an_invalidation_overtook_is_not_kept_and_loaded_again() {
    let fleet = fleet().await;
    let (key, source) = (key(&SLOW), Source::of(1).slow(seconds(10)));
    let change = async {
        sleep(seconds(5)).await;
        source.set(Says::Value(2));
        fleet.nodes[1].invalidate(&key).await.expect("published");
    };
    let (answer, ()) = join(fleet.nodes[0].get_or_load(&key, source.loader()), change).await;
    assert_eq!(answer.expect("loaded").as_deref(), Some(&2));
    assert_eq!(source.calls(), 2);
    for node in &fleet.nodes {
        assert_eq!(node.get(&key).await.expect("get").as_deref(), Some(&2));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_that_was_overtaken_is_answered_when_there_is_no_time_for_another() {
    let fleet = fleet().await;
    let (node, key, source) = (&fleet.nodes[0], key(&TIGHT), Source::of(1).slow(seconds(8)));
    let change = async {
        sleep(seconds(4)).await;
        source.set(Says::Value(2));
        fleet.nodes[1].invalidate(&key).await.expect("published");
    };
    let (answer, ()) = join(node.get_or_load(&key, source.loader()), change).await;
    let answer = answer.expect("loaded before the invalidation").expect("there");
    assert_eq!((*answer, source.calls()), (1, 1));
    assert!(node.peek(&key).expect("registered").is_none(), "and kept nowhere");
    assert_eq!(
        node.get_or_load(&key, source.loader())
            .await
            .expect("loaded")
            .as_deref(),
        Some(&2)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_namespace_leaves_the_bounds_of_the_others_alone() {
    let fleet = fleet().await;
    let (node, slow) = (&fleet.nodes[0], Source::of(7).slow(seconds(20)));
    let plain = Source::of(8).slow(seconds(20));
    let asked = Instant::now();
    let other = async {
        let answer = node.get_or_load(&key(&PLAIN), plain.loader()).await;
        assert_eq!(asked.elapsed(), seconds(2));
        answer
    };
    let (slow, other) = join(node.get_or_load(&key(&SLOW), slow.loader()), other).await;
    assert_eq!(slow.expect("loaded").as_deref(), Some(&7));
    assert!(
        matches!(&other, Err(CacheError::Load(error)) if matches!(**error, LoadError::TimedOut)),
        "{other:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_a_slow_namespace_no_longer_than_the_others() {
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    fleet.hub.set_faults(cache_memory::Faults {
        timeout: seconds(600),
        ..cache_memory::Faults::NONE
    });
    fleet.hub.partition("node-0", Cut::Data);
    let asked = Instant::now();
    assert!(node.get(&key(&SLOW)).await.is_err());
    assert!(node.put(&key(&SLOW), 1).await.is_err());
    let source = Source::of(7);
    let answer = node.get_or_load(&key(&SLOW), source.loader()).await;
    assert_eq!(answer.expect("loaded").as_deref(), Some(&7));
    assert!(asked.elapsed() <= seconds(6), "took {:?}", asked.elapsed());
    fleet.shutdown().await;
}
