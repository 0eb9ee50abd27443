//! A fleet: several caches over one embedded backend, all on virtual time.
//!
//! The wire is perfect until a test makes it worse through [`Fleet::hub`].

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock, EventBus, LocalStores, SharedStore, SystemEntropy};
use cache_l1::MemoryStores;
use cache_memory::{Hub, Witness};
use edge_cache::{EdgeCache, EdgeCacheBuilder, Ports, Rules, Timing};
use testkit::VirtualClock;

use crate::{Process, Turn};

/// A node's cache.
pub type Node = EdgeCache;

/// Wraps a port, to break one of its rules.
pub type Wrap<T> = Arc<dyn Fn(Arc<T>) -> Arc<T> + Send + Sync>;

/// How a fleet is made.
#[derive(Clone)]
pub struct FleetOptions {
    /// Nodes.
    pub nodes: usize,
    /// Seeds the backend and every node.
    pub seed: u64,
    /// The spans of the promises.
    pub timing: Timing,
    /// Events the backend's logs keep.
    pub log_len: usize,
    /// Invalidations a node may owe; more, and a shard is flushed.
    pub outbox: usize,
    /// Events of a lane that may wait on a node; more, and their shards are flushed.
    pub event_queue: usize,
    /// Rules of the protocol; all, unless a mutant is wanted.
    pub rules: Rules,
    /// One in so many memory hits is compared with the log afterwards; 0 for none.
    pub spot_checks: u32,
    /// How often the first node writes canaries, if at all.
    pub canaries: Option<Duration>,
    /// Is told of every effect.
    pub witness: Option<Arc<dyn Witness>>,
    /// Lets each connection of a node keep the identity of the servers that it was told when it was made.
    pub identities_apart: bool,
    /// Replaces the nodes' memory.
    pub local: Option<Wrap<dyn LocalStores>>,
    /// Replaces the nodes' clocks.
    pub clock: Option<Wrap<dyn Clock>>,
    /// Replaces the nodes' way to the shared store.
    pub shared: Option<Wrap<dyn SharedStore>>,
    /// Replaces the nodes' way to the events.
    pub bus: Option<Wrap<dyn EventBus>>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            nodes: 2,
            seed: 1,
            timing: Timing::default(),
            log_len: 4096,
            outbox: 10_000,
            event_queue: 10_000,
            rules: Rules::default(),
            spot_checks: 1,
            canaries: None,
            witness: None,
            identities_apart: false,
            local: None,
            clock: None,
            shared: None,
            bus: None,
        }
    }
}

/// Several nodes over one embedded backend.
pub struct Fleet {
    /// The backend, for injecting faults.
    pub hub: Hub,
    /// The nodes; the name of node `i` on the wire is `node-i`.
    pub nodes: Vec<Node>,
    /// The processes they run in, for stopping them.
    pub processes: Vec<Arc<Process>>,
    options: FleetOptions,
    clock: Arc<VirtualClock>,
}

impl Fleet {
    /// Starts a fleet and waits until every node follows every shard. `register` adds the namespaces.
    pub async fn start(
        options: FleetOptions,
        register: impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder,
    ) -> Self {
        let fleet = Self::start_cold(options, register);
        for node in &fleet.nodes {
            assert!(
                node.ready(Duration::from_secs(60)).await,
                "the fleet does not become ready"
            );
        }
        fleet
    }

    /// Starts a fleet without waiting.
    pub fn start_cold(
        options: FleetOptions,
        register: impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder,
    ) -> Self {
        let clock = Arc::new(VirtualClock::new());
        let mut builder = Hub::builder()
            .seed(options.seed)
            .log_len(options.log_len)
            .clock(clock.clone());
        if options.identities_apart {
            builder = builder.identities_apart();
        }
        if let Some(witness) = &options.witness {
            builder = builder.witness(Arc::clone(witness));
        }
        let hub = builder.build();
        let mut fleet = Self {
            hub,
            nodes: Vec::new(),
            processes: Vec::new(),
            options,
            clock,
        };
        for _ in 0..fleet.options.nodes {
            fleet.join(&register);
        }
        fleet
    }

    /// Starts one node more, without waiting until it follows every shard.
    pub fn join(&mut self, register: impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder) -> &Node {
        let index = self.nodes.len();
        self.processes.push(Arc::default());
        self.nodes.push(self.life(index, 0, register));
        &self.nodes[index]
    }

    /// A process of a node: the first of its lives, or a later one, which knows nothing of those before.
    pub fn life(
        &self,
        index: usize,
        life: u64,
        register: impl Fn(EdgeCacheBuilder) -> EdgeCacheBuilder,
    ) -> Node {
        fn wrapped<T: ?Sized>(wrap: &Option<Wrap<T>>, port: Arc<T>) -> Arc<T> {
            wrap.as_ref().map_or(Arc::clone(&port), |wrap| wrap(port))
        }
        let options = &self.options;
        let endpoint = Arc::new(self.hub.endpoint(format!("node-{index}")));
        let mut ports = Ports::new(
            wrapped(&options.local, Arc::new(MemoryStores)),
            wrapped(&options.shared, endpoint.clone()),
            wrapped(&options.bus, endpoint),
        );
        ports.clock = wrapped(&options.clock, self.clock.clone());
        let place = ((index as u64 + 1) << 48) ^ (life << 32);
        ports.entropy = Arc::new(SystemEntropy::seeded(options.seed ^ place));
        let process = Arc::clone(&self.processes[index]);
        let builder = EdgeCache::builder(ports)
            .node(format!("node-{index}"))
            .region("test")
            .timing(options.timing)
            .outbox(options.outbox, 8 << 20)
            .event_queue(options.event_queue)
            .hold_tasks(Arc::new(move |task| Box::pin(process.run(Turn::Later, task))))
            .rules(options.rules)
            .spot_checks(options.spot_checks);
        let builder = match options.canaries {
            Some(every) if index == 0 => builder.canaries(every),
            _another_node_or_none => builder,
        };
        register(builder).start().expect("a fleet of a right setup")
    }

    /// Shuts every node down.
    pub async fn shutdown(&self) {
        for node in &self.nodes {
            node.shutdown().await;
        }
    }
}
