//! The promises of the booking store and the market, checked over what a whole run left behind.
//!
//! Each check is the marketplace's; here they are gathered, and double bookings counted.

use std::collections::HashMap;

use marketplace::checks::{
    History, Violation, cursors_are_dense, fences_increase, linearizable, no_overlap, one_outcome_per_key,
    states_add_up,
};
use marketplace::shelf::StateCounts;
use marketplace::{BookingLedger, Change, Completeness, Cursor, GpuId};

use super::report::Check;

/// Changes read at once.
const ROWS: usize = 10_000;

/// The whole log, and whether it reaches back to its start.
pub async fn whole_log(ledger: &dyn BookingLedger) -> Result<(Vec<Change>, Completeness), String> {
    let (mut log, mut cursor, mut completeness) = (Vec::new(), Cursor::START, Completeness::Complete);
    loop {
        let changes = ledger
            .changes_since(cursor, ROWS)
            .await
            .map_err(|error| error.to_string())?;
        if changes.rows.is_empty() {
            return Ok((log, completeness));
        }
        if changes.completeness == Completeness::Lagged {
            completeness = Completeness::Lagged;
        }
        cursor = changes.next;
        log.extend(changes.rows);
    }
}

/// GPUs that were granted to two at a time.
#[must_use]
pub fn doubles(log: &[Change]) -> u64 {
    let mut by_gpu: HashMap<&GpuId, Vec<Change>> = HashMap::new();
    for change in log {
        by_gpu
            .entry(&change.booking.gpu)
            .or_default()
            .push(change.clone());
    }
    by_gpu
        .values()
        .filter(|changes| no_overlap(changes).is_err())
        .map(|_| 1)
        .sum()
}

/// All other promises.
#[must_use]
pub fn promises(log: &[Change], history: &History, listed: u64, counted: Option<StateCounts>) -> Vec<Check> {
    let counted = match counted {
        Some(states) => states_add_up(listed, states),
        None => Err(Violation {
            check: "states add up",
            evidence: "no statistics could be read".to_owned(),
        }),
    };
    let over_log = |promise, found: Result<(), Violation>| match (log, &found) {
        // Without a single decision there was nothing to keep a promise about.
        ([], Ok(())) => Check::unmeasured(promise),
        _ => check(promise, found),
    };
    vec![
        over_log("fences increase", fences_increase(log)),
        over_log("the change log has no gaps", cursors_are_dense(log)),
        over_log("one outcome per idempotency key", one_outcome_per_key(history)),
        over_log("bookings are linearizable per GPU", linearizable(history)),
        check("GPU states add up to the inventory", counted),
    ]
}

fn check(promise: &'static str, found: Result<(), Violation>) -> Check {
    let kept = Check::that(promise, found.is_ok());
    kept.because(
        found
            .err()
            .map(|violation| violation.evidence)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use marketplace::{
        Booking, BookingId, BookingState, ChangeKind, Currency, Fence, Interval, Money, PriceVersion, Quote,
        StoreTime, UserId,
    };

    use super::super::report::CheckVerdict;
    use super::*;

    fn held(cursor: u64, gpu: &str, fence: u64, from: i64, to: i64) -> Change {
        let at = StoreTime::from_millis;
        let price = Money::from_micros(1, Currency::USD);
        let booking = Booking {
            id: BookingId::new(format!("b-{cursor}")).unwrap(),
            gpu: GpuId::new(gpu).unwrap(),
            user: UserId::new("u").unwrap(),
            interval: Interval::new(at(from), at(to)).unwrap(),
            state: BookingState::Confirmed,
            quote: Quote {
                price_per_hour: price,
                version: PriceVersion::FIRST,
            },
            total_cost: price,
            created: at(0),
            fence: Fence(fence),
        };
        Change {
            cursor: Cursor(cursor),
            at: at(0),
            kind: ChangeKind::Held,
            booking,
        }
    }

    #[test]
    fn a_fabricated_double_booking_is_counted_once_for_its_gpu() {
        let fair = [
            held(1, "a", 1, 0, 10),
            held(2, "a", 2, 10, 20),
            held(3, "b", 1, 0, 10),
        ];
        assert_eq!(doubles(&fair), 0);
        let twice = [&fair[..], &[held(4, "a", 3, 19, 30), held(5, "a", 4, 5, 6)]].concat();
        assert_eq!(doubles(&twice), 1);
    }

    #[test]
    fn a_run_without_a_decision_kept_no_promise_about_decisions() {
        let verdicts = promises(&[], &Vec::new(), 0, Some(StateCounts::default()));
        let verdicts: Vec<CheckVerdict> = verdicts.iter().map(|check| check.kept).collect();
        assert_eq!(verdicts[..4], [CheckVerdict::Unmeasured; 4]);
        assert_eq!(verdicts[4], CheckVerdict::Kept);
    }

    #[test]
    fn a_log_with_a_gap_and_statistics_that_lost_a_gpu_break_their_promises() {
        let log = [held(1, "a", 1, 0, 10), held(3, "b", 1, 0, 10)];
        let counted = StateCounts {
            available: 1,
            ..StateCounts::default()
        };
        let broken: Vec<_> = promises(&log, &Vec::new(), 2, Some(counted))
            .into_iter()
            .filter(|check| check.kept == CheckVerdict::Broken)
            .map(|check| check.promise)
            .collect();
        assert_eq!(
            broken,
            ["the change log has no gaps", "GPU states add up to the inventory"]
        );
    }
}
