//! From stored records to entries in memory and back: sealing, opening, lifetimes.
//!
//! It judges nothing; whether an entry may be served is decided where it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use cache_core::{
    BarrierStamp, Codec, CodecError, CodecId, Entry, EntryValue, Envelope, Moment, NewRecord, Payload,
    Permille, Policy, Seq, Tag, Version, open, seal,
};

use crate::CacheError;
use crate::limits::check_tags;
use crate::memory::NamespaceState;
use crate::ports::Ports;
use crate::stats::Count;
use crate::value::Erased;

/// Bytes an entry takes besides its value: key, entry, slot in the table. Measured by `cargo xtask bench l1`.
const OVERHEAD: usize = 256;

/// Bytes a tag takes besides its name: its place in the list, and what the allocator keeps beside it.
const TAG_OVERHEAD: usize = 48;

/// Longest life of a record, ten years: what is meant to live for ever, and still no sum of spans overflows.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// A record taken apart.
pub(crate) struct Opened {
    pub(crate) envelope: Envelope,
    pub(crate) value: EntryValue,
    /// Bytes of the encoded value.
    pub(crate) size: usize,
}

/// What an entry is made from besides its value.
pub(crate) struct Basis {
    pub(crate) now: Moment,
    pub(crate) version: Version,
    pub(crate) as_of: Seq,
    pub(crate) generation: u64,
    /// What is left of the record's life, grace included.
    pub(crate) remaining: Duration,
}

/// Opens a stored body; `None` when it was written by another format, schema or codec, or is damaged.
pub(crate) fn open_body(namespace: &NamespaceState, ports: &Ports, body: &[u8]) -> Option<Opened> {
    let (envelope, payload) = match open(body, namespace.value.schema) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::debug!(namespace = namespace.name, %error, "a record is treated as missing");
            return None;
        }
    };
    let (value, size) = match payload {
        Payload::Absent => (None, 0),
        Payload::Value(bytes) => {
            let decoded = match ports.codec(envelope.codec) {
                Some(codec) => (namespace.value.decode)(&bytes, codec).map_err(|error| words(&error)),
                None => Err(format!(
                    "no codec with id {} is configured here",
                    envelope.codec.0
                )),
            };
            match decoded {
                Ok(value) => (Some(value), bytes.len()),
                Err(error) => {
                    namespace.unreadable(envelope.codec, &error);
                    return None;
                }
            }
        }
    };
    Some(Opened {
        envelope,
        value,
        size,
    })
}

/// What a record is made from.
pub(crate) struct Sealing {
    pub(crate) value: EntryValue,
    pub(crate) ttl: Duration,
    /// How old the value is already: the time since its load began.
    pub(crate) age: Duration,
    pub(crate) tags: Arc<[Tag]>,
    pub(crate) stamp: BarrierStamp,
}

/// Seals a value into a record.
pub(crate) fn seal_value(
    namespace: &NamespaceState,
    ports: &Ports,
    policy: &Policy,
    sealing: Sealing,
) -> Result<(NewRecord, Opened), CacheError> {
    let Sealing {
        value,
        ttl,
        age,
        tags,
        stamp,
    } = sealing;
    check_tags(&tags)?;
    let ttl = shortened(ttl.min(LONGEST), policy.jitter, ports.entropy.draw()).max(Duration::from_millis(1));
    let grace = policy.grace().min(LONGEST);
    let envelope = Envelope {
        codec: policy.codec,
        schema: namespace.value.schema,
        // What is missing of it, when the record is read, is the value's age.
        life: age + ttl + grace,
        grace,
        stamp,
        tags,
    };
    let bytes = match &value {
        None => None,
        Some(value) => {
            let codec = ports.codec(policy.codec).ok_or_else(|| {
                CacheError::rejected(format!("no codec with id {} is configured", policy.codec.0))
            })?;
            Some(namespace.encoded(value, codec)?)
        }
    };
    let payload = bytes.as_deref().map_or(Payload::Absent, Payload::Value);
    let record = NewRecord {
        body: seal(&envelope, &payload),
        ttl: ttl + grace,
    };
    let size = bytes.as_ref().map_or(0, Vec::len);
    Ok((
        record,
        Opened {
            envelope,
            value,
            size,
        },
    ))
}

/// Makes an entry. Its life in memory is the shorter of the policy's and of what is left of the record.
pub(crate) fn make_entry(
    namespace: &NamespaceState,
    ports: &Ports,
    policy: &Policy,
    key_length: usize,
    opened: Opened,
    basis: &Basis,
) -> Entry {
    let Opened {
        envelope,
        value,
        size,
    } = opened;
    let weight = key_length + namespace.weigh(value.as_ref(), &envelope.tags);
    let fresh = basis.remaining.saturating_sub(envelope.grace);
    let in_memory = fresh.min(shortened(policy.l1_ttl, policy.jitter, ports.entropy.draw()));
    // A record in its grace expired a while ago, and whoever is served it is told how long.
    let expired_for = envelope.grace.saturating_sub(basis.remaining);
    let fresh_until = (basis.now + in_memory).back(expired_for);
    Entry {
        value,
        version: basis.version,
        as_of: basis.as_of,
        generation: basis.generation,
        born: basis.now.back(envelope.life.saturating_sub(basis.remaining)),
        fresh_until,
        usable_until: (fresh_until + policy.grace()).min(basis.now + basis.remaining),
        refresh_from: policy
            .eager_refresh
            .map_or(Moment::FOREVER, |share| basis.now + share.of(in_memory)),
        tags: envelope.tags,
        stamp: envelope.stamp,
        checked_epoch: AtomicU64::new(0),
        refreshing: AtomicBool::new(false),
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
        encoded: u32::try_from(size).unwrap_or(u32::MAX),
    }
}

impl NamespaceState {
    /// Encodes a value, and makes sure that what comes back is the same.
    fn encoded(&self, value: &Erased, codec: &dyn Codec) -> Result<Vec<u8>, CacheError> {
        let refused =
            |error: CodecError| CacheError::rejected(format!("namespace {:?}: {}", self.name, words(&error)));
        let bytes = (self.value.encode)(value, codec).map_err(refused)?;
        if self.fidelity.is_due() {
            (self.value.verify)(value, &bytes, codec).map_err(|error| {
                self.fidelity.failed();
                refused(error)
            })?;
        }
        Ok(bytes)
    }

    /// A record has this release's format and this namespace's schema, and cannot be read.
    fn unreadable(&self, codec: CodecId, error: &str) {
        self.counters.add(Count::Unreadable);
        if self.fidelity.unreadable_record() {
            tracing::warn!(
                namespace = self.name,
                %codec,
                error,
                "a record of this format and schema cannot be read and counts as missing: its codec cannot carry its type, or its \
                 bytes are damaged; further ones are only counted (NamespaceStats::unreadable)"
            );
        }
    }

    /// Bytes that a value and its tags take in memory. What is heavier than all of the namespace's memory is counted, since the
    /// memory will not keep it.
    fn weigh(&self, value: Option<&Erased>, tags: &[Tag]) -> usize {
        let tags: usize = tags.iter().map(|tag| tag.as_str().len() + TAG_OVERHEAD).sum();
        let value = value.map_or(0, |value| self.value.weigh(value));
        let weight = value.saturating_add(tags + OVERHEAD);
        let limit = self.policy.max_bytes;
        // Nothing fits a memory that is switched off, and nobody wonders about that.
        if limit > 0 && self.policy.max_entries > 0 && weight as u64 > limit {
            self.counters.add(Count::TooHeavy);
            if self.fidelity.too_heavy() {
                tracing::warn!(
                    namespace = self.name,
                    weight,
                    limit,
                    "a value is heavier than all memory of its namespace, so every read of it goes to the shared store; further ones \
                     are only counted (NamespaceStats::too_heavy): raise Policy::with_memory, or split the value"
                );
            }
        }
        weight
    }
}

/// An error with what has caused it.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// The same entry, fresh until then, that is to be served until `retry`: then the loader is asked again.
pub(crate) fn throttled(entry: &Entry, fresh_until: Moment, retry: Moment) -> Entry {
    Entry {
        value: entry.value.clone(),
        version: entry.version,
        as_of: entry.as_of,
        generation: entry.generation,
        born: entry.born,
        fresh_until,
        usable_until: entry.usable_until,
        refresh_from: retry,
        tags: Arc::clone(&entry.tags),
        stamp: entry.stamp,
        checked_epoch: AtomicU64::new(0),
        refreshing: AtomicBool::new(false),
        weight: entry.weight,
        encoded: entry.encoded,
    }
}

fn shortened(ttl: Duration, share: Permille, random: u64) -> Duration {
    let cut = share
        .of(ttl)
        .mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64);
    ttl.saturating_sub(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Spans of every size, the extremes often.
    fn spans() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::from_millis(1)),
            Just(Duration::MAX),
            any::<u64>().prop_map(Duration::from_nanos),
            any::<u64>().prop_map(Duration::from_secs),
        ]
    }

    proptest! {
        #[test]
        fn a_ttl_is_shortened_by_its_share_at_most_whatever_is_drawn(ttl in spans(), share in 0..=1000_u16, random: u64) {
            let shorter = shortened(ttl, Permille(share), random);
            prop_assert!(shorter <= ttl);
            prop_assert!(shorter >= ttl - Permille(share).of(ttl));
        }
    }

    #[test]
    fn the_whole_of_the_longest_ttl_can_be_drawn_away() {
        for random in [0, u64::MAX / 2, u64::MAX] {
            assert!(shortened(Duration::MAX, Permille(1000), random) <= Duration::MAX);
        }
        assert_eq!(shortened(Duration::MAX, Permille(0), u64::MAX), Duration::MAX);
    }
}
