//! The hub: the servers of many nodes in one process, and where nodes get their endpoints.
//!
//! What can be done to it while it runs is in `commands`.

use std::fmt;
use std::sync::Arc;

use cache_core::{Clock, NodeId, ShardCount, SystemClock};

use crate::dice::Dice;
use crate::servers::{Servers, locked};
use crate::wire::Wire;
use crate::{Endpoint, Witness};

/// The servers that all nodes share. Clones are the same hub; it lives as long as any clone, endpoint or link.
///
/// ```
/// use cache_memory::Hub;
/// let hub = Hub::builder().seed(42).log_len(1024).build();
/// let node = hub.endpoint("node-1");
/// # let _ = node;
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(crate) servers: Arc<Servers>,
}

impl Hub {
    /// A hub to be configured.
    pub fn builder() -> HubBuilder {
        HubBuilder {
            seed: 0,
            shards: ShardCount::DEFAULT,
            log_len: 4096,
            identities_apart: false,
            clock: None,
            witness: None,
        }
    }

    /// The connections of one node. Endpoints of the same name share one wire, and with it their faults.
    pub fn endpoint(&self, node: impl AsRef<str>) -> Endpoint {
        Endpoint::new(Arc::clone(&self.servers), self.wire(node))
    }

    pub(crate) fn wire(&self, node: impl AsRef<str>) -> Arc<Wire> {
        let node = NodeId::new(node);
        let mut wires = locked(&self.servers.wires);
        let wire = wires.entry(node.clone()).or_insert_with(|| {
            let faultless = locked(&self.servers.dice).faults.is_none();
            Arc::new(Wire::new(node, faultless))
        });
        Arc::clone(wire)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// Settings of a [`Hub`]. Every one has a default.
pub struct HubBuilder {
    seed: u64,
    shards: ShardCount,
    log_len: usize,
    identities_apart: bool,
    clock: Option<Arc<dyn Clock>>,
    witness: Option<Arc<dyn Witness>>,
}

impl HubBuilder {
    /// Where faults and server identities are drawn from. Default 0: the same faults in every run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Shards of each lane. Default [`ShardCount::DEFAULT`].
    #[must_use]
    pub fn shards(mut self, shards: ShardCount) -> Self {
        self.shards = shards;
        self
    }

    /// Events that each shard's log keeps. Default 4096, as in a Redis server: a node that missed no more can catch
    /// up without flushing.
    #[must_use]
    pub fn log_len(mut self, events: usize) -> Self {
        self.log_len = events;
        self
    }

    /// Lets each connection of a node keep the identity of the servers that it was told when it was made, whatever others are told
    /// later. A node whose connections contradict each other believes none of them for long: this is a fault for tests.
    #[must_use]
    pub fn identities_apart(mut self) -> Self {
        self.identities_apart = true;
        self
    }

    /// Where the servers take their time from. Default: the system's clock. The servers' time is this clock's plus a
    /// fixed start, so that it is virtual where the clock is.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who is told of every effect. Default: nobody.
    #[must_use]
    pub fn witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witness = Some(witness);
        self
    }

    /// The hub. Its shards have no heads yet: the first node to write to a shard adopts it.
    pub fn build(self) -> Hub {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        Hub {
            servers: Arc::new(Servers::new(
                self.shards,
                clock,
                self.witness,
                self.log_len,
                self.identities_apart,
                Dice::seeded(self.seed),
            )),
        }
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("seed", &self.seed)
            .field("log_len", &self.log_len)
            .finish_non_exhaustive()
    }
}
