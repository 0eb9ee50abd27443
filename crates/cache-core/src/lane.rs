//! Lanes and shards: how keys are spread over independent event sequences.
//!
//! Which server holds a shard is an adapter's concern.

use crate::CacheKey;

/// Shards in each lane. Fixed when a store is created: changing it makes a new generation of the store.
///
/// 64 keeps a heartbeat (one read of all heads) near 10 microseconds of server time while a flush of one shard
/// costs 1.6 % of a lane's entries.
pub const SHARDS_PER_LANE: u16 = 64;

/// A priority class with shards, connection and task of its own: critical events never wait behind bulk bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Drained first.
    Critical,
    /// Everything that may wait a little.
    Bulk,
}

impl Lane {
    /// Both lanes, the critical one first.
    pub const ALL: [Self; 2] = [Self::Critical, Self::Bulk];

    /// 0 for critical, 1 for bulk.
    pub const fn index(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::Bulk => 1,
        }
    }
}

/// One event sequence: a slice of a lane's keys, or the lane's barriers.
///
/// ```
/// use cache_core::{Lane, Namespace, Policy, Shard};
/// use std::time::Duration;
/// const N: Namespace<u32> = Namespace::new("n", Policy::event_driven(Duration::from_secs(1)));
/// let key = N.key(&[("id", &1)]);
/// assert_eq!(Shard::of(Lane::Bulk, key.raw()), Shard::of(Lane::Bulk, key.raw()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct Shard {
    lane: Lane,
    index: u16,
}

impl Shard {
    /// The shard that holds `key`: a pure function of the key's text, the same on every node.
    pub const fn of(lane: Lane, key: &CacheKey) -> Self {
        Self {
            lane,
            index: (key.hash64() & (SHARDS_PER_LANE as u64 - 1)) as u16,
        }
    }

    /// The reserved shard that holds the lane's barriers (tags, whole namespaces, everything).
    pub const fn barriers(lane: Lane) -> Self {
        Self {
            lane,
            index: SHARDS_PER_LANE,
        }
    }

    /// Every shard of a lane, the barrier shard last.
    pub fn all(lane: Lane) -> impl Iterator<Item = Self> {
        (0..=SHARDS_PER_LANE).map(move |index| Self { lane, index })
    }

    /// The lane this shard belongs to.
    pub const fn lane(self) -> Lane {
        self.lane
    }

    /// Position within the lane: `0..=SHARDS_PER_LANE`, the barrier shard being the last.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Whether this shard holds barriers instead of keys.
    pub const fn holds_barriers(self) -> bool {
        self.index == SHARDS_PER_LANE
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lane = match self.lane {
            Lane::Critical => 'c',
            Lane::Bulk => 'b',
        };
        write!(f, "{lane}:{}", self.index)
    }
}
