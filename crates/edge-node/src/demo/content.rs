//! The second judge: whether each status that was shown had been true at all, by the ledger's own log.
//!
//! It knows no versions and trusts no part of the cache: what GPUs were taken when is the booking store's word alone.
//!
//! A status may be shown while it is true, and for the bound after its end was told to the cache. A change that was
//! never told, because the shared store could not be reached, ends nothing here: it is bounded by TTL, not by the
//! protocol.

use std::collections::HashMap;
use std::time::Duration;

use cache_core::Moment;
use marketplace::{BookingId, Change, ChangeKind, GpuId, GpuStatus};

use super::clock::MarketClock;

/// A status that a node showed.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Of which GPU.
    pub gpu: GpuId,
    /// What was shown.
    pub status: GpuStatus,
    /// When the read began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
}

/// When the effects of a booking and of its end were known to stand in the shared store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Of the booking.
    pub taken: Option<Moment>,
    /// Of its end.
    pub freed: Option<Moment>,
}

/// What came of comparing the sightings with the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Sightings compared.
    pub checked: u64,
    /// Those that had not been true within the bound.
    pub violations: u64,
}

/// Compares `sightings` with the log, read from its start.
#[must_use]
pub fn compare(
    changes: &[Change],
    told: &HashMap<BookingId, Told>,
    sightings: &[Sighting],
    clock: &MarketClock,
    bound: Duration,
) -> Compared {
    let histories = histories(changes, told, clock);
    let untouched = [Stretch {
        status: GpuStatus::Available,
        from: Moment::NEVER,
        until: Moment::FOREVER,
    }];
    let was_true = |sighting: &&Sighting| {
        let history = histories.get(&sighting.gpu).map_or(&untouched[..], Vec::as_slice);
        history.iter().any(|stretch| {
            stretch.status == sighting.status
                && stretch.from <= sighting.ended
                && stretch.until + bound >= sighting.began
        })
    };
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let good = sightings.iter().filter(was_true).count();
    Compared {
        checked: count(sightings.len()),
        violations: count(sightings.len() - good),
    }
}

/// One status of one GPU for as long as it may count as true.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    status: GpuStatus,
    from: Moment,
    /// When its end was told.
    until: Moment,
}

fn histories(
    changes: &[Change],
    told: &HashMap<BookingId, Told>,
    clock: &MarketClock,
) -> HashMap<GpuId, Vec<Stretch>> {
    let mut histories: HashMap<GpuId, Vec<Stretch>> = HashMap::new();
    for change in changes {
        let known = told.get(&change.booking.id).copied().unwrap_or_default();
        let (status, told) = match change.kind {
            ChangeKind::Held => (GpuStatus::Busy, known.taken),
            ChangeKind::Confirmed | ChangeKind::Extended => continue,
            ChangeKind::Cancelled | ChangeKind::Released | ChangeKind::Completed | ChangeKind::Expired => {
                (GpuStatus::Available, known.freed)
            }
        };
        let free = Stretch {
            status: GpuStatus::Available,
            from: Moment::NEVER,
            until: Moment::FOREVER,
        };
        let history = histories
            .entry(change.booking.gpu.clone())
            .or_insert_with(|| vec![free]);
        // Who tells of a change tells of all before it: a page is always read whole.
        for stretch in history.iter_mut().rev() {
            let until = told.unwrap_or(Moment::FOREVER).min(stretch.until);
            if until == stretch.until {
                break;
            }
            stretch.until = until;
        }
        history.push(Stretch {
            status,
            from: clock.moment(change.at),
            until: Moment::FOREVER,
        });
    }
    histories
}

#[cfg(test)]
mod tests;
