//! Tags and barriers: how many keys are invalidated by one write, without scanning for them.
//!
//! A tag is a barrier, not a set of keys: nobody keeps a list of what it covers.

use std::fmt;
use std::sync::Arc;

use crate::{CacheKey, Lineage, Seq};

/// A label that values can carry, so that all of them can be invalidated at once.
///
/// ```
/// use cache_core::Tag;
/// let tag = Tag::new("provider:vast");
/// assert_eq!(tag.as_str(), "provider:vast");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Longest name in bytes that a cache accepts, in a value, an invalidation or an event. It travels with every value that
    /// carries it, and is never cut off: what invalidates must name the whole tag.
    pub const MAX_LEN: usize = 1_024;

    /// A tag of this name. Any text of up to [`Tag::MAX_LEN`] bytes is allowed; it is escaped where it becomes part of a key.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:?})", &*self.0)
    }
}

/// What one invalidation of many covers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Barrier {
    /// Every value of the lane.
    Everything,
    /// Every value of a namespace, by its name.
    Namespace(Arc<str>),
    /// Every value that carries the tag.
    Tag(Tag),
}

impl Barrier {
    /// The key of the barrier's record in the lane's barrier shard.
    pub fn key(&self) -> CacheKey {
        match self {
            Self::Everything => CacheKey::build("barrier", &[("all", &"")]),
            Self::Namespace(name) => CacheKey::build("barrier", &[("namespace", name)]),
            Self::Tag(tag) => CacheKey::build("barrier", &[("tag", &tag.as_str())]),
        }
    }
}

/// How far the barriers were known when a value's fill started. A value is dead as soon as one of its barriers
/// stands higher, or when the barriers' history is another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BarrierStamp {
    /// The history of the barrier shard.
    pub lineage: Lineage,
    /// Every barrier up to here had been seen.
    pub seq: Seq,
}
