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
    /// The barrier's key: how the lane's barrier shard knows it.
    pub fn key(&self) -> CacheKey {
        match self {
            Self::Everything => CacheKey::build("barrier", &[("all", &"")]),
            Self::Namespace(name) => CacheKey::build("barrier", &[("namespace", name)]),
            Self::Tag(tag) => CacheKey::build("barrier", &[("tag", &tag.as_str())]),
        }
    }
}

/// Barriers of each kind that the shared store keeps one by one, in each lane. What was raised before the oldest of them
/// counts as raised at the number of the newest that is no longer kept.
///
/// A barrier takes some 145 bytes of a Redis server, which cannot give them back under pressure: the tags of both lanes take
/// 3 MB at most. What they buy: a tagged value outlives that many other tags being invalidated.
pub const BARRIERS_KEPT: usize = 10_000;

/// The two kinds of barriers, which the shared store keeps apart: many invalidated tags must not end values that carry none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BarrierKind {
    /// Everything, and namespaces.
    Wide,
    /// Tags.
    Tag,
}

impl BarrierKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wide, Self::Tag];

    /// The kind of the barrier that has this key.
    pub fn of(key: &CacheKey) -> Self {
        let rest = key.as_str().strip_prefix("barrier:").unwrap_or_default();
        match rest.starts_with("all=") || rest.starts_with("namespace=") {
            true => Self::Wide,
            false => Self::Tag,
        }
    }

    /// 0 for wide ones, 1 for tags.
    pub const fn index(self) -> usize {
        match self {
            Self::Wide => 0,
            Self::Tag => 1,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_barrier_is_of_the_kind_that_its_key_says_however_long_its_name_is() {
        let long = "x".repeat(500);
        let kind = |barrier: Barrier| BarrierKind::of(&barrier.key());
        assert_eq!(kind(Barrier::Everything), BarrierKind::Wide);
        assert_eq!(kind(Barrier::Namespace("prices".into())), BarrierKind::Wide);
        for name in ["eu", "", "all=", "namespace=prices", ":", &long] {
            assert_eq!(kind(Barrier::Tag(Tag::new(name))), BarrierKind::Tag, "{name}");
        }
    }
}
