//! One simulated run: a fleet, its readers and writers, and the trouble they live through.
//!
//! Everything follows from the seed; nothing waits in real time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Clock, Key, Lane, Namespace, Policy, Propagation};
use cache_memory::Faults;
use edge_cache::EdgeCacheBuilder;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use testkit::VirtualClock;

use super::clocks::WallClock;
use super::recording::Recording;
use super::scenario::{Load, Scenario, TIMING};
use super::truth::{Truth, Verdict};
use crate::{Fleet, FleetOptions, Node, Turn};

/// Values of the simulated run: what the system of record counted when they were loaded.
pub(super) const CRITICAL: Namespace<u64> = Namespace::new("critical", POLICY.with_lane(Lane::Critical));

/// The same, in the other lane, and with events that carry them.
pub(super) const BULK: Namespace<u64> = Namespace::new("bulk", POLICY.with_propagation(Propagation::Value));

const POLICY: Policy = Policy::event_driven(Duration::from_secs(5)).with_l1_ttl(Duration::from_secs(4));

pub(super) const TAG: &str = "tagged";

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
    run(live(scenario.clone(), seed, trace, None)).0
}

/// As [`simulate`], and keeps what a second judge needs.
pub fn record(scenario: &Scenario, seed: u64) -> (Verdict, Recording) {
    let (verdict, recording) = run(live(
        scenario.clone(),
        seed,
        Trace::Off,
        Some(Recording::default()),
    ));
    (verdict, recording.unwrap_or_default())
}

fn run<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be built");
    runtime.block_on(life)
}

async fn live(
    scenario: Scenario,
    seed: u64,
    trace: Trace,
    recording: Option<Recording>,
) -> (Verdict, Option<Recording>) {
    let clock = Arc::new(VirtualClock::new());
    let wall = Arc::new(WallClock::over(clock.clone()));
    let keys: Vec<Key<u64>> = (0..scenario.keys)
        .map(|id| if is_bulk(id) { &BULK } else { &CRITICAL }.key(&[("id", &id)]))
        .collect();
    let tagged = (0..scenario.keys).map(is_tagged).collect();
    let truth = Arc::new(Truth::new(&keys, tagged, trace == Trace::On, recording));
    let options = FleetOptions {
        seed,
        witness: Some(truth.clone()),
        clock: Some({
            let wall = wall.clone();
            Arc::new(move |_inner| wall.clone())
        }),
        ..scenario.options
    };
    let fleet = Fleet::start(options, register(scenario.load)).await;
    let end = clock.now() + scenario.span;
    if scenario.faults != Faults::NONE {
        fleet.hub.set_faults(scenario.faults);
    }
    let world = Arc::new(World {
        clock,
        wall,
        load: scenario.load,
        lives: Mutex::new(fleet.nodes.iter().map(|node| (node.clone(), 0)).collect()),
        fleet,
        keys,
        truth,
    });
    let mut tasks = tokio::task::JoinSet::new();
    for (index, process) in world.fleet.processes.iter().enumerate() {
        let rng = |place: u64| SmallRng::seed_from_u64(seed * 1_000 + place);
        for reader in 0..READERS {
            let reads = Arc::clone(&world).keep_reading(index, end, rng(index as u64 * 10 + reader));
            tasks.spawn(process.run(Turn::First, reads));
        }
        let writes = Arc::clone(&world).keep_writing(index, end, rng(500 + index as u64));
        tasks.spawn(process.run(Turn::First, writes));
    }
    if !scenario.troubles.is_empty() {
        let rng = SmallRng::seed_from_u64(seed * 1_000 + 900);
        tasks.spawn(Arc::clone(&world).make_trouble(scenario.troubles, end, rng));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no part of the simulation panics");
    }
    world.come_to_rest().await;
    for node in world.nodes() {
        node.shutdown().await;
        world.truth.ended(&node.stats());
    }
    (world.truth.verdict(), world.truth.recording())
}

/// Readers of each node.
const READERS: u64 = 3;

/// The namespaces of every node. Under [`Load::Everything`] they are small and end soon.
pub(super) fn register(load: Load) -> impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder {
    let set = move |namespace: &'static Namespace<u64>| {
        let mut policy = *namespace.policy();
        if load == Load::Everything {
            policy.l2_ttl = Duration::from_millis(1500);
            policy.l1_ttl = Duration::from_millis(700);
            policy.max_entries = 3;
        }
        policy
    };
    move |builder| {
        let builder = builder.namespace_with(&CRITICAL, set(&CRITICAL));
        builder.namespace_with(&BULK, set(&BULK))
    }
}

/// What the tasks of a run share.
pub(super) struct World {
    pub(super) clock: Arc<VirtualClock>,
    pub(super) wall: Arc<WallClock>,
    pub(super) load: Load,
    pub(super) fleet: Fleet,
    /// The node of each place that lives now, and how many lived there before.
    pub(super) lives: Mutex<Vec<(Node, u64)>>,
    pub(super) keys: Vec<Key<u64>>,
    pub(super) truth: Arc<Truth>,
}

impl World {
    /// The node that lives at this place now, and the number of its process.
    pub(super) fn node(&self, index: usize) -> (Node, usize) {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let (node, life) = &lives[index];
        (node.clone(), index + lives.len() * *life as usize)
    }

    fn nodes(&self) -> Vec<Node> {
        (0..self.fleet.nodes.len())
            .map(|index| self.node(index).0)
            .collect()
    }

    /// The trouble is over: once nothing is owed and a lease has passed, every node must have the newest values.
    async fn come_to_rest(&self) {
        self.fleet.hub.set_faults(Faults::NONE);
        for (node, process) in self.fleet.processes.iter().enumerate() {
            self.fleet.hub.heal(format!("node-{node}"));
            process.go_on();
        }
        let patience = self.clock.now() + Duration::from_secs(60);
        while self.nodes().iter().any(|node| node.stats().owed > 0) {
            assert!(self.clock.now() < patience, "what is owed is never paid");
            tokio::time::sleep(TIMING.lease).await;
        }
        tokio::time::sleep(TIMING.lease * 5).await;
        for place in 0..self.fleet.nodes.len() {
            let (node, process) = self.node(place);
            for key in 0..self.keys.len() {
                let truth = Arc::clone(&self.truth);
                let loader = move |_| {
                    let value = truth.value(key);
                    async move { Ok::<_, std::io::Error>(value) }
                };
                let value = node.get_or_load(&self.keys[key], loader).await;
                let value = value
                    .expect("at rest nothing fails")
                    .expect("every key has a value");
                self.truth.at_rest(process, key, &value, self.clock.now());
            }
        }
    }
}

/// Every other key is in the bulk lane.
const fn is_bulk(key: usize) -> bool {
    !key.is_multiple_of(2)
}

/// Half of the keys of each lane carry the tag.
pub(super) const fn is_tagged(key: usize) -> bool {
    key % 4 < 2
}
