//! One step of a shard's history: value, version, log entry and event at once.
//!
//! It never creates a head by itself: a writer that finds none must repair the shard first.

use std::mem;
use std::sync::Arc;

use cache_core::{
    Barrier, BarrierKind, Change, ChangedKey, EventOp, Expect, Head, Op, Propagation, Record, RegionId, Seq,
    ServerTime, WireEvent, Write, Written,
};

use super::{Instant, Published, head_in};
use crate::state::{Replaced, ReplacedKey, ShardState};

/// Takes the step, unless the lineage is another one or an expected version does not match.
pub(crate) fn write(state: &mut ShardState, write: &Write, at: Instant) -> Published<Written> {
    let Some(before) = head_in(state, write.lineage) else {
        return Published::silent(None);
    };
    if let Op::Change(changes) = &write.op
        && let Some(found) = mismatch(state, changes, at.now)
    {
        return Published::silent(Some(Written::Conflict { found }));
    }
    let mut head = Head {
        seq: before.seq.next(),
        id: write.id,
        ..before
    };
    let (op, replaced) = match &write.op {
        Op::Change(changes) => change(state, changes, head.seq, at.now),
        Op::Raise(barrier) => raise(state, barrier, head.seq),
        Op::Flush => {
            // Below the new head: a fill that follows takes the head's own number and must be alive.
            head.floor = before.seq;
            (EventOp::Flushed, replace_all(state))
        }
        Op::Announce(event) => (EventOp::Announced(Arc::clone(event)), Replaced::Nothing),
    };
    state.advance(head, without_values(&op), replaced, at.log_len);
    Published {
        answer: Some(Written::Done),
        event: Some(WireEvent {
            shard: write.shard,
            lineage: head.lineage,
            seq: head.seq,
            id: head.id,
            prev: before.id,
            origin: RegionId::HERE,
            op,
        }),
    }
}

fn mismatch(state: &ShardState, changes: &[Change], now: ServerTime) -> Option<Seq> {
    changes.iter().find_map(|change| match change.expect {
        Expect::Any => None,
        Expect::Version(expected) => {
            let found = state
                .live(&change.key, now)
                .map_or(Seq::ZERO, |record| record.version);
            (found != expected).then_some(found)
        }
    })
}

fn change(state: &mut ShardState, changes: &[Change], version: Seq, now: ServerTime) -> (EventOp, Replaced) {
    state.sweep(now, changes.len());
    let mut replaced = Vec::with_capacity(changes.len());
    let mut changed = Vec::with_capacity(changes.len());
    for change in changes {
        let record = change.record.as_ref().map(|new| Record {
            version,
            expires: now + new.ttl,
            body: Arc::clone(&new.body),
        });
        let inline = record
            .as_ref()
            .filter(|record| change.propagation == Propagation::Value && record.body.len() <= INLINE_MAX);
        changed.push(ChangedKey {
            key: change.key.clone(),
            record: inline.cloned(),
        });
        replaced.push(ReplacedKey {
            key: change.key.clone(),
            record: match record {
                Some(record) => state.records.insert(change.key.clone(), record),
                None => state.records.remove(&change.key),
            },
            lease: state.leases.remove(&change.key),
        });
    }
    (EventOp::Changed(changed), Replaced::Keys(replaced))
}

fn raise(state: &mut ShardState, barrier: &Barrier, version: Seq) -> (EventOp, Replaced) {
    let key = barrier.key();
    let kind = BarrierKind::of(&key);
    let raised = state.barriers(kind).raise(key, version);
    (EventOp::Raised(barrier.clone()), Replaced::Barrier(kind, raised))
}

/// Drops what the floor has killed, in constant time, and with it every right to fill: who was loading while the
/// shard was flushed has read something older than the flush.
fn replace_all(state: &mut ShardState) -> Replaced {
    Replaced::Records(mem::take(&mut state.records), mem::take(&mut state.leases))
}

fn without_values(op: &EventOp) -> EventOp {
    match op {
        EventOp::Changed(changed) => EventOp::Changed(
            changed
                .iter()
                .map(|changed| ChangedKey {
                    key: changed.key.clone(),
                    record: None,
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Largest value that travels inside an event. Beyond it, a refill by those who still want the value is cheaper
/// than sending it to everyone.
const INLINE_MAX: usize = 1024;
