//! Whether a store's change log tells of a market in order.
//!
//! It takes the log from its start; a stretch from the middle knows nothing of the bookings before it.

use std::collections::HashMap;

use super::Violation;
use crate::{Booking, BookingId, Change, ChangeKind, Cursor, Fence, GpuId};

/// Checks that at no point of the log two bookings take one GPU at the same time.
///
/// # Errors
/// At the first change after which two do.
///
/// ```
/// assert!(marketplace::checks::no_overlap(&[]).is_ok());
/// ```
pub fn no_overlap(changes: &[Change]) -> Result<(), Violation> {
    let mut standing: HashMap<&GpuId, HashMap<&BookingId, &Booking>> = HashMap::new();
    for change in changes {
        let booking = &change.booking;
        let others = standing.entry(&booking.gpu).or_default();
        others.remove(&booking.id);
        if !booking.state.takes_its_interval() {
            continue;
        }
        let overlapping = others
            .values()
            .find(|other| other.interval.overlaps(&booking.interval));
        if let Some(other) = overlapping {
            let (one, two) = (&booking.interval, &other.interval);
            let evidence = format!(
                "change {}: {} takes {} for {one} while {} has it for {two}",
                change.cursor.0, booking.id, booking.gpu, other.id
            );
            return Err(Violation {
                check: "no overlap",
                evidence,
            });
        }
        others.insert(&booking.id, booking);
    }
    Ok(())
}

/// Checks that every grant of a GPU has a higher fence than those before it, and keeps it.
///
/// # Errors
/// At the first change whose fence is not so.
///
/// ```
/// assert!(marketplace::checks::fences_increase(&[]).is_ok());
/// ```
pub fn fences_increase(changes: &[Change]) -> Result<(), Violation> {
    let mut highest: HashMap<&GpuId, Fence> = HashMap::new();
    let mut granted: HashMap<&BookingId, Fence> = HashMap::new();
    for change in changes {
        let booking = &change.booking;
        let in_order = if change.kind == ChangeKind::Held {
            let before = highest.insert(&booking.gpu, booking.fence);
            granted.insert(&booking.id, booking.fence);
            before.is_none_or(|before| before < booking.fence)
        } else {
            granted.get(&booking.id) == Some(&booking.fence)
        };
        if !in_order {
            let evidence = format!(
                "change {}: {} has fence {}",
                change.cursor.0, booking.id, booking.fence
            );
            return Err(Violation {
                check: "fences increase",
                evidence,
            });
        }
    }
    Ok(())
}

/// Checks that the log's cursors are 1, 2, 3 and so on.
///
/// # Errors
/// At the first that is not.
///
/// ```
/// assert!(marketplace::checks::cursors_are_dense(&[]).is_ok());
/// ```
pub fn cursors_are_dense(changes: &[Change]) -> Result<(), Violation> {
    let gap = changes
        .iter()
        .zip(1..)
        .find(|(change, expected)| change.cursor != Cursor(*expected));
    gap.map_or(Ok(()), |(change, expected)| {
        let evidence = format!("cursor {} stands where {expected} should", change.cursor.0);
        Err(Violation {
            check: "cursors are dense",
            evidence,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BookingState, Currency, Interval, Money, PriceVersion, Quote, StoreTime, UserId};

    fn change(cursor: u64, id: &str, kind: ChangeKind, fence: u64, (start, end): (i64, i64)) -> Change {
        let at = StoreTime::from_millis;
        let price = Money::from_micros(1, Currency::USD);
        let state = match kind {
            ChangeKind::Held => BookingState::Held { until: at(end) },
            ChangeKind::Confirmed | ChangeKind::Extended => BookingState::Confirmed,
            ChangeKind::Cancelled => BookingState::Cancelled,
            ChangeKind::Released | ChangeKind::Completed => BookingState::Done,
            ChangeKind::Expired => BookingState::Expired,
        };
        let booking = Booking {
            id: BookingId::new(id).unwrap(),
            gpu: GpuId::new("g").unwrap(),
            user: UserId::new("u").unwrap(),
            interval: Interval::new(at(start), at(end)).unwrap(),
            state,
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
            kind,
            booking,
        }
    }

    #[test]
    fn a_log_in_order_passes_every_check() {
        let log = [
            change(1, "a", ChangeKind::Held, 1, (0, 10)),
            change(2, "b", ChangeKind::Held, 2, (10, 20)),
            change(3, "a", ChangeKind::Cancelled, 1, (0, 10)),
            change(4, "c", ChangeKind::Held, 3, (0, 10)),
            change(5, "c", ChangeKind::Confirmed, 3, (0, 10)),
        ];
        assert_eq!(no_overlap(&log), Ok(()));
        assert_eq!(fences_increase(&log), Ok(()));
        assert_eq!(cursors_are_dense(&log), Ok(()));
    }

    #[test]
    fn a_log_that_grants_one_millisecond_twice_is_found() {
        let log = [
            change(1, "a", ChangeKind::Held, 1, (0, 10)),
            change(2, "b", ChangeKind::Held, 2, (9, 20)),
        ];
        assert!(
            no_overlap(&log)
                .unwrap_err()
                .evidence
                .contains("b takes g for [9, 20) while a has it")
        );
    }

    #[test]
    fn a_log_that_repeats_or_changes_a_fence_is_found() {
        let repeated = [
            change(1, "a", ChangeKind::Held, 1, (0, 9)),
            change(2, "b", ChangeKind::Held, 1, (9, 20)),
        ];
        assert!(fences_increase(&repeated).is_err());
        let changed = [
            change(1, "a", ChangeKind::Held, 1, (0, 9)),
            change(2, "a", ChangeKind::Confirmed, 2, (0, 9)),
        ];
        assert!(fences_increase(&changed).is_err());
    }

    #[test]
    fn a_log_with_a_gap_is_found() {
        let log = [
            change(1, "a", ChangeKind::Held, 1, (0, 9)),
            change(3, "b", ChangeKind::Held, 2, (9, 20)),
        ];
        assert_eq!(
            cursors_are_dense(&log).unwrap_err().evidence,
            "cursor 3 stands where 2 should"
        );
    }
}
