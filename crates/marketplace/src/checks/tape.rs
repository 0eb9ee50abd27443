//! A recording entry by entry, the way it is told while it is made, so that it outlives the process that makes it.
//!
//! It keeps nothing and carries nothing: where entries go is the listener's business.

use serde::{Deserialize, Serialize};

use super::history::{Answer, Call, History, Operation, Tick};
use crate::{BookingOutcome, StoreTime};

/// One entry of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// An operation begins.
    Began {
        /// Its number, from 0 on, in this recording.
        operation: usize,
        /// What is asked.
        call: Call,
        /// The store's time.
        at: StoreTime,
    },
    /// An operation was answered.
    Ended {
        /// Its number.
        operation: usize,
        /// What came back; never `Uncertain`.
        outcome: BookingOutcome,
        /// The store's time.
        at: StoreTime,
    },
}

/// The history that recordings tell one after the other: whoever made one began when the one before had ended, be it that
/// it was killed. What was not answered by then stays open.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use marketplace::checks::{Entry, Recorder, played};
/// use marketplace::{BookingStore, GpuId, ManualClock, MemoryBookings, PriceVersion, StoreTime};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
/// let tape = Arc::new(Mutex::new(Vec::<Entry>::new()));
/// let told = tape.clone();
/// let recorder = Recorder::new(Arc::new(MemoryBookings::new(clock.clone())), clock)
///     .telling(move |entry| told.lock().expect("no entry panics").push(entry.clone()));
/// recorder.reprice(&GpuId::new("gpu-1")?, PriceVersion(1)).await?;
/// let tape = tape.lock().expect("no entry panics").clone();
/// assert_eq!(played([tape]), recorder.history());
/// # Ok(()) }
/// ```
///
/// # Panics
/// When an entry answers an operation that its recording did not begin.
pub fn played(recordings: impl IntoIterator<Item = Vec<Entry>>) -> History {
    let mut history = History::new();
    let mut tick: Tick = 0;
    for recording in recordings {
        let first = history.len();
        for entry in recording {
            match entry {
                Entry::Began { call, at, .. } => history.push(Operation {
                    call,
                    began: tick,
                    earliest: at,
                    answer: None,
                }),
                Entry::Ended {
                    operation,
                    outcome,
                    at,
                } => {
                    history[first + operation].answer = Some(Answer {
                        outcome,
                        ended: tick,
                        latest: at,
                    });
                }
            }
            tick += 1;
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::linearizable;
    use crate::{
        BookingId, CancelRequest, Currency, Fence, GpuId, HoldRequest, IdempotencyKey, Interval, Money,
        PriceVersion, Quote, UserId,
    };

    fn hold(user: &str, key: &str) -> Call {
        Call::Hold(HoldRequest {
            user: UserId::new(user).unwrap(),
            key: IdempotencyKey::new(key).unwrap(),
            gpu: GpuId::new("gpu-1").unwrap(),
            interval: Interval::new(StoreTime::from_millis(0), StoreTime::from_millis(10)).unwrap(),
            quote: Quote {
                price_per_hour: Money::from_micros(1, Currency::USD),
                version: PriceVersion::FIRST,
            },
            ttl: std::time::Duration::from_secs(1),
        })
    }

    fn began(operation: usize, call: Call) -> Entry {
        let at = StoreTime::from_millis(0);
        Entry::Began { operation, call, at }
    }

    fn ended(operation: usize, outcome: BookingOutcome) -> Entry {
        let at = StoreTime::from_millis(0);
        Entry::Ended {
            operation,
            outcome,
            at,
        }
    }

    fn won(id: &str, fence: u64) -> BookingOutcome {
        BookingOutcome::Won {
            id: BookingId::new(id).unwrap(),
            fence: Fence(fence),
        }
    }

    #[test]
    fn what_was_under_way_when_a_process_ended_may_have_been_decided_or_not() {
        let cut_off = vec![began(0, hold("ada", "k"))];
        let not_decided = vec![began(0, hold("bob", "k")), ended(0, won("b-1", 1))];
        assert_eq!(linearizable(&played([cut_off.clone(), not_decided])), Ok(()));
        let conflict = BookingOutcome::Conflict {
            with: BookingId::new("b-1").unwrap(),
            next_free: StoreTime::from_millis(10),
        };
        let decided = vec![began(0, hold("bob", "k")), ended(0, conflict.clone())];
        assert_eq!(linearizable(&played([cut_off, decided.clone()])), Ok(()));
        assert!(
            linearizable(&played([vec![], decided])).is_err(),
            "nobody had asked for it before"
        );
    }

    #[test]
    fn an_answer_that_the_next_process_does_not_find_is_a_lost_booking() {
        let answered = vec![began(0, hold("ada", "k")), ended(0, won("b-1", 1))];
        let granted_again = vec![began(0, hold("bob", "k")), ended(0, won("b-2", 2))];
        assert!(linearizable(&played([answered.clone(), granted_again])).is_err());
        let cancel = CancelRequest {
            user: UserId::new("ada").unwrap(),
            key: IdempotencyKey::new("cancel").unwrap(),
            id: BookingId::new("b-1").unwrap(),
            fence: Fence(1),
        };
        let gone = vec![began(0, Call::Cancel(cancel)), ended(0, BookingOutcome::Gone)];
        assert!(linearizable(&played([answered, gone])).is_err());
    }
}
