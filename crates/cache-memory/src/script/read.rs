//! Reading: records with the head they are current as of, at the primary or some steps behind it, and the log.
//!
//! Nothing here changes a shard, so that a read can be answered by any copy; but that lost barriers are made anew by who
//! misses them, at the copy that takes writes.

use std::sync::Arc;

use cache_core::{BarrierKind, CacheKey, Head, LogEntry, Record, Seq, ServerTime};

use crate::state::{Replaced, ShardState};

/// The live records of some keys; `None` without a head.
pub(crate) fn read(state: &ShardState, keys: &[CacheKey], now: ServerTime) -> Option<Vec<Option<Record>>> {
    state.head?;
    Some(keys.iter().map(|key| state.live(key, now).cloned()).collect())
}

/// When these barriers were raised, or may have been at most; `None` without a head.
pub(crate) fn read_barriers(state: &mut ShardState, keys: &[CacheKey]) -> Option<Vec<Option<Record>>> {
    let floor = state.head?.floor;
    let raised = |key: &CacheKey| state.barriers(BarrierKind::of(key)).raised_at(key).max(floor);
    let records = keys.iter().map(raised).map(|version| {
        (version > Seq::ZERO).then(|| Record {
            version,
            expires: ServerTime(u64::MAX),
            body: Arc::default(),
        })
    });
    Some(records.collect())
}

/// The same as it was `steps` events ago, with the head of that time. As far back as steps are known.
pub(crate) fn read_behind(
    state: &ShardState,
    keys: &[CacheKey],
    steps: usize,
    now: ServerTime,
) -> (Option<Head>, Option<Vec<Option<Record>>>) {
    let first = state.steps.len() - steps.min(state.steps.len());
    let Some(undone) = state.steps.get(first) else {
        return (state.head, read(state, keys, now));
    };
    let Some(head) = undone.head else {
        return (None, None);
    };
    let records = keys
        .iter()
        .map(|key| {
            behind(state, key, first)
                .filter(|record| {
                    record.expires > now && record.version > head.floor && record.version <= head.seq
                })
                .cloned()
        })
        .collect();
    (Some(head), Some(records))
}

/// What a key was before the step at `first`: what the first of the steps from there replaced, if any did.
fn behind<'a>(state: &'a ShardState, key: &CacheKey, first: usize) -> Option<&'a Record> {
    for step in state.steps.range(first..) {
        match &step.replaced {
            Replaced::Nothing | Replaced::Barrier(..) => {}
            Replaced::Keys(keys) => {
                if let Some(replaced) = keys.iter().find(|replaced| replaced.key == *key) {
                    return replaced.record.as_ref();
                }
            }
            Replaced::Records(records, _) => return records.find(key, ServerTime::default()),
            Replaced::History(ended) => return ended.records.find(key, ServerTime::default()),
        }
    }
    state.records.find(key, ServerTime::default())
}

/// The log from a number on. When its first entry is later, the log has been trimmed.
pub(crate) fn replay(state: &ShardState, from: Seq) -> Vec<LogEntry> {
    let first = state.log.front().map_or(0, |entry| entry.seq.0);
    let skipped = usize::try_from(from.0.saturating_sub(first)).unwrap_or(usize::MAX);
    state.log.iter().skip(skipped).cloned().collect()
}
