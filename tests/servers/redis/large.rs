//! Calls about many thousand keys on a real server: in pieces, with a deadline each, and nothing is flushed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cache_core::Key;
use edge_cache::{EdgeCache, Put, Receipt};
use tokio::time::Instant;

use crate::nodes::{key, warm};
use crate::server::Server;

fn flushes(node: &EdgeCache) -> u64 {
    node.stats().events.iter().map(|tally| tally.flushes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_keys_are_put_loaded_and_invalidated_and_no_shard_is_flushed() {
    const MANY: u64 = 20_000;
    let server = Server::start().await;
    let (near, far) = (warm(server.settings()).await, warm(server.settings()).await);
    let before = flushes(&near) + flushes(&far);
    let keys: Vec<Key<u64>> = (0..MANY).map(key).collect();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&calls);
    let loader = move |keys: Vec<Key<u64>>| {
        counted.lock().expect("calls").push(keys.len());
        async move { Ok::<HashMap<Key<u64>, u64>, std::io::Error>(keys.into_iter().map(|key| (key, 1)).collect()) }
    };
    let asked = Instant::now();
    let there = near.warm(&keys, loader).await.expect("loaded");
    let (warmed, asked) = (asked.elapsed(), Instant::now());
    let calls = std::mem::take(&mut *calls.lock().expect("calls"));
    // One for each 1,024, and one more at most where some of them were late to say that they need it.
    assert!((20..=40).contains(&calls.len()), "{calls:?}");
    assert_eq!(calls.iter().sum::<usize>(), 20_000, "{calls:?}");
    assert!(
        there > 5_000 && there <= 10_000,
        "{there} of the 10,000 that memory holds"
    );
    let puts = keys.iter().map(|key| (key.clone(), Put::new(2))).collect();
    let outcomes = near.put_many(puts).await.expect("registered");
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(Receipt::Published { .. })))
    );
    let (put, asked) = (asked.elapsed(), Instant::now());
    let receipts = far.invalidate_many(&keys).await.expect("published");
    assert!(receipts.iter().all(|receipt| receipt.version().is_some()));
    println!(
        "{MANY} keys: warmed in {warmed:?}, put in {put:?}, invalidated in {:?}",
        asked.elapsed()
    );
    assert_eq!(flushes(&near) + flushes(&far) - before, 0);
    near.shutdown().await;
    far.shutdown().await;
}
