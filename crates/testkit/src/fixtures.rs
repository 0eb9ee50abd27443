//! Small things that tests of every tier need: namespaces, keys of one shard, sealed values, entries.
//!
//! Values here mean nothing; tests of the domain bring their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use cache_core::{
    BarrierStamp, CacheKey, CodecId, Entry, EntryValue, Envelope, Lane, Moment, Namespace, Payload, Policy,
    SchemaFingerprint, Seq, Shard, ShardCount, Tag, Version, seal,
};

/// A namespace of the bulk lane, of numbers that live a minute.
pub const BULK: Namespace<u64> = Namespace::new("bulk", Policy::event_driven(Duration::from_secs(60)));

/// A namespace of the critical lane, of numbers that live a minute.
pub const CRITICAL: Namespace<u64> = Namespace::new(
    "critical",
    Policy::event_driven(Duration::from_secs(60)).with_lane(Lane::Critical),
);

/// The first `count` shards of a lane that hold keys.
pub fn shards_in(lane: Lane, count: usize) -> Vec<Shard> {
    ShardCount::DEFAULT
        .all(lane)
        .filter(|shard| !shard.holds_barriers())
        .take(count)
        .collect()
}

/// Different keys that one shard holds, the same at every call.
///
/// # Panics
/// When the shard holds barriers: no key is in there.
pub fn keys_in(shard: Shard, count: usize) -> Vec<CacheKey> {
    assert!(!shard.holds_barriers(), "{shard} holds barriers, no keys");
    let namespace = match shard.lane() {
        Lane::Bulk => BULK,
        Lane::Critical => CRITICAL,
    };
    (0_u64..)
        .map(|id| namespace.key(&[("id", &id)]))
        .filter(|key| key.shard(ShardCount::DEFAULT) == shard)
        .take(count)
        .map(|key| key.raw().clone())
        .collect()
}

/// A payload as a shared store keeps it, without tags.
pub fn sealed(payload: &[u8]) -> Arc<[u8]> {
    let envelope = Envelope {
        codec: CodecId::BINCODE,
        schema: SchemaFingerprint(1),
        life: Duration::from_secs(60),
        grace: Duration::ZERO,
        stamp: BarrierStamp::default(),
        tags: Arc::new([]),
    };
    seal(&envelope, &Payload::Value(payload))
}

/// A sealed value of exactly this many bytes.
///
/// # Panics
/// When no sealed value can have this length: the header alone takes 45 bytes, and long ones are compressed.
pub fn sealed_of_length(length: usize) -> Arc<[u8]> {
    let header = sealed(&[]).len();
    let payload = length.checked_sub(header).map(|rest| vec![7; rest]);
    let body = sealed(&payload.expect("a sealed value is at least as long as its header"));
    assert_eq!(body.len(), length, "a payload this long is compressed");
    body
}

/// Builds an [`Entry`]. What is not said: known absence, generation 1, version as `as_of`, no tags, fresh for
/// ever, 100 bytes.
///
/// ```
/// use testkit::EntryBuilder;
/// let entry = EntryBuilder::as_of(7).weight(10).value(42_u64).build();
/// assert_eq!((entry.as_of.0, entry.weight), (7, 10));
/// ```
#[derive(Debug)]
pub struct EntryBuilder(Entry);

impl EntryBuilder {
    /// An entry known to be current up to this sequence number.
    pub fn as_of(seq: u64) -> Self {
        Self(Entry {
            value: None,
            version: Version {
                seq: Seq(seq),
                ..Version::default()
            },
            as_of: Seq(seq),
            generation: 1,
            born: Moment::NEVER,
            fresh_until: Moment::FOREVER,
            usable_until: Moment::FOREVER,
            refresh_from: Moment::FOREVER,
            tags: Arc::new([]),
            stamp: BarrierStamp::default(),
            checked_epoch: AtomicU64::new(0),
            refreshing: AtomicBool::new(false),
            weight: 100,
            encoded: 50,
        })
    }

    /// Sets a version that is older than what the entry is known to be current up to.
    #[must_use]
    pub const fn version(mut self, seq: u64) -> Self {
        self.0.version.seq = Seq(seq);
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value<V: Send + Sync + 'static>(mut self, value: V) -> Self {
        self.0.value = EntryValue::Some(Arc::new(value));
        self
    }

    /// Sets the generation of the shard at the installation.
    #[must_use]
    pub const fn generation(mut self, generation: u64) -> Self {
        self.0.generation = generation;
        self
    }

    /// Sets the bytes that the entry is charged with.
    #[must_use]
    pub const fn weight(mut self, bytes: u32) -> Self {
        self.0.weight = bytes;
        self
    }

    /// Sets the length of the encoded value.
    #[must_use]
    pub const fn encoded(mut self, bytes: u32) -> Self {
        self.0.encoded = bytes;
        self
    }

    /// Sets when the entry stops to be fresh and to be usable.
    #[must_use]
    pub const fn ends(mut self, fresh_until: Moment, usable_until: Moment) -> Self {
        self.0.fresh_until = fresh_until;
        self.0.usable_until = usable_until;
        self
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags(mut self, names: &[&str]) -> Self {
        self.0.tags = names.iter().map(Tag::new).collect();
        self
    }

    /// The entry.
    pub fn build(self) -> Arc<Entry> {
        Arc::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_shard_are_different_and_all_in_that_shard() {
        let shard = shards_in(Lane::Critical, 3)[2];
        let keys = keys_in(shard, 5);
        assert!(
            keys.iter()
                .all(|key| ShardCount::DEFAULT.of(Lane::Critical, key) == shard)
        );
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), 5);
    }

    #[test]
    fn a_sealed_value_has_the_length_asked_for() {
        for length in [45, 1024, 1025] {
            assert_eq!(sealed_of_length(length).len(), length);
        }
    }
}
