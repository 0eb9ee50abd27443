//! The seven ways in which caches of this kind were measured to serve stale values, each run against this one.
//!
//! What others answered is in the documentation; here all counts must be zero after the bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::nodes::{LEASE, NUMBERS, PATIENCE, Pair, bound_passes, eventually, key, read, stale};
use crate::proxy::{Kind, Passage};

/// Writes all keys from many tasks at once, as services do.
async fn write_all(node: &edge_cache::EdgeCache, ids: std::ops::Range<u64>, value: impl Fn(u64) -> u64) {
    let writes = stream::iter(ids.map(|id| (id, value(id)))).map(|(id, value)| async move {
        node.put(&key(id), value).await.expect("put");
    });
    writes.buffer_unordered(64).collect::<Vec<_>>().await;
}

/// What a node answers, once it does: a busy machine may take longer than a reader waits, and that is not another value.
async fn answer(node: &edge_cache::EdgeCache, id: u64) -> Option<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match node.get(&key(id)).await {
            Ok(answer) => return answer.map(|fetched| *fetched),
            Err(error) => assert!(Instant::now() < deadline, "no answer: {error}"),
        }
    }
}

/// Prints a line of the table in the documentation.
fn told(failure: &str, stale: usize, of: u64) {
    println!("| {failure} | {stale} of {of} |");
    assert_eq!(stale, 0, "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_the_receivers_bus_is_down_for_two_seconds_during_a_thousand_writes() {
    let pair = Pair::start().await;
    pair.share(0..1_000).await;
    pair.proxy.accept(false);
    pair.proxy.reset(Kind::Bus);
    write_all(&pair.near, 0..1_000, |id| 10_000 + id).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    pair.proxy.accept(true);
    bound_passes().await;
    told(
        "bus down 2 s during 1,000 writes",
        stale(&pair.far, 0..1_000, |id| 10_000 + id).await.len(),
        1_000,
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_the_bus_is_half_open() {
    let pair = Pair::start().await;
    pair.share(0..1_000).await;
    pair.proxy.weather(Kind::Bus, Passage::Open, Passage::Swallowed);
    write_all(&pair.near, 0..1_000, |id| 10_000 + id).await;
    bound_passes().await;
    told(
        "half-open bus",
        stale(&pair.far, 0..1_000, |id| 10_000 + id).await.len(),
        1_000,
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_fill_races_a_remote_write() {
    let pair = Pair::start().await;
    for id in 0..1_000 {
        pair.near.put(&key(id), id).await.expect("put");
        let key = key(id);
        let (_, written) = tokio::join!(read(&pair.far, id), pair.near.put(&key, 10_000 + id));
        written.expect("put");
    }
    bound_passes().await;
    told(
        "fill races a write",
        stale(&pair.far, 0..1_000, |id| 10_000 + id).await.len(),
        1_000,
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_the_invalidation_of_a_tag_races_a_loader() {
    let pair = Pair::start().await;
    let mut wrong = 0;
    for id in 0..200 {
        let source = Arc::new(AtomicU64::new(1));
        let tag = format!("tag-{id}");
        let load = |source: Arc<AtomicU64>, tag: String| {
            move |_| {
                let (source, tag) = (Arc::clone(&source), tag.clone());
                async move {
                    let value = source.load(Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    Ok::<_, std::io::Error>(edge_cache::Load::value(value).with_tag(tag))
                }
            }
        };
        let key = key(id);
        let loading = pair.far.get_or_load(&key, load(Arc::clone(&source), tag.clone()));
        let invalidating = async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            source.store(2, Ordering::SeqCst);
            pair.near.invalidate_tag(&tag).await.expect("published");
        };
        let _ = tokio::join!(loading, invalidating);
        eventually("the barrier has arrived", LEASE, async || {
            let answer = pair
                .far
                .get_or_load(&key, load(Arc::clone(&source), tag.clone()))
                .await;
            answer.ok().flatten().is_some_and(|value| *value == 2)
        })
        .await;
        wrong += usize::from(read(&pair.far, id).await == Some(1))
            + usize::from(read(&pair.near, id).await == Some(1));
    }
    told("tag races a loader", wrong, 200);
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_the_shared_store_refuses_for_two_seconds_during_two_hundred_writes() {
    let pair = Pair::start().await;
    pair.share(0..200).await;
    pair.proxy.accept(false);
    pair.proxy.reset(Kind::Data);
    let began = Instant::now();
    for id in 0..200 {
        // The system of record has the new value; the cache is told that its own is void.
        let _ = pair.far.invalidate(&key(id)).await;
    }
    tokio::time::sleep(Duration::from_secs(2).saturating_sub(began.elapsed())).await;
    pair.proxy.accept(true);
    eventually("nothing is owed", PATIENCE, async || pair.far.stats().owed == 0).await;
    bound_passes().await;
    let mut left = stale(&pair.far, 0..200, |_| u64::MAX).await.len();
    left += stale(&pair.near, 0..200, |_| u64::MAX).await.len();
    told("store refuses 2 s during 200 invalidations", left, 200);
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_clear_of_twenty_thousand_keys_under_reads() {
    let pair = Pair::start().await;
    write_all(&pair.near, 0..20_000, |id| id).await;
    let reading = async {
        for id in (0..20_000).step_by(7) {
            read(&pair.far, id).await;
        }
    };
    let clearing = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let began = Instant::now();
        pair.near.clear(&NUMBERS).await.expect("published");
        began.elapsed()
    };
    let ((), took) = tokio::join!(reading, clearing);
    bound_passes().await;
    println!("clearing 20,000 keys took {took:?}");
    told(
        "clear of 20,000 keys under reads",
        stale(&pair.far, 0..20_000, |_| u64::MAX).await.len(),
        20_000,
    );
    pair.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_two_nodes_write_the_same_thousand_keys() {
    let pair = Pair::start().await;
    tokio::join!(
        write_all(&pair.near, 0..1_000, |id| 10_000 + id),
        write_all(&pair.far, 0..1_000, |id| 20_000 + id),
    );
    bound_passes().await;
    let mut differ = Vec::new();
    for id in 0..1_000 {
        let values = (answer(&pair.near, id).await, answer(&pair.far, id).await);
        if values.0 != values.1 {
            differ.push((id, values));
        }
    }
    println!("{differ:?}");
    told("two nodes write the same 1,000 keys", differ.len(), 1_000);
    pair.shutdown().await;
}
