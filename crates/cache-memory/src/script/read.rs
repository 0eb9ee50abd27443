//! Reading: records with the head they are current as of, at the primary or some steps behind it, and the log.
//!
//! Nothing here changes a shard, so that a read can be answered by any copy.

use cache_core::{CacheKey, Head, LogEntry, Record, Seq, ServerTime};

use crate::state::{Replaced, ShardState};

/// The live records of some keys; `None` without a head.
pub(crate) fn read(state: &ShardState, keys: &[CacheKey], now: ServerTime) -> Option<Vec<Option<Record>>> {
    state.head?;
    Some(keys.iter().map(|key| state.live(key, now).cloned()).collect())
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
            Replaced::Nothing => {}
            Replaced::Keys(keys) => {
                if let Some(replaced) = keys.iter().find(|replaced| replaced.key == *key) {
                    return replaced.record.as_ref();
                }
            }
            Replaced::Records(records, _) | Replaced::History(records, _, _) => {
                return records.find(key, ServerTime::default());
            }
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
