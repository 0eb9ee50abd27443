//! How the values of a namespace live: lifetimes, limits, what happens when a tier or the loader fails.
//!
//! A policy holds no behaviour; the engine reads it.

use std::time::Duration;

use crate::{CodecId, Lane};

/// A share in thousandths: `Permille(100)` is 10 %.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Permille(pub u16);

impl Permille {
    /// This share of a span of time; [`Duration::MAX`] where it would be longer.
    ///
    /// ```
    /// use cache_core::Permille;
    /// use std::time::Duration;
    /// assert_eq!(Permille(100).of(Duration::from_secs(30)), Duration::from_secs(3));
    /// assert_eq!(Permille(1000).of(Duration::MAX), Duration::MAX);
    /// ```
    pub fn of(self, span: Duration) -> Duration {
        // In whole nanoseconds: as a float, the longest span is longer than itself.
        let nanos = span.as_nanos() * u128::from(self.0) / 1000;
        let (seconds, rest) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
        match (u64::try_from(seconds), u32::try_from(rest)) {
            (Ok(seconds), Ok(rest)) => Duration::new(seconds, rest),
            _ => Duration::MAX,
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Whether other nodes are told of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coherence {
    /// Memory hits need a valid lease; a change anywhere is seen everywhere within the stated bound.
    EventDriven,
    /// Only the TTL bounds the age of a memory hit. For data that never changes, or whose age does not matter.
    TtlOnly,
}

/// What an event about a written value carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// Only the key: other nodes drop their copy and read it again when asked.
    Invalidate,
    /// The value itself when its stored form is at most 1 KiB: other nodes replace their copy, nobody reads again.
    Value,
}

/// What to do with a `put` while the shared store is unreachable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OfflineWrites {
    /// Answer `Unavailable`. The default: a value only this node knows is not a shared value.
    Refuse,
    /// Queue an invalidation of the key instead, so that everyone reads the source again. The value itself is not kept.
    Queue,
}

/// What memory answers for an event-driven namespace while the shared store is away, so that nothing proves it current.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutageReads {
    /// Nothing: every read asks its loader. The default: right, and nearly the whole read rate for the source.
    Load,
    /// Whatever is within its TTL, what was loaded meanwhile included. Such an answer says that it is unproven and how old it
    /// can be; changes that were published since are missing in it.
    WithinTtl,
}

/// Serving an expired value when it cannot be read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailSafe {
    /// How long after its expiry a value may still be served, and how long after it was last proven to be current, whichever was
    /// earlier. A proof is up to a lease old when the shared store answered, so a span below the lease is hardly ever met.
    pub max_stale: Duration,
    /// After a failed load, how long the stale value is served before the loader is asked again.
    pub throttle: Duration,
}

/// The lifetimes, limits and failure behaviour of one namespace.
///
/// Built in a `const`; every setting has a default and a `with_` method.
///
/// ```
/// use cache_core::{Lane, Policy, Propagation};
/// use std::time::Duration;
///
/// const HOT: Policy = Policy::event_driven(Duration::from_secs(30))
///     .with_lane(Lane::Critical)
///     .with_propagation(Propagation::Value)
///     .with_memory(100 << 20, 2_000);
/// assert_eq!(HOT.l1_ttl, Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Default: bulk.
    pub lane: Lane,
    /// Event-driven or bounded by TTL only.
    pub coherence: Coherence,
    /// Longest life in memory. Default: the L2 TTL; a memory copy never outlives its record.
    pub l1_ttl: Duration,
    /// Life in the shared store. Required, since a value without an end is a leak.
    pub l2_ttl: Duration,
    /// TTLs are shortened by up to this share at random, so that values written together do not expire together. Default 10 %.
    pub jitter: Permille,
    /// How long "there is no such value" is remembered. Default: not at all.
    pub negative_ttl: Option<Duration>,
    /// After expiry, how long the old value is served while one reader refreshes it in the background. Default: zero (off).
    pub stale_while_revalidate: Duration,
    /// Serving stale when a load fails. Default: off, since staleness on purpose must be asked for.
    pub fail_safe: Option<FailSafe>,
    /// When a stale value is at hand, how long to wait for the loader before serving it. Default: wait to the hard timeout.
    pub soft_timeout: Option<Duration>,
    /// How long a load may take in all; then its future is dropped and its slot is free. What a slow loader finds is kept when
    /// nothing invalidated the key meanwhile. Default: the load deadline of the cache's timing, 2 s. At most 10 minutes: a node
    /// that dies while it loads keeps the others from loading that key for so long.
    pub hard_timeout: Option<Duration>,
    /// A hit after this share of the TTL refreshes the value in the background. Default: off.
    pub eager_refresh: Option<Permille>,
    /// What events carry. Default: the key only.
    pub propagation: Propagation,
    /// What a put does without a shared store. Default: refuse.
    pub offline_writes: OfflineWrites,
    /// What memory answers without a shared store, where the namespace is event-driven. Default: nothing, each read loads. A
    /// namespace that is bounded by its TTL alone serves what is within it in any case.
    pub outage_reads: OutageReads,
    /// Bytes the namespace may hold in memory on one node. Default 64 MiB.
    pub max_bytes: u64,
    /// Entries the namespace may hold in memory on one node. Default 10,000.
    pub max_entries: u64,
    /// The codec of stored values. Default bincode.
    pub codec: CodecId,
}

impl Policy {
    /// Values whose changes are told to every node, kept up to `ttl`.
    pub const fn event_driven(ttl: Duration) -> Self {
        Self {
            lane: Lane::Bulk,
            coherence: Coherence::EventDriven,
            l1_ttl: ttl,
            l2_ttl: ttl,
            jitter: Permille(100),
            negative_ttl: None,
            stale_while_revalidate: Duration::ZERO,
            fail_safe: None,
            soft_timeout: None,
            hard_timeout: None,
            eager_refresh: None,
            propagation: Propagation::Invalidate,
            offline_writes: OfflineWrites::Refuse,
            outage_reads: OutageReads::Load,
            max_bytes: 64 << 20,
            max_entries: 10_000,
            codec: CodecId::BINCODE,
        }
    }

    /// Values bounded by their TTL alone.
    pub const fn ttl_only(ttl: Duration) -> Self {
        let mut policy = Self::event_driven(ttl);
        policy.coherence = Coherence::TtlOnly;
        policy
    }

    /// Sets the lane.
    pub const fn with_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Sets the longest life in memory.
    pub const fn with_l1_ttl(mut self, ttl: Duration) -> Self {
        self.l1_ttl = ttl;
        self
    }

    /// Sets the jitter.
    pub const fn with_jitter(mut self, share: Permille) -> Self {
        self.jitter = share;
        self
    }

    /// Remembers absence for this long.
    pub const fn with_negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// Serves an expired value for this long while it is refreshed in the background.
    pub const fn with_stale_while_revalidate(mut self, span: Duration) -> Self {
        self.stale_while_revalidate = span;
        self
    }

    /// Serves an expired value when it cannot be loaded again.
    pub const fn with_fail_safe(mut self, fail_safe: FailSafe) -> Self {
        self.fail_safe = Some(fail_safe);
        self
    }

    /// Sets both timeouts of the loader: the soft one serves a stale value, the hard one drops the load.
    pub const fn with_timeouts(mut self, soft: Option<Duration>, hard: Duration) -> Self {
        self.soft_timeout = soft;
        self.hard_timeout = Some(hard);
        self
    }

    /// Refreshes in the background on a hit after this share of the TTL.
    pub const fn with_eager_refresh(mut self, share: Permille) -> Self {
        self.eager_refresh = Some(share);
        self
    }

    /// Sets what events carry.
    pub const fn with_propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// Sets what a put does without a shared store.
    pub const fn with_offline_writes(mut self, offline: OfflineWrites) -> Self {
        self.offline_writes = offline;
        self
    }

    /// Sets what memory answers without a shared store.
    pub const fn with_outage_reads(mut self, reads: OutageReads) -> Self {
        self.outage_reads = reads;
        self
    }

    /// Sets the limits of the namespace's memory on one node.
    pub const fn with_memory(mut self, max_bytes: u64, max_entries: u64) -> Self {
        self.max_bytes = max_bytes;
        self.max_entries = max_entries;
        self
    }

    /// Sets the codec of stored values.
    pub const fn with_codec(mut self, codec: CodecId) -> Self {
        self.codec = codec;
        self
    }

    /// How long a record stays in the shared store after it has expired, to serve as a stale answer.
    pub fn grace(&self) -> Duration {
        let fail_safe = self
            .fail_safe
            .map_or(Duration::ZERO, |fail_safe| fail_safe.max_stale);
        self.stale_while_revalidate.max(fail_safe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_share_is_never_longer_than_the_whole_and_never_a_panic(seconds: u64, nanos in 0..1_000_000_000_u32, share: u16) {
            let span = Duration::new(seconds, nanos);
            let part = Permille(share).of(span);
            prop_assert!(share > 1000 || part <= span);
            prop_assert!(share < 1000 || part >= span);
            prop_assert_eq!(Permille(1000).of(span), span);
            prop_assert_eq!(Permille(0).of(span), Duration::ZERO);
        }
    }

    #[test]
    fn shares_of_the_longest_and_the_shortest_span_are_exact() {
        assert_eq!(Permille(1000).of(Duration::MAX), Duration::MAX);
        assert_eq!(Permille(u16::MAX).of(Duration::MAX), Duration::MAX);
        assert_eq!(
            Permille(500).of(Duration::from_millis(1)),
            Duration::from_micros(500)
        );
        assert_eq!(Permille(100).of(Duration::ZERO), Duration::ZERO);
    }
}
