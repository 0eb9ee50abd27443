//! From a write in the critical lane to its effect on another node, alone and beside ten megabytes a second of values that travel
//! in the bulk lane's events to the same node.
//!
//! The counterpart of each figure is the same node's, idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Lane, Namespace, Policy, Propagation};
use edge_cache::EdgeCache;
use futures_util::future::join_all;
use tokio::time::{Instant, interval};

use crate::arguments::Arguments;
use crate::nodes::{Node, node_with};
use crate::table::{Table, percentiles};

const POLICY: Policy = Policy::event_driven(Duration::from_secs(600));
const URGENT: Namespace<u64> = Namespace::new("urgent", POLICY.with_lane(Lane::Critical));
const BULKY: Namespace<Vec<u8>> = Namespace::new("bulky", POLICY.with_propagation(Propagation::Value));

/// Largest value that travels in an event, with room for its envelope.
const BYTES: usize = 1_000;
/// Written at once every millisecond: 10 MB a second. More at once would measure the one thread of the server.
const AT_ONCE: usize = 10;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let node = || {
        node_with(&arguments.settings, URGENT.name(), |builder| {
            builder.namespace(&URGENT).namespace(&BULKY)
        })
    };
    let (writer, mut other, flood) = (node().await, node().await, node().await);
    let rounds = arguments.rounds.min(1_000);
    let idle = percentiles(spans(&writer.cache, &mut other, rounds).await);
    let (flooded, since) = (AtomicU64::new(0), Instant::now());
    let busy = tokio::select! {
        () = pour(&flood.cache, &flooded) => unreachable!("the flood has no end"),
        busy = spans(&writer.cache, &mut other, rounds) => percentiles(busy),
    };
    let rate = flooded.load(Ordering::Relaxed) as f64 / 1e6 / since.elapsed().as_secs_f64();
    table.tell("values in the bulk lane meanwhile", "MB a second", rate);
    for (index, name) in ["p50", "p99"].into_iter().enumerate() {
        let what = format!("critical event beside them, and idle, {name}");
        table.compare(what, "us", busy[index], idle[index]);
    }
    for node in [writer, other, flood] {
        node.cache.shutdown().await;
    }
}

async fn spans(writer: &EdgeCache, other: &mut Node, rounds: usize) -> Vec<Duration> {
    let mut spans = Vec::new();
    // So that the flood neither runs in step with it nor has it to itself.
    let mut pause = interval(Duration::from_millis(3));
    for round in 0..rounds {
        pause.tick().await;
        let sent = Instant::now();
        let key = URGENT.key(&[("id", &(round % 50))]);
        writer.put(&key, round as u64).await.expect("put");
        let effect = other.superseded.recv().await.expect("a node lives");
        spans.push(effect.duration_since(sent));
    }
    spans
}

async fn pour(flood: &EdgeCache, flooded: &AtomicU64) {
    let mut pause = interval(Duration::from_millis(1));
    for round in 0_u64.. {
        pause.tick().await;
        let puts = (0..AT_ONCE).map(|id| async move {
            let key = BULKY.key(&[("id", &id)]);
            flood.put(&key, vec![round as u8; BYTES]).await.expect("put");
        });
        join_all(puts).await;
        flooded.fetch_add((AT_ONCE * BYTES) as u64, Ordering::Relaxed);
    }
}
