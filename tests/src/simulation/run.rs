//! One simulated run: a fleet, its readers and writers, and the trouble they live through.
//!
//! Everything follows from the seed; nothing waits in real time.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock, Key, Lane, Moment, Namespace, Permille, Policy};
use cache_memory::{Cut, Faults, Hub};
use edge_cache::{CacheError, Load, Receipt, Timing};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::VirtualClock;
use tests::{Fleet, FleetOptions, Node};

use crate::truth::{Truth, Verdict};

/// Values of the simulated run: what the system of record counted when they were loaded.
const VALUES: Namespace<u64> = Namespace::new(
    "values",
    Policy::event_driven(Duration::from_secs(5))
        .with_lane(Lane::Critical)
        .with_l1_ttl(Duration::from_secs(4))
        .with_timeouts(None, Duration::from_millis(400)),
);

const KEYS: usize = 16;
const NODES: usize = 4;
const TAG: &str = "even";

/// The spans of the simulated promises: a tenth of the defaults, so that a short run sees many leases.
pub(crate) const TIMING: Timing = Timing {
    lease: Duration::from_millis(300),
    deadline: Duration::from_millis(200),
};

/// What the fleet lives through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// A bad network, freezes and partitions.
    Network,
    /// That, and servers that forget what they had acknowledged.
    Failovers,
}

/// What is simulated.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) trouble: Trouble,
    pub(crate) span: Duration,
    pub(crate) options: FleetOptions,
    /// Whether every read and write is printed.
    pub(crate) traced: bool,
}

impl Scenario {
    pub(crate) fn new(trouble: Trouble) -> Self {
        let options = FleetOptions {
            nodes: NODES,
            timing: TIMING,
            log_len: 24,
            ..FleetOptions::default()
        };
        Self {
            trouble,
            span: Duration::from_secs(4),
            options,
            traced: false,
        }
    }
}

/// Runs a scenario under one seed.
pub(crate) fn simulate(scenario: &Scenario, seed: u64) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be built");
    runtime.block_on(live(scenario.clone(), seed))
}

async fn live(scenario: Scenario, seed: u64) -> Verdict {
    let keys: Vec<Key<u64>> = (0..KEYS).map(|id| VALUES.key(&[("id", &id)])).collect();
    let tagged = (0..KEYS).map(is_tagged).collect();
    let raw = keys.iter().map(|key| key.raw().clone()).collect();
    let truth = Arc::new(Truth::new(raw, tagged, scenario.traced));
    let options = FleetOptions {
        seed,
        witness: Some(truth.clone()),
        ..scenario.options
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&VALUES)).await;
    let world = Arc::new(World {
        clock: VirtualClock::new(),
        keys,
        truth,
    });
    let end = world.clock.now() + scenario.span;
    if scenario.trouble != Trouble::None {
        fleet.hub.set_faults(bad_network());
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
    if scenario.trouble != Trouble::None {
        let rng = SmallRng::seed_from_u64(seed * 1_000 + 900);
        tasks.spawn(make_trouble(
            fleet.hub.clone(),
            scenario.trouble,
            world.clock.clone(),
            end,
            rng,
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no part of the simulation panics");
    }
    world.come_to_rest(&fleet).await;
    fleet.shutdown().await;
    world.truth.verdict()
}

struct World {
    clock: VirtualClock,
    keys: Vec<Key<u64>>,
    truth: Arc<Truth>,
}

impl World {
    async fn keep_reading(self: Arc<Self>, node: Node, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            self.read(&node, index, rng.random_range(0..KEYS), &mut rng).await;
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
                let load = Load::value(value);
                Ok::<_, std::io::Error>(if is_tagged(key) { load.with_tag(TAG) } else { load })
            }
        };
        // A read that fails in an outage broke no promise.
        if let Ok(Some(value)) = node.get_or_load(&self.keys[key], loader).await {
            let (tier, seq) = (value.tier(), value.version().seq);
            self.truth.trace(
                self.clock.now(),
                format_args!("node {index} reads key {key} = {} from {tier:?} at {seq}", *value),
            );
            self.truth.end(begun, *value, TIMING.lease);
        }
    }

    async fn keep_writing(self: Arc<Self>, node: Node, index: usize, end: Moment, mut rng: SmallRng) {
        while self.clock.now() < end {
            tokio::time::sleep(Duration::from_millis(rng.random_range(2..40))).await;
            let key = rng.random_range(0..KEYS);
            let value = self.truth.commit(key);
            let told = match rng.random_range(0..10) {
                0..2 => self.refresh(&node, key).await,
                2 if is_tagged(key) => node.invalidate_tag(TAG).await,
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
            let load = Load::value(truth.value(key));
            async move { Ok::<_, std::io::Error>(if is_tagged(key) { load.with_tag(TAG) } else { load }) }
        };
        node.refresh(&self.keys[key], loader).await
    }

    /// The trouble is over: once nothing is owed and a lease has passed, every node must have the newest values.
    async fn come_to_rest(&self, fleet: &Fleet) {
        fleet.hub.set_faults(Faults::NONE);
        for node in 0..NODES {
            fleet.hub.heal(format!("node-{node}"));
        }
        let patience = self.clock.now() + Duration::from_secs(60);
        while fleet.nodes.iter().any(|node| node.stats().owed > 0) {
            assert!(self.clock.now() < patience, "what is owed is never paid");
            tokio::time::sleep(TIMING.lease).await;
        }
        tokio::time::sleep(TIMING.lease * 3).await;
        for node in &fleet.nodes {
            for key in 0..KEYS {
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
}

/// The network of the specification's simulation, ten times slower: the timer's grain is a millisecond.
fn bad_network() -> Faults {
    Faults {
        event_loss: Permille(80),
        duplicate: Permille(50),
        reorder: Permille(100),
        event_delay: Duration::ZERO..=Duration::from_millis(10),
        tail: Permille(20),
        tail_delay: Duration::from_millis(20)..=Duration::from_millis(200),
        request_delay: Duration::ZERO..=Duration::from_millis(8),
        lost_request: Permille(10),
        lost_reply: Permille(30),
        lagging_read: Permille(300),
        lag: 6,
        timeout: Duration::from_millis(150),
    }
}

async fn make_trouble(hub: Hub, trouble: Trouble, clock: VirtualClock, end: Moment, mut rng: SmallRng) {
    let mut failovers = 3;
    while clock.now() < end {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..250))).await;
        let node = format!("node-{}", rng.random_range(0..NODES));
        match rng.random_range(0..12) {
            0..4 => hub.freeze(node, Duration::from_millis(rng.random_range(20..1200))),
            4..7 => {
                let cut = [Cut::Bus, Cut::Data, Cut::Both][rng.random_range(0..3)];
                hub.partition(&node, cut);
                tokio::time::sleep(Duration::from_millis(rng.random_range(50..900))).await;
                hub.heal(&node);
            }
            7 => hub.disconnect(node),
            8 => hub.trim_logs(),
            9 if trouble == Trouble::Failovers => hub.restart(),
            _ if trouble == Trouble::Failovers && failovers > 0 => {
                failovers -= 1;
                hub.failover(rng.random_range(0..6));
            }
            _ => {}
        }
    }
}

/// Every other key carries the tag.
const fn is_tagged(key: usize) -> bool {
    key.is_multiple_of(2)
}
