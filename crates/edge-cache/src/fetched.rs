//! What a read returns: the value, where it came from, and how old it can be.
//!
//! Cheap to clone: it shares the entry in memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Entry, Moment, Version};

use crate::CacheValue;

/// Where a value came from.
// As wide as its neighbours in an answer: narrower, and answers are copied in pieces that the processor must wait for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u64)]
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
    /// Within its TTL, and served on purpose while the shared store is away ([`OutageReads::WithinTtl`](cache_core::OutageReads)):
    /// what was published since is missing from it.
    Unproven {
        /// How long ago it was current, at most.
        at_most: Duration,
    },
    /// Expired or unproven, and served on purpose because a load failed, was too slow, or runs in the background.
    Stale {
        /// How long ago it was current, at most: the time since it expired, or since the question was sent whose answer last
        /// proved that nothing newer had been published, whichever is longer. A lease that stands proves only the latter.
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
    answer: Answer,
    value: PhantomData<fn() -> V>,
}

/// An entry that answers a read. Keeps moments and no spans: most readers never ask for these, and a hit is short.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) entry: Arc<Entry>,
    pub(crate) tier: Tier,
    /// When it was given.
    pub(crate) at: Moment,
    pub(crate) promise: Promise,
    /// The moment from which the bound of the promise counts.
    pub(crate) since: Moment,
}

/// Which [`Freshness`] an answer has.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Promise {
    Current,
    WithinTtl,
    Unproven,
    Stale,
}

impl Answer {
    /// `None` when the entry says that there is no value.
    #[inline(always)]
    pub(crate) fn fetched<V: CacheValue>(self) -> Option<Fetched<V>> {
        // The type was compared when the namespace was looked up; here only "known absent" is left to tell.
        self.entry.value.as_ref()?;
        Some(Fetched {
            answer: self,
            value: PhantomData,
        })
    }
}

impl<V: CacheValue> Fetched<V> {
    /// Where it came from.
    pub const fn tier(&self) -> Tier {
        self.answer.tier
    }

    /// Its version; [`Version::default`] for a value that was loaded while it could not be stored.
    pub fn version(&self) -> Version {
        self.answer.entry.version
    }

    /// Time since it was written to the shared store, or since the load that found it began; by this node's clock.
    pub fn age(&self) -> Duration {
        self.answer.at.since(self.answer.entry.born)
    }

    /// How old it can be.
    pub const fn freshness(&self) -> Freshness {
        let at_most = self.answer.at.since(self.answer.since);
        match self.answer.promise {
            Promise::Current => Freshness::Current { at_most },
            Promise::WithinTtl => Freshness::WithinTtl { at_most },
            Promise::Unproven => Freshness::Unproven { at_most },
            Promise::Stale => Freshness::Stale { at_most },
        }
    }

    /// The value, shared with the cache.
    pub fn into_arc(self) -> Arc<V> {
        let value = self
            .answer
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
            .answer
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
            answer: self.answer.clone(),
            value: PhantomData,
        }
    }
}

impl<V: CacheValue + fmt::Debug> fmt::Debug for Fetched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("value", &**self)
            .field("tier", &self.tier())
            .field("version", &self.version())
            .field("age", &self.age())
            .field("freshness", &self.freshness())
            .finish()
    }
}
