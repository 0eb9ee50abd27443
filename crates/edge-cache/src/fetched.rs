//! What a read returns: the value, where it came from, and how old it can be.
//!
//! Cheap to clone: it shares the entry in memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Entry, Version};

use crate::CacheValue;

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tier {
    /// This node's memory.
    L1,
    /// The shared store.
    L2,
    /// The loader.
    Source,
}

/// Which bound holds for a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Nothing published to the cache more than `at_most` before the answer was given is missing from it.
    Current {
        /// The bound: for memory, the time since the node last proved that it had seen everything; for the loader, the
        /// time the read took; for the shared store, that and a lease, since a copy that lags may have answered. Who
        /// joined a fetch that was under way counts the load deadline as well.
        at_most: Duration,
    },
    /// The namespace is bounded by TTL alone: changes older than this are in it.
    WithinTtl {
        /// The value's age.
        at_most: Duration,
    },
    /// Expired or unproven, and served on purpose because a load failed, was too slow, or runs in the background.
    Stale {
        /// How long ago it was current, at most.
        at_most: Duration,
    },
}

/// A value and what is known about it. Dereferences to the value.
///
/// ```
/// use edge_cache::{Fetched, Freshness};
///
/// fn caption(price: &Fetched<u64>) -> String {
///     match price.freshness() {
///         Freshness::Stale { at_most } => format!("{} (up to {} s ago)", **price, at_most.as_secs()),
///         _current => format!("{}", **price),
///     }
/// }
/// ```
pub struct Fetched<V> {
    entry: Arc<Entry>,
    tier: Tier,
    age: Duration,
    freshness: Freshness,
    value: PhantomData<fn() -> V>,
}

impl<V: CacheValue> Fetched<V> {
    /// `None` when the entry says that there is no value.
    pub(crate) fn new(entry: Arc<Entry>, tier: Tier, age: Duration, freshness: Freshness) -> Option<Self> {
        // The type was compared when the namespace was looked up; here only "known absent" is left to tell.
        entry.value.as_ref()?;
        Some(Self {
            entry,
            tier,
            age,
            freshness,
            value: PhantomData,
        })
    }

    /// Where it came from.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// Its version; [`Version::default`] for a value that was loaded while it could not be stored.
    pub fn version(&self) -> Version {
        self.entry.version
    }

    /// Time since it was written to the shared store, or since the load that found it began; by this node's clock.
    pub const fn age(&self) -> Duration {
        self.age
    }

    /// How old it can be.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The value, shared with the cache.
    pub fn into_arc(self) -> Arc<V> {
        let value = self
            .entry
            .value
            .clone()
            .and_then(|value| value.downcast::<V>().ok());
        value.expect("a namespace's values have its type")
    }
}

impl<V: CacheValue> Deref for Fetched<V> {
    type Target = V;

    fn deref(&self) -> &V {
        let value = self
            .entry
            .value
            .as_ref()
            .and_then(|value| value.downcast_ref::<V>());
        value.expect("a namespace's values have its type")
    }
}

impl<V> Clone for Fetched<V> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            value: PhantomData,
            ..*self
        }
    }
}

impl<V: CacheValue + fmt::Debug> fmt::Debug for Fetched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("value", &**self)
            .field("tier", &self.tier)
            .field("version", &self.entry.version)
            .field("age", &self.age)
            .field("freshness", &self.freshness)
            .finish()
    }
}
