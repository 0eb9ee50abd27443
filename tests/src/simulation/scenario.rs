//! What a simulated fleet is, and what it lives through.
//!
//! Plain data: a smaller scenario is the same with less in it.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{EventBus, Permille};
use cache_memory::Faults;
use edge_cache::Timing;

use super::older::Older;
use crate::{FleetOptions, Wrap};

/// The spans of the simulated promises: a tenth of the defaults, so that a short run sees many leases.
pub const TIMING: Timing = Timing {
    lease: Duration::from_millis(300),
    deadline: Duration::from_millis(200),
};

/// A kind of scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Nothing goes wrong.
    Healthy,
    /// A bad network, freezes and partitions.
    Network,
    /// That, and servers that forget what they had acknowledged.
    Failovers,
    /// The bad network, and servers that lose everything, or only the head of a shard.
    Wipes,
    /// The bad network, memory for a few entries only, short lives, and invalidations of many values at once.
    Pressure,
    /// The bad network, nodes that restart, clocks that jump, and events of which some mean nothing to the nodes.
    Restarts,
    /// Nodes cut off from the store, with room for two owed invalidations and four waiting events.
    Overload,
    /// The bad network, and every change put into the cache by the one node that makes it; nothing is loaded.
    Stored,
    /// The bad network, full servers that evict any record, and nodes that restart.
    Evictions,
    /// The bad network without copies that lag, loads that nobody is told of, and reads that pass memory by.
    Refreshes,
    /// The bad network, loaders that fail, and values that are served although they are stale.
    Stale,
    /// The bad network, and servers that come back from an old copy to nodes that have just started.
    OldCopies,
    /// The bad network, and counters that all nodes change at once.
    Counters,
}

impl Profile {
    /// All whose promises the cache keeps.
    pub const ALL: [Self; 12] = [
        Self::Healthy,
        Self::Network,
        Self::Failovers,
        Self::Wipes,
        Self::Pressure,
        Self::Restarts,
        Self::Overload,
        Self::Stored,
        Self::Evictions,
        Self::Refreshes,
        Self::Stale,
        Self::Counters,
    ];

    /// Those that find what the cache does not keep yet. They run where they are named.
    pub const UNMET: [Self; 1] = [Self::OldCopies];

    /// As it is written on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Network => "network",
            Self::Failovers => "failovers",
            Self::Wipes => "wipes",
            Self::Pressure => "pressure",
            Self::Restarts => "restarts",
            Self::Overload => "overload",
            Self::Stored => "stored",
            Self::Evictions => "evictions",
            Self::Refreshes => "refreshes",
            Self::Stale => "stale",
            Self::OldCopies => "old-copies",
            Self::Counters => "counters",
        }
    }
}

/// Something that happens to a node or to the servers, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Everything towards a node is late.
    Freeze,
    /// Everything from a node is late.
    Stall,
    /// A node's process is stopped as a whole, its timers included, and goes on later, readers first.
    Stop,
    /// A node shuts down and starts anew: empty memory, the same store.
    RestartNode,
    /// The servers' clock jumps by an hour, and the nodes' wall clocks by whatever they like.
    ClockJump,
    /// A node's connections are cut, without either side being told.
    Cut,
    /// A node's subscriptions end, and it is told.
    Disconnect,
    /// The logs are emptied.
    Trim,
    /// The servers restart and have lost nothing.
    Restart,
    /// The servers' history gets another name, and nothing else changes.
    Rename,
    /// A replica that lacks the newest events takes over.
    Failover,
    /// Two of them, one soon after the other: what repaired the first may be lost in the second.
    DoubleFailover,
    /// The servers lose everything.
    Wipe,
    /// The servers lose the head of one shard.
    LoseHead,
    /// The servers evict one record.
    Evict,
    /// The servers evict all that they know of the barriers of a lane.
    EvictBarriers,
    /// The same, by servers that take what was lost for what never was: only for a mutant.
    ForgetBarriers,
    /// The servers write to disk what they hold.
    Save,
    /// Everything is killed, or all but one node, and the servers start with what they wrote to disk last.
    OldCopy,
}

/// What the nodes do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Reads by key that load nothing; every change is put.
    Stored,
    /// Reads by key; invalidations by key and tag; refreshes.
    Plain,
    /// That, reads of many keys, ended freshness, cleared namespaces; and memory for four entries.
    Everything,
    /// As plain, with values that are loaded anew before they end, and one read in three that passes memory by.
    Refreshes,
    /// As plain, with loaders that fail or are slow, and values that are served for a while after their end.
    Stale,
    /// As plain, with a dozen tags, each of which is invalidated rarely.
    Tags,
    /// As plain, and counters that all nodes change.
    Counters,
}

/// What is simulated.
#[derive(Clone)]
pub struct Scenario {
    /// How much the fleet is asked for.
    pub load: Load,
    /// What goes wrong with the network all the time.
    pub faults: Faults,
    /// What happens now and then, each as likely as any other.
    pub troubles: Vec<Trouble>,
    /// Keys that are read and written.
    pub keys: usize,
    /// How long it lasts.
    pub span: Duration,
    /// Nodes, rules, and ports with a rule taken out.
    pub options: FleetOptions,
}

impl Scenario {
    /// The scenario of a profile: four nodes, sixteen keys, four seconds.
    pub fn of(profile: Profile) -> Self {
        use Trouble::{
            ClockJump, Cut, Disconnect, DoubleFailover, Evict, EvictBarriers, Failover, Freeze, LoseHead,
            OldCopy, Rename, Restart, RestartNode, Save, Stall, Stop, Trim, Wipe,
        };
        let network = [Freeze, Stall, Stop, Stop, Cut, Cut, Disconnect, Trim];
        let more: &[Trouble] = match profile {
            Profile::Healthy | Profile::Network | Profile::Pressure | Profile::Stored => &[],
            Profile::Refreshes | Profile::Stale | Profile::Counters => &[],
            Profile::Evictions => &[Evict, Evict, Evict, EvictBarriers, RestartNode, RestartNode],
            Profile::OldCopies => &[Save, OldCopy],
            Profile::Failovers => &[Restart, Rename, Failover, Failover, DoubleFailover],
            Profile::Wipes => &[Wipe, LoseHead],
            Profile::Restarts => &[RestartNode, RestartNode, ClockJump],
            Profile::Overload => &[Cut, Cut, Cut, Stall],
        };
        let healthy = profile == Profile::Healthy;
        let mut troubles = if healthy {
            Vec::new()
        } else {
            [&network, more].concat()
        };
        if profile == Profile::Stored {
            // A put that stalls may arrive after the next one, of which it knows nothing: its answer was "uncertain".
            troubles.retain(|trouble| *trouble != Stall);
        }
        let (outbox, event_queue) = if profile == Profile::Overload {
            (2, 4)
        } else {
            (10_000, 10_000)
        };
        Self {
            load: match profile {
                Profile::Pressure => Load::Everything,
                Profile::Stored => Load::Stored,
                Profile::Refreshes => Load::Refreshes,
                Profile::Stale => Load::Stale,
                Profile::Counters => Load::Counters,
                Profile::Evictions => Load::Tags,
                _ => Load::Plain,
            },
            faults: match profile {
                Profile::Healthy => Faults::NONE,
                // A load is no event: a copy that lags may not have it, and what it replaced is not known to be older.
                Profile::Refreshes => Faults {
                    lagging_read: Permille(0),
                    ..bad_network()
                },
                _ => bad_network(),
            },
            troubles,
            // What a barrier has killed must lie there for a while, unread.
            keys: if profile == Profile::Evictions { 240 } else { 16 },
            span: Duration::from_secs(4),
            options: FleetOptions {
                nodes: 4,
                timing: TIMING,
                log_len: 24,
                outbox,
                event_queue,
                bus: (profile == Profile::Restarts)
                    .then(|| -> Wrap<dyn EventBus> { Arc::new(|inner| Arc::new(Older(inner))) }),
                ..FleetOptions::default()
            },
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
        late_reply: Permille(20),
        lagging_read: Permille(300),
        lag: 6,
        timeout: Duration::from_millis(150),
    }
}
