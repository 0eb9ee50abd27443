//! What was answered under which idempotency key.
//!
//! It does not decide: it runs a decision at most once per key and repeats its outcome.

use std::collections::VecDeque;
use std::sync::Mutex;

use dashmap::{DashMap, Entry};

use super::locked;
use crate::bookings::KEY_RETENTION;
use crate::{BookingOutcome, BookingStoreError, IdempotencyKey, RequestHash, StoreClock, StoreTime, UserId};

type Key = (UserId, IdempotencyKey);

#[derive(Default)]
pub(super) struct Keys {
    records: DashMap<Key, Record>,
    /// Keys by when they were decided, so that forgetting costs what it forgets.
    by_age: Mutex<VecDeque<(StoreTime, Key)>>,
}

struct Record {
    hash: RequestHash,
    outcome: BookingOutcome,
    decided: StoreTime,
}

impl Record {
    fn is_old(&self, now: StoreTime) -> bool {
        self.decided.plus(KEY_RETENTION) <= now
    }
}

impl Keys {
    /// The outcome stored under the key, or that of `decide`, which is then stored. The key stays locked while
    /// `decide` runs: a retry that overtakes its first attempt waits for it. A failed decision stores nothing.
    pub(super) fn once(
        &self,
        user: &UserId,
        key: &IdempotencyKey,
        hash: RequestHash,
        clock: &dyn StoreClock,
        decide: impl FnOnce() -> Result<BookingOutcome, BookingStoreError>,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let key = (user.clone(), key.clone());
        let entry = self.records.entry(key.clone());
        if let Entry::Occupied(record) = &entry {
            let record = record.get();
            if !record.is_old(clock.now()) {
                return Ok(if record.hash == hash {
                    BookingOutcome::Replay(Box::new(record.outcome.clone()))
                } else {
                    BookingOutcome::IdempotencyMismatch
                });
            }
        }
        let outcome = decide()?;
        let decided = clock.now();
        locked(&self.by_age).push_back((decided, key));
        drop(entry.insert(Record {
            hash,
            outcome: outcome.clone(),
            decided,
        }));
        Ok(outcome)
    }

    pub(super) fn forget_before(&self, now: StoreTime) {
        let due = |(decided, _): &mut (StoreTime, Key)| decided.plus(KEY_RETENTION) <= now;
        loop {
            let Some((_, key)) = locked(&self.by_age).pop_front_if(due) else {
                return;
            };
            self.records.remove_if(&key, |_, record| record.is_old(now));
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.records.len()
    }
}
