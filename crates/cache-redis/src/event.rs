//! Events as they travel and as the log keeps them.
//!
//! ```text
//! event    0       format (2)
//!          1..9    lineage
//!          9..17   id
//!          17..25  id of the one before
//!          25..33  number
//!          33..41  the server's time, ms
//!          41..    payload
//! entry    0       format (2)
//!          1..9    id
//!          9..     payload
//! payload  0..2    region that the event comes from; 0 is the deployment itself
//!          2       1 = changed, 2 = raised, 3 = flushed, 4 = announced
//!          3..     what was
//! ```
//!
//! What this release does not understand becomes [`EventOp::Unknown`], which flushes: an event is never ignored.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{
    Barrier, CacheKey, Change, ChangedKey, EventId, EventOp, Lineage, LogEntry, Op, Propagation, Record,
    RegionId, Seq, ServerTime, Shard, Tag, WireEvent,
};

use crate::bytes::{Bytes, push_stretch};

/// The format of events and of entries of the log. One of another format has its shard flushed.
const FORMAT: u8 = 2;

/// Largest value that travels inside an event. Beyond it, a refill by those who still want the value is cheaper
/// than sending it to everyone.
const INLINE_MAX: usize = 1024;

const CHANGED: u8 = 1;
const RAISED: u8 = 2;
const FLUSHED: u8 = 3;
const ANNOUNCED: u8 = 4;

const EVERYTHING: u8 = 0;
const NAMESPACE: u8 = 1;
const TAG: u8 = 2;

/// What a step tells: to the log, and where it differs, to those who listen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) log: Vec<u8>,
    /// With values inside; empty where it would be the same as the log's.
    pub(crate) event: Vec<u8>,
}

/// Packs what a step tells.
pub(crate) fn pack(op: &Op) -> Payload {
    let log = match op {
        Op::Change(changes) => changed(changes, |_| None),
        Op::Raise(barrier) => raised(barrier),
        Op::Flush => flushed(),
        Op::Announce(bytes) => {
            let mut packed = begun(ANNOUNCED);
            packed.extend_from_slice(bytes);
            packed
        }
    };
    let event = match op {
        Op::Change(changes) if changes.iter().any(|change| inline(change).is_some()) => {
            changed(changes, inline)
        }
        _ => Vec::new(),
    };
    Payload { log, event }
}

/// What a flush tells, and an adoption.
pub(crate) fn flushed() -> Vec<u8> {
    begun(FLUSHED)
}

/// The beginning of a payload that comes from here.
fn begun(op: u8) -> Vec<u8> {
    let [high, low] = RegionId::HERE.0.to_be_bytes();
    vec![high, low, op]
}

fn inline(change: &Change) -> Option<(u64, &[u8])> {
    let record = change.record.as_ref()?;
    (change.propagation == Propagation::Value && record.body.len() <= INLINE_MAX)
        .then(|| (millis(record.ttl), &*record.body))
}

fn changed<'c>(changes: &'c [Change], value: impl Fn(&'c Change) -> Option<(u64, &'c [u8])>) -> Vec<u8> {
    let mut packed = begun(CHANGED);
    for change in changes {
        push_stretch(&mut packed, change.key.as_str().as_bytes());
        match value(change) {
            None => packed.push(0),
            Some((ttl, body)) => {
                packed.push(1);
                packed.extend_from_slice(&ttl.to_be_bytes());
                push_stretch(&mut packed, body);
            }
        }
    }
    packed
}

fn raised(barrier: &Barrier) -> Vec<u8> {
    let (kind, name) = match barrier {
        Barrier::Everything => (EVERYTHING, ""),
        Barrier::Namespace(name) => (NAMESPACE, &**name),
        Barrier::Tag(tag) => (TAG, tag.as_str()),
    };
    let mut packed = begun(RAISED);
    packed.push(kind);
    push_stretch(&mut packed, name.as_bytes());
    packed
}

/// The life of a record as the server counts it: whole milliseconds, at most ten years.
pub(crate) fn millis(life: Duration) -> u64 {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 3600 * 1000;
    u64::try_from(life.as_millis()).map_or(TEN_YEARS, |millis| millis.min(TEN_YEARS))
}

/// Unpacks an event; `None` when not even its number can be read: then the shard has lost something.
pub(crate) fn unpack(shard: Shard, message: &[u8]) -> Option<WireEvent> {
    let mut bytes = Bytes::new(message);
    if bytes.byte()? != FORMAT {
        return None;
    }
    let (lineage, id, prev) = (bytes.number()?, bytes.number()?, bytes.number()?);
    let (seq, at) = (Seq(bytes.number()?), ServerTime(bytes.number()?));
    let origin = RegionId(bytes.short()?);
    Some(WireEvent {
        shard,
        lineage: Lineage(lineage),
        seq,
        id: EventId(id),
        prev: EventId(prev),
        origin,
        op: unpack_op(bytes, seq, at),
    })
}

/// Unpacks an entry of the log; `None` when not even its identity can be read.
pub(crate) fn unpack_entry(seq: Seq, entry: &[u8]) -> Option<LogEntry> {
    let mut bytes = Bytes::new(entry);
    if bytes.byte()? != FORMAT {
        return None;
    }
    let (id, origin) = (EventId(bytes.number()?), RegionId(bytes.short()?));
    Some(LogEntry {
        seq,
        id,
        origin,
        op: unpack_op(bytes, seq, ServerTime::default()),
    })
}

fn unpack_op(mut bytes: Bytes<'_>, seq: Seq, at: ServerTime) -> EventOp {
    let op = match bytes.byte() {
        Some(CHANGED) => unpack_changed(bytes, seq, at),
        Some(RAISED) => unpack_barrier(bytes).map(EventOp::Raised),
        Some(FLUSHED) => Some(EventOp::Flushed),
        Some(ANNOUNCED) => Some(EventOp::Announced(Arc::from(bytes.rest()))),
        _ => None,
    };
    op.unwrap_or(EventOp::Unknown)
}

fn unpack_changed(mut bytes: Bytes<'_>, seq: Seq, at: ServerTime) -> Option<EventOp> {
    let mut changed = Vec::with_capacity(1);
    while !bytes.rest().is_empty() {
        let key = CacheKey::from_wire(bytes.text()?);
        let record = match bytes.byte()? {
            0 => None,
            1 => Some(Record {
                version: seq,
                expires: at + Duration::from_millis(bytes.number()?),
                body: Arc::from(bytes.stretch()?),
            }),
            _ => return None,
        };
        changed.push(ChangedKey { key, record });
    }
    Some(EventOp::Changed(changed))
}

fn unpack_barrier(mut bytes: Bytes<'_>) -> Option<Barrier> {
    let kind = bytes.byte()?;
    let name = bytes.text()?;
    match kind {
        EVERYTHING => Some(Barrier::Everything),
        NAMESPACE => Some(Barrier::Namespace(Arc::from(name))),
        TAG => Some(Barrier::Tag(Tag::new(name))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
