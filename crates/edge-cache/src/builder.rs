//! How a cache is set up: its node, its spans of time, its namespaces; and how it starts.
//!
//! What it does then is in `cache`.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Lane, LocalLimits, Namespace, NodeId, Policy};
use event_bus::{Coherence, Dispatcher, Driver, Outbox, Replica, Rules, Timing};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::fidelity::Fidelity;
use crate::holding::Holding;
use crate::limits::problem_of_name;
use crate::memory::{Memory, NamespaceState};
use crate::sampling::OneIn;
use crate::setup::{self, Settings, StartError};
use crate::stats::Counters;
use crate::value::ValueType;
use crate::{CacheValue, EdgeCache, Ports};

/// Sets up an [`EdgeCache`].
pub struct EdgeCacheBuilder {
    ports: Ports,
    node: NodeId,
    region: Arc<str>,
    timing: Timing,
    queue: usize,
    rules: Rules,
    outbox: Outbox,
    holding: Holding,
    spot_checks: OneIn,
    canaries: Option<Duration>,
    namespaces: Vec<NamespaceState>,
    /// What was found wrong so far.
    problems: Vec<String>,
}

impl EdgeCacheBuilder {
    pub(crate) fn new(ports: Ports) -> Self {
        let node = NodeId::new(format!("node-{:016x}", ports.entropy.draw()));
        Self {
            ports,
            node,
            region: Arc::from(""),
            timing: Timing::default(),
            queue: 10_000,
            rules: Rules::default(),
            outbox: Outbox::default(),
            holding: Holding::default(),
            spot_checks: OneIn::default(),
            canaries: None,
            namespaces: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The node's unique name, shown in events. Default: random.
    #[must_use]
    pub fn node(mut self, name: impl AsRef<str>) -> Self {
        self.node = NodeId::new(name);
        self
    }

    /// The node's region, shown in events. Default: empty.
    #[must_use]
    pub fn region(mut self, region: impl AsRef<str>) -> Self {
        self.region = Arc::from(region.as_ref());
        self
    }

    /// The spans that the promises are made of.
    #[must_use]
    pub const fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Events of a lane that may wait to be applied. More, and their shards are flushed. Default 10,000.
    #[must_use]
    pub const fn event_queue(mut self, events: usize) -> Self {
        self.queue = events;
        self
    }

    /// Invalidations that may wait for the shared store, in keys and in bytes of keys. With more, the shard that owes most
    /// is flushed instead, as soon as the store can be reached. Default 10,000 keys of 8 MiB.
    #[must_use]
    pub fn outbox(mut self, keys: usize, bytes: usize) -> Self {
        self.outbox = Outbox::bounded(keys, bytes);
        self
    }

    /// Which share of the memory hits is compared with the log afterwards: one in `hits` of each namespace and thread, rounded
    /// up to a power of two; 0 for none. Default 1,024. What they come to is in [`Stats::spot_checks`](crate::Stats).
    ///
    /// A heartbeat reads the logs of two shards a lane at most, from where the values were current: with the default
    /// timing four reads a second, whatever the load, and none while there are no hits.
    #[must_use]
    pub const fn spot_checks(mut self, hits: u32) -> Self {
        self.spot_checks = OneIn::of(hits);
        self
    }

    /// Lets this node write a canary into every shard that often: an event about nothing, by which every node tells how old
    /// its view is ([`Stats::canary_age`](crate::Stats)). One node of a deployment is enough. Default: none, since it costs the shared
    /// store a write for every shard each time: 130, where a lane has 64.
    #[must_use]
    pub const fn canaries(mut self, every: Duration) -> Self {
        self.canaries = Some(every);
        self
    }

    /// Wraps every task of the cache, so that a test can stop a node as a whole, with its timers.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn hold_tasks(mut self, hold: crate::Hold) -> Self {
        self.holding.hold = Some(hold);
        self
    }

    /// Switches off one rule of the protocol, so that a test can show that it is needed.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub const fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Registers a namespace under its own policy.
    #[must_use]
    pub fn namespace<V: CacheValue>(self, namespace: &Namespace<V>) -> Self {
        let policy = *namespace.policy();
        self.namespace_with(namespace, policy)
    }

    /// Registers a namespace under another policy. Its lane must be the namespace's: every node must agree on it.
    #[must_use]
    pub fn namespace_with<V: CacheValue>(mut self, namespace: &Namespace<V>, policy: Policy) -> Self {
        let name = namespace.name();
        if self.namespaces.iter().any(|other| other.name == name) {
            self.problems.push(format!(
                "namespace {name:?} is registered twice; two types under one name would read each other's bytes"
            ));
            return self;
        }
        self.problems
            .extend(setup::lane_problem(name, namespace.policy(), &policy));
        let limits = LocalLimits {
            max_bytes: policy.max_bytes,
            max_entries: policy.max_entries,
        };
        let value = ValueType::of(namespace);
        if let Some(untraced) = &value.untraced {
            tracing::warn!(
                namespace = name,
                r#type = std::any::type_name::<V>(),
                field = %untraced,
                "the shape of this type cannot be seen beyond this field, so a change of it that a release makes there may go unnoticed \
                 and its values be misread: raise Namespace::with_schema_version with each change, from 1 on"
            );
        }
        self.namespaces.push(NamespaceState {
            name,
            policy,
            value,
            local: self.ports.local.open(name, limits),
            barrier: NamespaceState::barrier_of(name).key(),
            counters: Counters::default(),
            fidelity: Fidelity::default(),
        });
        self
    }

    /// Starts the cache's tasks on the current Tokio runtime. It can be used at once; [`EdgeCache::ready`] waits until it
    /// follows every shard.
    ///
    /// # Errors
    /// [`StartError`], with everything that is wrong at once: settings that contradict each other or would have no effect,
    /// a namespace registered twice, no Tokio runtime, or a clock that runs on while the runtime's time is paused.
    pub fn start(self) -> Result<EdgeCache, StartError> {
        let names = [("node", self.node.as_str()), ("region", &self.region)];
        let names = names
            .into_iter()
            .filter_map(|(what, name)| problem_of_name(what, name));
        setup::check(
            self.problems.iter().cloned().chain(names).collect(),
            &Settings {
                ports: &self.ports,
                timing: self.timing,
                queue: self.queue,
                canaries: self.canaries,
                namespaces: &self.namespaces,
            },
        )?;
        let (canaries, queue) = (self.canaries, self.queue);
        let engine = Arc::new(self.assemble());
        for coherence in &engine.lanes {
            let driver = Driver {
                coherence: Arc::clone(coherence),
                bus: Arc::clone(&engine.ports.bus),
                store: Arc::clone(&engine.ports.shared),
                entropy: Arc::clone(&engine.ports.entropy),
                queue,
                stop: engine.stop.clone(),
            };
            engine.tasks.spawn(engine.holding.of(driver.run()));
        }
        let paying = engine.holding.of(Arc::clone(&engine).pay_debts());
        engine.tasks.spawn(paying);
        let reporting = engine.holding.of(Arc::clone(&engine).report_outages());
        engine.tasks.spawn(reporting);
        if let Some(every) = canaries {
            let writing = Arc::clone(&engine).write_canaries(every);
            engine.tasks.spawn(engine.holding.of(writing));
        }
        Ok(EdgeCache::over(engine))
    }

    /// All parts, of which none has started.
    pub(crate) fn assemble(self) -> Engine {
        let stop = CancellationToken::new();
        let dispatcher = Arc::new(Dispatcher::new(stop.child_token()));
        let memory = Arc::new(Memory {
            namespaces: self.namespaces,
            ports: self.ports.clone(),
        });
        let shards = self.ports.bus.shards();
        let lanes = Lane::ALL.map(|lane| {
            let (clock, replica) = (
                Arc::clone(&self.ports.clock),
                Arc::clone(&memory) as Arc<dyn Replica>,
            );
            Arc::new(Coherence::with_rules(
                lane,
                shards,
                self.timing,
                clock,
                replica,
                Arc::clone(&dispatcher),
                self.rules,
            ))
        });
        Engine {
            ports: self.ports,
            memory,
            lanes,
            shards,
            dispatcher,
            outbox: std::sync::Mutex::new(self.outbox),
            owed: 0.into(),
            paying: 0.into(),
            refusals: std::sync::Mutex::default(),
            described: std::sync::Mutex::default(),
            owed_came: tokio::sync::Notify::new(),
            paid: tokio::sync::Notify::new(),
            tasks: TaskTracker::new(),
            holding: self.holding,
            closing: false.into(),
            stop,
            node: self.node,
            region: self.region,
            published: 0.into(),
            spot_checks: self.spot_checks,
        }
    }
}

impl std::fmt::Debug for EdgeCacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeCacheBuilder")
            .field("node", &self.node)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
