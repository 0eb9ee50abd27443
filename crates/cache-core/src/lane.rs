//! Lanes and shards: how keys are spread over independent event sequences.
//!
//! Which server holds a shard, and where the count of a deployment is kept, is an adapter's concern.

use crate::CacheKey;

/// How many shards each lane of a deployment has: a power of two from 8 to 4,096, the same on every node and as long as the
/// deployment lasts.
///
/// More shards lose less by a flush and let more writers go side by side. Fewer make a batch of reads and a heartbeat smaller, since
/// each carries the head of every shard it touches.
///
/// ```
/// use cache_core::{Lane, Namespace, Policy, ShardCount};
/// use std::time::Duration;
/// const N: Namespace<u32> = Namespace::new("n", Policy::event_driven(Duration::from_secs(1)));
/// let shards = ShardCount::new(16).expect("a power of two");
/// let key = N.key(&[("id", &1)]);
/// assert_eq!(key.shard(shards), shards.of(Lane::Bulk, key.raw()));
/// assert_eq!(shards.all(Lane::Bulk).count(), 17, "and one for the barriers");
/// assert_eq!(ShardCount::new(12), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardCount(u16);

impl ShardCount {
    /// The smallest: with fewer, a flush would cost a lane a quarter of its entries and more.
    pub const LEAST: u16 = 8;
    /// The largest: with more, a heartbeat would read more heads than many a node has keys.
    pub const MOST: u16 = 4_096;
    /// What a backend has unless told otherwise: a heartbeat reads 65 heads, and a flush costs 1.6 % of a lane's entries.
    pub const DEFAULT: Self = Self(64);

    /// So many; `None` for what is no power of two within the limits. A power of two, so that keys are spread by a mask and every
    /// count divides all larger ones.
    pub const fn new(count: u16) -> Option<Self> {
        match count.is_power_of_two() && count >= Self::LEAST && count <= Self::MOST {
            true => Some(Self(count)),
            false => None,
        }
    }

    /// The number.
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The shard that holds `key`: a pure function of the key's text, the same on every node.
    pub const fn of(self, lane: Lane, key: &CacheKey) -> Shard {
        let index = 1 + (key.hash64() & (self.0 as u64 - 1)) as u16;
        Shard { lane, index }
    }

    /// Every shard of a lane, the one of the barriers first.
    pub fn all(self, lane: Lane) -> impl Iterator<Item = Shard> + Clone {
        (0..=self.0).map(move |index| Shard { lane, index })
    }

    /// Shards of a lane, the one of the barriers included: one more than any of their [positions](Shard::index).
    pub const fn places(self) -> usize {
        self.0 as usize + 1
    }
}

impl Default for ShardCount {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl std::fmt::Display for ShardCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

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

/// One event sequence: a slice of a lane's keys, or the lane's barriers. Which slice is decided by [`ShardCount`].
///
/// ```
/// use cache_core::{Lane, Shard, ShardCount};
/// let barriers = Shard::barriers(Lane::Bulk);
/// assert_eq!((barriers.index(), barriers.to_string()), (0, "b:0".to_owned()));
/// assert!(ShardCount::DEFAULT.all(Lane::Bulk).skip(1).all(|shard| !shard.holds_barriers()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct Shard {
    lane: Lane,
    index: u16,
}

impl Shard {
    /// The reserved shard that holds the lane's barriers (tags, whole namespaces, everything), whatever the count.
    pub const fn barriers(lane: Lane) -> Self {
        Self { lane, index: 0 }
    }

    /// The lane this shard belongs to.
    pub const fn lane(self) -> Lane {
        self.lane
    }

    /// Position within the lane: the barrier shard is 0, and those of keys follow.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Whether this shard holds barriers instead of keys.
    pub const fn holds_barriers(self) -> bool {
        self.index == 0
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
