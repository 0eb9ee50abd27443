//! Loaders that fail, panic, hang, or say that nothing has changed.
//!
//! No stale value is at hand in these tests; with one, see `stale`.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Namespace, Permille, Policy};
use edge_cache::{CacheError, LoadError};
use tests::{Fleet, FleetOptions};

use crate::doubles::{Says, Source};

const HARD: Duration = Duration::from_millis(500);
const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(30))
        .with_jitter(Permille(0))
        .with_timeouts(None, HARD),
);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await
}

async fn failure(fleet: &Fleet, source: &Source) -> Arc<LoadError> {
    let key = NUMBERS.key(&[("id", &1)]);
    match fleet.nodes[0].get_or_load(&key, source.loader()).await {
        Err(CacheError::Load(error)) => error,
        other => panic!("expected a failed load, got {other:?}"),
    }
}

/// After a failed load nothing stands in the way of the next one, here or elsewhere.
async fn the_place_is_free(fleet: &Fleet) {
    let key = NUMBERS.key(&[("id", &1)]);
    let stats = fleet.nodes[0].stats().total();
    assert_eq!(
        (stats.loads, stats.load_failures, stats.memory.in_flight),
        (1, 1, 0)
    );
    let (asked, source) = (tokio::time::Instant::now(), Source::of(8));
    for node in fleet.nodes.iter().rev() {
        let answer = node.get_or_load(&key, source.loader()).await.expect("loaded");
        assert_eq!(answer.as_deref(), Some(&8));
    }
    assert_eq!(source.calls(), 1);
    // The right to fill is given back behind the reader, who is not kept for it: the next one may wait one short pause.
    assert!(
        asked.elapsed() <= Duration::from_millis(2),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_loader_reaches_its_caller_with_its_cause() {
    let fleet = fleet().await;
    let error = failure(&fleet, &Source::saying(Says::Error)).await;
    assert!(
        matches!(&*error, LoadError::Failed(cause) if cause.to_string() == "the source is broken"),
        "{error:?}"
    );
    the_place_is_free(&fleet).await;
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_loader_is_an_error_of_its_callers_and_of_nobody_else() {
    let fleet = fleet().await;
    let error = failure(&fleet, &Source::saying(Says::Panic)).await;
    assert!(matches!(&*error, LoadError::Panicked), "{error:?}");
    the_place_is_free(&fleet).await;
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_before_its_first_await_is_an_error_as_well() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    let broken = |_context: edge_cache::LoadContext<u64>| -> std::future::Ready<Result<u64, &'static str>> {
        panic!("before there is a future")
    };
    let answer = fleet.nodes[0].get_or_load(&key, broken).await;
    assert!(
        matches!(&answer, Err(CacheError::Load(error)) if matches!(**error, LoadError::Panicked)),
        "{answer:?}"
    );
    the_place_is_free(&fleet).await;
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_hard_timeout_drops_the_load_and_frees_its_place() {
    let fleet = fleet().await;
    let (source, asked) = (
        Source::of(7).slow(Duration::from_secs(3_600)),
        tokio::time::Instant::now(),
    );
    let error = failure(&fleet, &source).await;
    assert!(matches!(&*error, LoadError::TimedOut), "{error:?}");
    assert_eq!(asked.elapsed(), HARD);
    assert_eq!(source.dropped(), 1);
    the_place_is_free(&fleet).await;
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn not_modified_without_an_earlier_value_is_an_error_and_not_an_absence() {
    let fleet = fleet().await;
    let source = Source::saying(Says::NotModified);
    assert!(matches!(
        *failure(&fleet, &source).await,
        LoadError::NothingToKeep
    ));
    fleet.hub.partition("node-0", cache_memory::Cut::Data);
    assert!(matches!(
        *failure(&fleet, &source).await,
        LoadError::NothingToKeep
    ));
    fleet.hub.heal("node-0");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_loader_panics_or_hangs_is_an_error_and_changes_nothing() {
    let fleet = fleet().await;
    let key = NUMBERS.key(&[("id", &1)]);
    fleet.nodes[0].put(&key, 7).await.expect("put");
    let panics = fleet.nodes[0]
        .refresh(&key, Source::saying(Says::Panic).loader())
        .await;
    assert!(
        matches!(&panics, Err(CacheError::Load(error)) if matches!(**error, LoadError::Panicked)),
        "{panics:?}"
    );
    let hanging = Source::of(8).slow(Duration::from_secs(3_600));
    let hangs = fleet.nodes[0].refresh(&key, hanging.loader()).await;
    assert!(
        matches!(&hangs, Err(CacheError::Load(error)) if matches!(**error, LoadError::TimedOut)),
        "{hangs:?}"
    );
    assert_eq!(hanging.dropped(), 1);
    let stats = fleet.nodes[0].stats().total();
    assert_eq!((stats.loads, stats.load_failures), (2, 2));
    assert_eq!(fleet.nodes[1].get(&key).await.expect("get").as_deref(), Some(&7));
    fleet.shutdown().await;
}
