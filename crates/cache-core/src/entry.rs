//! A value as it lives in a node's memory: decoded, with everything that decides whether it may be served.
//!
//! An entry judges nothing itself; the engine compares it with leases, barriers and the clock.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::{BarrierStamp, Moment, Seq, Tag, Version};

/// A decoded value of any type, or the knowledge that there is none.
pub type EntryValue = Option<Arc<dyn Any + Send + Sync>>;

/// A decoded value in memory. Shared, never copied: a hit clones one `Arc`.
///
/// The layout is fixed so that everything a hit looks at lies together: with the counters of its `Arc` in front, the
/// first six fields fill one cache line.
#[repr(C)]
pub struct Entry {
    /// The value; `None` when it is known that there is none.
    pub value: EntryValue,
    /// The shard's generation when it was installed; an entry of another generation is dead.
    pub generation: u64,
    /// The node's barrier epoch under which its tags were last found valid.
    pub checked_epoch: AtomicU64,
    /// Until when it is fresh.
    pub fresh_until: Moment,
    /// When it was written, by this node's clock.
    pub born: Moment,
    /// When a hit should start a refresh in the background; `Moment::FOREVER` for never.
    pub refresh_from: Moment,
    /// Until when it may be served stale, if at all.
    pub usable_until: Moment,
    /// The version of the key this value is.
    pub version: Version,
    /// The shard's sequence up to which this value is known to be current.
    pub as_of: Seq,
    /// How far barriers were known when its fill started.
    pub stamp: BarrierStamp,
    /// Its tags.
    pub tags: Arc<[Tag]>,
    /// Bytes it is charged with in memory: the value, its key and tags, and what keeps them.
    pub weight: u32,
    /// Bytes of its encoded value, before compression.
    pub encoded: u32,
    /// Whether a background refresh has been started for it.
    pub refreshing: AtomicBool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("version", &self.version)
            .field("as_of", &self.as_of)
            .field("generation", &self.generation)
            .field("absent", &self.value.is_none())
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
