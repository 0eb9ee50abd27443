//! Filling a key from its source: one node at a time, and never over something newer.
//!
//! A fill is not a write: it takes no number and tells nobody.

use std::time::Duration;

use cache_core::{
    CacheKey, FillBegun, FillCommitted, FillToken, Lineage, NewRecord, Record, Seq, ServerTime,
};

use super::head_in;
use crate::state::{Lease, ShardState};

/// Gives the right to fill a key, unless there is a live record newer than `newer_than` or somebody else has it.
pub(crate) fn begin_fill(
    state: &mut ShardState,
    key: &CacheKey,
    newer_than: Seq,
    lineage: Lineage,
    token: FillToken,
    lease: Duration,
    now: ServerTime,
) -> Option<FillBegun> {
    let head = head_in(state, lineage)?;
    if let Some(record) = state.live(key, now).filter(|record| record.version > newer_than) {
        return Some(FillBegun::Found(record.clone()));
    }
    if let Some(held) = state.leases.find(key, now) {
        return Some(FillBegun::Wait(held.until.since(now)));
    }
    state.sweep(now, 1);
    let granted = Lease {
        token,
        until: now + lease,
        since: head.seq,
    };
    state.leases.insert(key.clone(), granted);
    Some(FillBegun::Lease)
}

/// Stores a filled record, or gives the lease back, while the token is still there.
pub(crate) fn commit_fill(
    state: &mut ShardState,
    key: &CacheKey,
    lineage: Lineage,
    token: FillToken,
    record: Option<&NewRecord>,
    now: ServerTime,
) -> Option<FillCommitted> {
    let head = head_in(state, lineage)?;
    if state
        .leases
        .find(key, now)
        .is_none_or(|lease| lease.token != token)
    {
        return Some(FillCommitted::Rejected);
    }
    state.leases.remove(key);
    let Some(new) = record else {
        return Some(FillCommitted::Released);
    };
    state.sweep(now, 1);
    let record = Record {
        version: head.seq,
        expires: now + new.ttl,
        body: new.body.clone(),
    };
    state.records.insert(key.clone(), record.clone());
    Some(FillCommitted::Stored(record))
}
