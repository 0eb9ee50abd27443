//! One simulated run: a fleet, its readers and writers, and the trouble they live through.
//!
//! Everything follows from the seed; nothing waits in real time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Clock, FailSafe, Key, Lane, Namespace, Permille, Policy, Propagation, Tag};
use cache_memory::{Faults, Saved};
use edge_cache::{EdgeCacheBuilder, Receipt};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use testkit::VirtualClock;

use super::clocks::WallClock;
use super::counters::COUNTERS;
use super::recording::Recording;
use super::scenario::{Load, Scenario, TIMING};
use super::truth::{Truth, Verdict};
use crate::{Fleet, FleetOptions, Node, Turn};

/// Values of the simulated run: what the system of record counted when they were loaded.
pub(super) const CRITICAL: Namespace<u64> = Namespace::new("critical", POLICY.with_lane(Lane::Critical));

/// The same, in the other lane, and with events that carry them.
pub(super) const BULK: Namespace<u64> = Namespace::new("bulk", POLICY.with_propagation(Propagation::Value));

const POLICY: Policy = Policy::event_driven(Duration::from_secs(5)).with_l1_ttl(Duration::from_secs(4));

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
    let tags: Vec<_> = (0..scenario.keys).map(|key| tag_of(scenario.load, key)).collect();
    let truth = Arc::new(Truth::new(&keys, tags.clone(), trace == Trace::On, recording));
    let contradicting = scenario.options.identities_apart;
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
    let rest = if contradicting { patient() } else { Faults::NONE };
    if scenario.faults != Faults::NONE {
        fleet.hub.set_faults(scenario.faults);
    }
    let world = Arc::new(World {
        clock,
        wall,
        load: scenario.load,
        rest,
        saved: Mutex::default(),
        lives: Mutex::new(fleet.nodes.iter().map(|node| (node.clone(), 0)).collect()),
        fleet,
        keys,
        tags,
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
        if scenario.load == Load::Counters {
            let counts = Arc::clone(&world).keep_counting(index, end, rng(600 + index as u64));
            tasks.spawn(process.run(Turn::First, counts));
        }
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

/// A network on which a question takes a moment: nodes whose connections contradict each other ask again and again, and would
/// otherwise do so within one moment, for ever.
fn patient() -> Faults {
    let moment = Duration::from_millis(1);
    Faults {
        request_delay: moment..=moment,
        ..Faults::NONE
    }
}

/// How long after its end, or after it was last known to be current, a value may be served under [`Load::Stale`].
pub const MAX_STALE: Duration = Duration::from_millis(800);

/// Readers of each node.
const READERS: u64 = 3;

/// The namespaces of every node. Under [`Load::Everything`] they are small and end soon.
pub(super) fn register(load: Load) -> impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder {
    let set = move |namespace: &'static Namespace<u64>| {
        let mut policy = *namespace.policy();
        match load {
            Load::Stored | Load::Plain | Load::Tags | Load::Counters => {}
            Load::Everything => {
                policy.l2_ttl = Duration::from_millis(1500);
                policy.l1_ttl = Duration::from_millis(700);
                policy.max_entries = 3;
            }
            Load::Refreshes => policy.eager_refresh = Some(Permille(20)),
            Load::Stale => {
                policy.l2_ttl = Duration::from_millis(400);
                policy.l1_ttl = Duration::from_millis(200);
                policy.stale_while_revalidate = Duration::from_millis(100);
                policy.soft_timeout = Some(Duration::from_millis(20));
                policy.fail_safe = Some(FailSafe {
                    max_stale: MAX_STALE,
                    throttle: Duration::from_millis(30),
                });
            }
        }
        policy
    };
    move |builder| {
        let builder = builder.namespace_with(&CRITICAL, set(&CRITICAL));
        let builder = builder.namespace_with(&BULK, set(&BULK));
        match load {
            Load::Counters => builder.namespace(&COUNTERS),
            _ => builder,
        }
    }
}

/// What the tasks of a run share.
pub(super) struct World {
    pub(super) clock: Arc<VirtualClock>,
    pub(super) wall: Arc<WallClock>,
    pub(super) load: Load,
    /// What the network is like once everything has come to rest.
    rest: Faults,
    pub(super) fleet: Fleet,
    /// The node of each place that lives now, and how many lived there before.
    pub(super) lives: Mutex<Vec<(Node, u64)>>,
    pub(super) keys: Vec<Key<u64>>,
    /// The tag of each key, if it carries one.
    pub(super) tags: Vec<Option<Tag>>,
    pub(super) truth: Arc<Truth>,
    /// What the servers have written to disk.
    pub(super) saved: Mutex<Option<Saved>>,
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
        self.fleet.hub.set_faults(self.rest.clone());
        for (node, process) in self.fleet.processes.iter().enumerate() {
            self.fleet.hub.heal(format!("node-{node}"));
            process.go_on();
        }
        let patience = self.clock.now() + Duration::from_secs(60);
        while self.nodes().iter().any(|node| node.stats().owed > 0) {
            if self.clock.now() > patience {
                // What is owed is never paid: there is no rest to be judged.
                self.truth.acknowledged_at_rest(false);
                return;
            }
            tokio::time::sleep(TIMING.lease).await;
        }
        tokio::time::sleep(TIMING.lease * 5).await;
        self.acknowledge_at_rest().await;
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

impl World {
    /// Changes that come after a heartbeat and before the next: whatever the heartbeat told a node, its requests must agree.
    async fn acknowledge_at_rest(&self) {
        for _heartbeat in 0..2 {
            tokio::time::sleep(TIMING.lease).await;
            for place in 0..self.fleet.nodes.len() {
                let (node, _) = self.node(place);
                for key in self.keys.iter().take(4) {
                    let told = node.invalidate(key).await;
                    let is_acknowledged = matches!(told, Ok(Receipt::Published { .. }));
                    self.truth.acknowledged_at_rest(is_acknowledged);
                }
            }
        }
        tokio::time::sleep(TIMING.lease).await;
    }
}

/// Every other key is in the bulk lane.
const fn is_bulk(key: usize) -> bool {
    !key.is_multiple_of(2)
}

/// Half of the keys of each lane carry a tag: all the same, unless values are to lie there dead for a while.
fn tag_of(load: Load, key: usize) -> Option<Tag> {
    (key % 4 < 2).then(|| match load {
        Load::Tags => Tag::new(format!("tagged-{}", key / 4 % 12)),
        _ => Tag::new("tagged"),
    })
}
