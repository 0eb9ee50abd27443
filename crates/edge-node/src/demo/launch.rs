//! Who takes part in a run: subscribers, followers, buyers, and bad weather, each started here.
//!
//! Nobody is stopped here, and nothing gathered.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use marketplace::inventory::GpuRecord;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::fleet::{Fleet, Node};
use super::queries::Catalogue;
use super::readers::{Buyer, Live, SLICE, Seen};
use super::report::Check;
use super::spans::Spans;
use super::{subscribers, weather};
use crate::cli::DemoArgs;

/// Buyers at each node: while one waits for the shared store, the others go on.
const BUYERS: usize = 4;

/// Tasks under way.
pub(super) type Running<T> = Vec<tokio::task::JoinHandle<T>>;

/// A subscriber on every node, until `stop`.
pub(super) fn start_subscribers(fleet: &Fleet, stop: &CancellationToken) -> Running<Spans> {
    let start = |node: &Node| {
        let events = subscribers::subscribe(&node.market);
        let (truth, clock) = (Arc::clone(&fleet.truth), fleet.clock.shared());
        tokio::spawn(subscribers::listen(
            events,
            node.name.clone(),
            truth,
            clock,
            stop.clone(),
        ))
    };
    fleet.nodes.iter().map(start).collect()
}

/// One node of each region looks after decisions that were not told: all of them would do the same work.
pub(super) fn start_followers(fleet: &Fleet, stop: &CancellationToken) -> Running<()> {
    let mut followers = Vec::new();
    let mut region = None;
    for node in &fleet.nodes {
        if region.replace(&node.region) != Some(&node.region) {
            let (market, stop) = (node.market.clone(), stop.clone());
            followers.push(tokio::spawn(async move {
                market.follow_changes(stop.cancelled()).await
            }));
        }
    }
    followers
}

/// Bad weather, if it was asked for.
pub(super) fn start_storm(
    args: &DemoArgs,
    fleet: &Fleet,
    stop: &CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    // The command line allows both only together.
    let Backend::Embedded(hub) = &*fleet.backend else {
        return None;
    };
    let names = fleet.nodes.iter().map(|node| node.name.clone()).collect();
    let (hub, stop, rng) = (
        hub.clone(),
        stop.clone(),
        SmallRng::seed_from_u64(args.seed ^ 0x0073_746f_726d),
    );
    args.faults
        .then(|| tokio::spawn(async move { weather::storm(hub, names, rng, stop.cancelled()).await }))
}

/// The death of a master when it is due, if it was asked for.
pub(super) fn start_death_of_a_master(
    args: &DemoArgs,
    fleet: &Arc<Fleet>,
) -> Option<tokio::task::JoinHandle<Result<(), String>>> {
    let (after, fleet) = (args.kill_master?, Arc::clone(fleet));
    Some(tokio::spawn(async move {
        tokio::time::sleep(after).await;
        fleet.backend.kill_a_master()
    }))
}

/// Whether it came about.
pub(super) async fn has_died(death: tokio::task::JoinHandle<Result<(), String>>) -> Check {
    // What is not due by now never will be.
    death.abort();
    let killed = death
        .await
        .unwrap_or_else(|_not_due| Err("the run ended before it was due".to_owned()));
    Check::that("a master was killed, and the run went on", killed.is_ok())
        .because(killed.err().unwrap_or_default())
}

/// The buyers of all nodes, on as many threads of their own as there are cores: the operating system shares the
/// processor between them and the nodes' tasks, and neither waits for the other to yield.
pub(super) fn start_buyers(
    args: &DemoArgs,
    fleet: &Fleet,
    gpus: &[GpuRecord],
    live: &Arc<Live>,
    stop: &CancellationToken,
) -> Running<Vec<Seen>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    // All buyers together take a quarter of the machine: all nodes have only this one.
    let pause = SLICE.mul_f64(4.0 * (fleet.nodes.len() * BUYERS) as f64 / cores as f64);
    let mut rng = SmallRng::seed_from_u64(args.seed ^ 0x6275_7965_7273);
    let mut catalogues = BTreeMap::new();
    let mut threads: Vec<Vec<Buyer>> = (0..cores).map(|_| Vec::new()).collect();
    let mut buyers = 0;
    for node in &fleet.nodes {
        let catalogue = catalogues
            .entry(node.region.clone())
            .or_insert_with(|| Arc::new(Catalogue::of(gpus, &node.region, &mut rng)));
        let catalogue = Arc::clone(catalogue);
        for _ in 0..BUYERS {
            let buyer = Buyer {
                market: node.market.clone(),
                catalogue: Arc::clone(&catalogue),
                rng: SmallRng::from_rng(&mut rng),
                truth: Arc::clone(&fleet.truth),
                clock: fleet.clock.shared(),
                pause,
                live: Arc::clone(live),
            };
            let thread = buyers % cores;
            threads[thread].push(buyer);
            buyers += 1;
        }
    }
    let handle = tokio::runtime::Handle::current();
    let start = |buyers: Vec<Buyer>| {
        let (handle, stop) = (handle.clone(), stop.clone());
        let ask = move || {
            handle.block_on(join_all(
                buyers.into_iter().map(|buyer| buyer.ask(stop.cancelled())),
            ))
        };
        tokio::task::spawn_blocking(ask)
    };
    threads.into_iter().map(start).collect()
}
