//! What is refused when a cache starts, and how: everything at once, with the numbers.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{CodecId, Lane, Namespace, Permille, Policy};
use cache_l1::MemoryStores;
use cache_memory::Hub;
use edge_cache::{EdgeCache, EdgeCacheBuilder, Ports, StartError, Timing};

const MINUTE: Duration = Duration::from_secs(60);
const POLICY: Policy = Policy::event_driven(MINUTE);
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);

fn ports() -> Ports {
    let clock = testkit::virtual_time();
    let node = Arc::new(Hub::builder().clock(clock.clone()).build().endpoint("node"));
    Ports::new(Arc::new(MemoryStores), node.clone(), node).with_clock(clock)
}

fn builder() -> EdgeCacheBuilder {
    EdgeCache::builder(ports())
}

fn refused(builder: EdgeCacheBuilder) -> StartError {
    builder.start().expect_err("this is refused")
}

#[tokio::test(start_paused = true)]
async fn every_problem_of_a_setup_is_told_at_once() {
    const OTHERS: Namespace<String> = Namespace::new("others", POLICY);
    let wrong = POLICY
        .with_timeouts(Some(Duration::from_secs(4)), Duration::from_secs(3))
        .with_negative_ttl(Duration::ZERO)
        .with_jitter(Permille(1_001))
        .with_eager_refresh(Permille(1_000))
        .with_codec(CodecId(77));
    let error = refused(
        builder()
            .timing(Timing {
                lease: Duration::from_secs(1),
                deadline: Duration::from_secs(5),
            })
            .event_queue(0)
            .canaries(Duration::ZERO)
            .namespace(&NUMBERS)
            .namespace(&NUMBERS)
            .namespace_with(&OTHERS, wrong),
    );
    assert_eq!(error.problems().len(), 10, "{error}");
    for words in [
        "\"numbers\" is registered twice",
        "deadline of a question is 5s and a lease is 1s",
        "0 events",
        "every 0 s",
        "soft timeout of 4s has no effect without fail-safe",
        "soft timeout of 4s is never reached: the hard timeout of 3s",
        "remembered for 0 s",
        "1001 thousandths",
        "1000 thousandths of the TTL",
        "codec 77",
    ] {
        assert!(
            error.to_string().contains(words),
            "{words:?} is missing in {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_could_take_longer_than_any_may_is_refused_with_both_numbers() {
    let slow = POLICY.with_timeouts(None, Duration::from_secs(601));
    let error = refused(builder().namespace_with(&NUMBERS, slow));
    assert!(
        error.problems()[0].contains("601s") && error.problems()[0].contains("600s"),
        "{error}"
    );
    let slow = POLICY.with_timeouts(None, Duration::from_secs(600));
    let node = builder()
        .namespace_with(&NUMBERS, slow)
        .start()
        .expect("possible");
    node.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_another_lane_than_its_namespace_is_refused() {
    let error = refused(builder().namespace_with(&NUMBERS, POLICY.with_lane(Lane::Critical)));
    assert!(
        error
            .to_string()
            .contains("of the Bulk lane and was registered with a policy of the Critical lane"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_on_while_the_runtimes_time_is_paused_is_refused() {
    let node = Arc::new(Hub::builder().build().endpoint("node"));
    let real = Ports::new(Arc::new(MemoryStores), node.clone(), node);
    let error = refused(EdgeCache::builder(real));
    assert!(error.to_string().contains("testkit::virtual_time"), "{error}");
}

#[tokio::test]
async fn a_real_clock_under_real_time_and_a_virtual_one_under_virtual_time_start() {
    let node = Arc::new(Hub::builder().build().endpoint("node"));
    let real = Ports::new(Arc::new(MemoryStores), node.clone(), node);
    EdgeCache::builder(real)
        .start()
        .expect("real time")
        .shutdown()
        .await;
    builder().start().expect("virtual time").shutdown().await;
}

#[test]
fn without_a_runtime_a_cache_says_so_and_does_not_panic() {
    let node = Arc::new(Hub::builder().build().endpoint("node"));
    let error = refused(EdgeCache::builder(Ports::new(
        Arc::new(MemoryStores),
        node.clone(),
        node,
    )));
    assert!(error.to_string().contains("no Tokio runtime"), "{error}");
}
