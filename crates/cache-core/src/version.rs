//! The order of things: sequence numbers, event ids, lineages, and the head of a shard.
//!
//! No time is involved: the shared store issues one gapless sequence per shard, and that is the order.

use std::cmp::Ordering;
use std::fmt;

use crate::Shard;

/// A position in a shard's sequence: at once the event number and the version of the key it changed.
///
/// Stays below 2^53, since the scripts of a Redis server hold numbers as doubles.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event; as an expected version: "absent".
    pub const ZERO: Self = Self(0);

    /// The position right after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random identity of one event. After a failover reused sequence numbers, ids still show the fork.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct EventId(pub u64);

/// The random identity of one unbroken history of a shard. A repair starts a new lineage.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Lineage(pub u64);

/// The identity of the server that answered (for Redis: run id and replication id). It changes on failover.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct ServerId(pub u64);

/// The process of a server under which somebody last vouched for a shard's history (for Redis: the first 64 bits of its run
/// id). It is set when a lineage begins and kept by every other step, so that it tells whether the server that holds the
/// head is still the one that was vouched for: one that came back from an old copy is another process.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct ServerMark(pub u64);

/// A version of a key. Two versions compare only within one lineage.
///
/// ```
/// use cache_core::{Lineage, Seq, Version};
/// let a = Version { lineage: Lineage(1), seq: Seq(4) };
/// let b = Version { lineage: Lineage(1), seq: Seq(9) };
/// let other = Version { lineage: Lineage(2), seq: Seq(9) };
/// assert!(a < b);
/// assert_eq!(a.partial_cmp(&other), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// The history this version belongs to.
    pub lineage: Lineage,
    /// The position in that history.
    pub seq: Seq,
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.lineage == other.lineage).then(|| self.seq.cmp(&other.seq))
    }
}

/// One step of a shard's history, so that any node can tell whether it has taken it. A number alone cannot: after a failover it may
/// have been issued twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// The shard.
    pub shard: Shard,
    /// The history.
    pub lineage: Lineage,
    /// The event's number.
    pub seq: Seq,
    /// The event's identity.
    pub id: EventId,
}

/// Where a shard's history stands: read together with every value, and by every heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Head {
    /// The history.
    pub lineage: Lineage,
    /// The newest event's number; the shard's newest version.
    pub seq: Seq,
    /// The newest event's identity.
    pub id: EventId,
    /// Records at or below this version are dead: how a whole shard is flushed in constant time.
    pub floor: Seq,
    /// The process of the server that the history was last vouched for under.
    pub mark: ServerMark,
}
