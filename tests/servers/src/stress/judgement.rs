//! The judgement over a recording and the store that it was made of.
//!
//! It repeats nothing and mends nothing.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream;
use marketplace::checks::{
    History, cursors_are_dense, fences_increase, linearizable, no_overlap, one_outcome_per_key,
};
use marketplace::{
    Booking, BookingId, BookingOutcome, Change, Completeness, Cursor, StoreClock, SystemOfRecord,
};

use super::Judged;

/// Judges what was recorded, the log, and the bookings as they stand.
pub(super) async fn judge(history: &History, store: &dyn SystemOfRecord, clock: &dyn StoreClock) -> Judged {
    let changes = whole_log(store).await;
    for check in [
        linearizable(history),
        one_outcome_per_key(history),
        no_overlap(&changes),
        fences_increase(&changes),
        cursors_are_dense(&changes),
    ] {
        check.unwrap_or_else(|violation| panic!("{violation}"));
    }
    let last: HashMap<&BookingId, &Booking> = changes
        .iter()
        .map(|change| (&change.booking.id, &change.booking))
        .collect();
    for operation in history {
        let outcome = operation.outcome();
        let one = outcome.and_then(BookingOutcome::won).map(|(id, _)| id);
        let several = outcome.map_or(&[][..], BookingOutcome::granted);
        for id in one.iter().chain(several.iter().map(|granted| &granted.id)) {
            assert!(last.contains_key(id), "{id} was won and is not in the log");
        }
    }
    stands_as_logged(last.into_values(), store, clock).await;
    Judged {
        requests: history.len(),
        unanswered: history
            .iter()
            .filter(|operation| operation.answer.is_none())
            .count(),
        changes: changes.len(),
        failed: 0,
        kills: 0,
    }
}

/// Checks that the log and the bookings tell the same; a store may have forgotten what was over long ago.
async fn stands_as_logged(
    logged: impl Iterator<Item = &Booking>,
    store: &dyn SystemOfRecord,
    clock: &dyn StoreClock,
) {
    const AT_ONCE: usize = 8;
    let now = clock.now();
    let asked = stream::iter(logged).map(|logged| async move { (logged, store.booking(&logged.id).await) });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some((logged, stored)) = answers.next().await {
        let stored = stored.expect("the ledger answers");
        let expected = Booking {
            state: logged.state_at(now),
            ..logged.clone()
        };
        assert_eq!(
            stored,
            Some(expected),
            "the log and the bookings tell the same of {}",
            logged.id
        );
    }
}

async fn whole_log(store: &dyn SystemOfRecord) -> Vec<Change> {
    let (mut log, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let changes = store
            .changes_since(cursor, 10_000)
            .await
            .expect("the ledger answers");
        assert_eq!(
            changes.completeness,
            Completeness::Complete,
            "the store keeps the log of a whole run"
        );
        if changes.rows.is_empty() {
            return log;
        }
        cursor = changes.next;
        log.extend(changes.rows);
    }
}
