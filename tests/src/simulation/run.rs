//! One simulated run: a fleet, its readers and writers, and the trouble they live through.
//!
//! Everything follows from the seed; nothing waits in real time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock, Key, Lane, Moment, Namespace, Policy};
use cache_memory::{Cut, Faults, Hub};
use edge_cache::{CacheError, Receipt};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::VirtualClock;

use super::scenario::{Load, Scenario, TIMING, Trouble};
use super::truth::{Truth, Verdict};
use crate::{Fleet, FleetOptions, Node};

/// Values of the simulated run: what the system of record counted when they were loaded.
const VALUES: Namespace<u64> = Namespace::new("values", POLICY);

const POLICY: Policy = Policy::event_driven(Duration::from_secs(5))
    .with_lane(Lane::Critical)
    .with_l1_ttl(Duration::from_secs(4))
    .with_timeouts(None, Duration::from_millis(400));

const TAG: &str = "even";

/// Whether every step of a run is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// Nothing is.
    Off,
    /// Every read, write and trouble, with its moment.
    On,
}

/// Runs a scenario under one seed. The same seed gives the same run.
pub fn simulate(scenario: &Scenario, seed: u64, trace: Trace) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be built");
    runtime.block_on(live(scenario.clone(), seed, trace))
}

async fn live(scenario: Scenario, seed: u64, trace: Trace) -> Verdict {
    let keys: Vec<Key<u64>> = (0..scenario.keys).map(|id| VALUES.key(&[("id", &id)])).collect();
    let tagged = (0..scenario.keys).map(is_tagged).collect();
    let raw = keys.iter().map(|key| key.raw().clone()).collect();
    let truth = Arc::new(Truth::new(raw, tagged, trace == Trace::On));
    let options = FleetOptions {
        seed,
        witness: Some(truth.clone()),
        ..scenario.options
    };
    let policy = match scenario.load {
        Load::Plain => POLICY,
        Load::Everything => POLICY
            .with_l1_ttl(Duration::from_millis(700))
            .with_memory(1 << 20, 4),
    };
    let fleet = Fleet::start(options, |builder| builder.namespace_with(&VALUES, policy)).await;
    let world = Arc::new(World {
        clock: VirtualClock::new(),
        load: scenario.load,
        keys,
        truth,
    });
    let end = world.clock.now() + scenario.span;
    if scenario.faults != Faults::NONE {
        fleet.hub.set_faults(scenario.faults);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (index, node) in fleet.nodes.iter().enumerate() {
        for reader in 0..3_u64 {
            let rng = SmallRng::seed_from_u64(seed * 1_000 + index as u64 * 10 + reader);
            tasks.spawn(Arc::clone(&world).keep_reading(node.clone(), index, end, rng));
        }
        let rng = SmallRng::seed_from_u64(seed * 1_000 + 500 + index as u64);
        tasks.spawn(Arc::clone(&world).keep_writing(node.clone(), index, end, rng));
    }
    if !scenario.troubles.is_empty() {
        let rng = SmallRng::seed_from_u64(seed * 1_000 + 900);
        let nodes = fleet.nodes.len();
        tasks.spawn(Arc::clone(&world).make_trouble(fleet.hub.clone(), scenario.troubles, nodes, end, rng));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no part of the simulation panics");
    }
    world.come_to_rest(&fleet).await;
    fleet.shutdown().await;
    let mut verdict = world.truth.verdict();
    for tally in fleet.nodes.iter().flat_map(|node| node.stats().events) {
        verdict.flushes += tally.flushes;
        verdict.replays += tally.replays;
    }
    verdict
}

struct World {
    clock: VirtualClock,
    load: Load,
    keys: Vec<Key<u64>>,
    truth: Arc<Truth>,
}

impl World {
    async fn keep_reading(self: Arc<Self>, node: Node, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            let key = rng.random_range(0..self.keys.len());
            if self.load == Load::Everything && rng.random_ratio(1, 5) {
                self.read_many(&node, index, key).await;
            } else {
                self.read(&node, index, key, &mut rng).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..6))).await;
        }
    }

    async fn read(&self, node: &Node, index: usize, key: usize, rng: &mut SmallRng) {
        let begun = self.truth.begin(index, key, self.clock.now());
        let slow = Duration::from_millis(if rng.random_ratio(1, 20) {
            150
        } else {
            rng.random_range(0..8)
        });
        let truth = Arc::clone(&self.truth);
        let loader = move |_| {
            // The worst moment to read the source: right at the start.
            let value = truth.value(key);
            async move {
                tokio::time::sleep(slow).await;
                Ok::<_, std::io::Error>(loaded(key, value))
            }
        };
        // A read that fails in an outage broke no promise.
        if let Ok(Some(value)) = node.get_or_load(&self.keys[key], loader).await {
            let (tier, seq) = (value.tier(), value.version().seq);
            self.truth.trace(
                self.clock.now(),
                format_args!("node {index} reads key {key} = {} from {tier:?} at {seq}", *value),
            );
            self.truth.end(begun, *value, tier, TIMING.lease);
        }
    }

    /// This key and its neighbours, with one call of the loader for all that are missing.
    async fn read_many(&self, node: &Node, index: usize, first: usize) {
        // A loader of many gives its values no tags.
        let near = first..self.keys.len().min(first + 8);
        let wanted: Vec<usize> = near.filter(|key| !is_tagged(*key)).collect();
        let begun: Vec<_> = wanted
            .iter()
            .map(|key| self.truth.begin(index, *key, self.clock.now()))
            .collect();
        let keys: Vec<Key<u64>> = wanted.iter().map(|key| self.keys[*key].clone()).collect();
        let (truth, all) = (Arc::clone(&self.truth), self.keys.clone());
        let loader = move |missing: Vec<Key<u64>>| {
            let found: HashMap<Key<u64>, u64> = missing
                .into_iter()
                .map(|key| {
                    let index = all.iter().position(|other| *other == key).expect("one of ours");
                    (key, truth.value(index))
                })
                .collect();
            async move { Ok::<_, std::io::Error>(found) }
        };
        if let Ok(values) = node.get_or_load_many(&keys, loader).await {
            for (begun, value) in begun.into_iter().zip(values.into_iter().flatten()) {
                self.truth.end(begun, *value, value.tier(), TIMING.lease);
            }
        }
    }

    async fn keep_writing(self: Arc<Self>, node: Node, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            tokio::time::sleep(Duration::from_millis(rng.random_range(2..40))).await;
            let key = rng.random_range(0..self.keys.len());
            let value = self.truth.commit(key);
            let everything = self.load == Load::Everything;
            let told = match rng.random_range(0..10) {
                0..2 => self.refresh(&node, key).await,
                2 if is_tagged(key) => node.invalidate_tag(TAG).await,
                3 if everything => node.expire(&self.keys[key]).await,
                4 if everything => node.clear(&VALUES).await,
                5 if everything && rng.random_ratio(1, 4) => node.clear_all().await,
                _ => node.invalidate(&self.keys[key]).await,
            };
            self.truth.trace(
                self.clock.now(),
                format_args!("node {index} makes key {key} = {value}: {told:?}"),
            );
            if told.is_ok() || node.invalidate(&self.keys[key]).await.is_ok() {
                self.truth.acknowledged(index, key, value);
            }
        }
    }

    async fn refresh(&self, node: &Node, key: usize) -> Result<Receipt, CacheError> {
        let truth = Arc::clone(&self.truth);
        let loader = move |_| {
            let load = loaded(key, truth.value(key));
            async move { Ok::<_, std::io::Error>(load) }
        };
        node.refresh(&self.keys[key], loader).await
    }

    /// The trouble is over: once nothing is owed and a lease has passed, every node must have the newest values.
    async fn come_to_rest(&self, fleet: &Fleet) {
        fleet.hub.set_faults(Faults::NONE);
        for node in 0..fleet.nodes.len() {
            fleet.hub.heal(format!("node-{node}"));
        }
        let patience = self.clock.now() + Duration::from_secs(60);
        while fleet.nodes.iter().any(|node| node.stats().owed > 0) {
            assert!(self.clock.now() < patience, "what is owed is never paid");
            tokio::time::sleep(TIMING.lease).await;
        }
        tokio::time::sleep(TIMING.lease * 3).await;
        for node in &fleet.nodes {
            for key in 0..self.keys.len() {
                let truth = Arc::clone(&self.truth);
                let loader = move |_| {
                    let value = truth.value(key);
                    async move { Ok::<_, std::io::Error>(value) }
                };
                let value = node.get_or_load(&self.keys[key], loader).await;
                self.truth.at_rest(
                    key,
                    *value
                        .expect("at rest nothing fails")
                        .expect("every key has a value"),
                );
            }
        }
    }

    async fn make_trouble(
        self: Arc<Self>,
        hub: Hub,
        troubles: Vec<Trouble>,
        nodes: usize,
        end: Moment,
        mut rng: SmallRng,
    ) {
        let mut failovers = 3;
        while self.clock.now() < end {
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..250))).await;
            let node = format!("node-{}", rng.random_range(0..nodes));
            let trouble = troubles[rng.random_range(0..troubles.len())];
            self.truth.trace(
                self.clock.now(),
                format_args!("{trouble:?} ({node}, where it is about a node)"),
            );
            match trouble {
                Trouble::Freeze => hub.freeze(node, Duration::from_millis(rng.random_range(20..1200))),
                Trouble::Cut => {
                    let cut = [Cut::Bus, Cut::Data, Cut::Both][rng.random_range(0..3)];
                    hub.partition(&node, cut);
                    tokio::time::sleep(Duration::from_millis(rng.random_range(50..900))).await;
                    hub.heal(&node);
                }
                Trouble::Disconnect => hub.disconnect(node),
                Trouble::Trim => hub.trim_logs(),
                Trouble::Restart => hub.restart(),
                Trouble::Failover if failovers > 0 => {
                    failovers -= 1;
                    hub.failover(rng.random_range(0..6));
                }
                Trouble::Failover => {}
                Trouble::Wipe => hub.wipe(),
                Trouble::LoseHead => {
                    let key = &self.keys[rng.random_range(0..self.keys.len())];
                    hub.lose_head(key.shard());
                }
            }
        }
    }
}

fn loaded(key: usize, value: u64) -> edge_cache::Load<u64> {
    let load = edge_cache::Load::value(value);
    if is_tagged(key) { load.with_tag(TAG) } else { load }
}

/// Every other key carries the tag.
const fn is_tagged(key: usize) -> bool {
    key.is_multiple_of(2)
}
