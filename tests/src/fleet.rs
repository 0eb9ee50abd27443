//! A fleet: several caches over one embedded backend, all on virtual time.
//!
//! The wire is perfect until a test makes it worse through [`Fleet::hub`].

use std::sync::Arc;
use std::time::Duration;

use cache_core::{LocalStores, SharedStore, SystemEntropy};
use cache_l1::MemoryStores;
use cache_memory::{Hub, Witness};
use edge_cache::{EdgeCache, EdgeCacheBuilder, Ports, Rules, Timing};
use testkit::VirtualClock;

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
    /// Rules of the protocol; all, unless a mutant is wanted.
    pub rules: Rules,
    /// Is told of every effect.
    pub witness: Option<Arc<dyn Witness>>,
    /// Replaces the nodes' memory.
    pub local: Option<Wrap<dyn LocalStores>>,
    /// Replaces the nodes' way to the shared store.
    pub shared: Option<Wrap<dyn SharedStore>>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            nodes: 2,
            seed: 1,
            timing: Timing::default(),
            log_len: 4096,
            rules: Rules::default(),
            witness: None,
            local: None,
            shared: None,
        }
    }
}

/// Several nodes over one embedded backend.
pub struct Fleet {
    /// The backend, for injecting faults.
    pub hub: Hub,
    /// The nodes; the name of node `i` on the wire is `node-i`.
    pub nodes: Vec<Node>,
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
        if let Some(witness) = &options.witness {
            builder = builder.witness(Arc::clone(witness));
        }
        let hub = builder.build();
        let mut fleet = Self {
            hub,
            nodes: Vec::new(),
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
        let (options, index) = (&self.options, self.nodes.len());
        let endpoint = Arc::new(self.hub.endpoint(format!("node-{index}")));
        let local: Arc<dyn LocalStores> = Arc::new(MemoryStores);
        let shared: Arc<dyn SharedStore> = endpoint.clone();
        let mut ports = Ports::new(
            options.local.as_ref().map_or(local.clone(), |wrap| wrap(local)),
            options
                .shared
                .as_ref()
                .map_or(shared.clone(), |wrap| wrap(shared)),
            endpoint,
        );
        ports.clock = self.clock.clone();
        ports.entropy = Arc::new(SystemEntropy::seeded(options.seed ^ ((index as u64 + 1) << 48)));
        let builder = EdgeCache::builder(ports)
            .node(format!("node-{index}"))
            .region("test")
            .timing(options.timing)
            .rules(options.rules);
        self.nodes.push(register(builder).start());
        &self.nodes[index]
    }

    /// Shuts every node down.
    pub async fn shutdown(&self) {
        for node in &self.nodes {
            node.shutdown().await;
        }
    }
}
