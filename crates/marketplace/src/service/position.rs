//! Where in a change log an instant is, found by halving: a log may hold years, and what is wanted is its end.
//!
//! It reads one row at a time, about twice the logarithm of the log's length of them.

use crate::{BookingLedger, BookingLedgerError, Change, Cursor, StoreTime};

/// The cursor from which on every change of `since` or later is read, and few or no earlier ones.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn position_at(
    ledger: &dyn BookingLedger,
    since: StoreTime,
) -> Result<Cursor, BookingLedgerError> {
    let old = async |after: u64| {
        let next = ledger.changes_since(Cursor(after), 1).await?.rows.pop();
        let old = next.filter(|change: &Change| change.at < since);
        Ok::<_, BookingLedgerError>(old.map(|change| change.cursor.0))
    };
    // Everything up to `low` is old; nothing after `high` is.
    let mut low = Cursor::START.0;
    let mut step = 1;
    while let Some(known) = old(low).await? {
        low = known;
        let far = low.saturating_add(step);
        match old(far).await? {
            Some(known) => low = known,
            None => {
                let mut high = far;
                while low < high {
                    let middle = low + (high - low) / 2;
                    match old(middle).await? {
                        Some(known) => low = known,
                        None => high = middle,
                    }
                }
                break;
            }
        }
        step *= 2;
    }
    Ok(Cursor(low))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::{
        Booking, BookingId, BookingStore as _, Changes, Currency, GpuId, HoldRequest, IdempotencyKey,
        Interval, ManualClock, MemoryBookings, Money, Occupancy, PriceVersion, Quote, UserId,
    };

    /// Counts the rows that are read.
    struct Counted(MemoryBookings, AtomicUsize);

    #[async_trait]
    impl BookingLedger for Counted {
        async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
            self.0.booking(id).await
        }

        async fn occupied(
            &self,
            gpus: &[GpuId],
            at: StoreTime,
        ) -> Result<Vec<Occupancy>, BookingLedgerError> {
            self.0.occupied(gpus, at).await
        }

        async fn free(
            &self,
            gpus: &[GpuId],
            window: Interval,
        ) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
            self.0.free(gpus, window).await
        }

        async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
            let changes = self.0.changes_since(cursor, limit).await?;
            self.1.fetch_add(changes.rows.len(), Ordering::Relaxed);
            Ok(changes)
        }
    }

    /// A log of one change a millisecond, the first at 1, of which only the last `rows` are kept.
    async fn log(changes: i64, rows: usize) -> Counted {
        let at = StoreTime::from_millis;
        let clock = Arc::new(ManualClock::at(at(0)));
        let store = MemoryBookings::with_log_rows(clock.clone(), rows);
        for number in 1..=changes {
            clock.advance(Duration::from_millis(1));
            let request = HoldRequest {
                user: UserId::new("ada").unwrap(),
                key: IdempotencyKey::new(number.to_string()).unwrap(),
                gpu: GpuId::new("gpu-1").unwrap(),
                interval: Interval::new(at(number * 1_000_000), at(number * 1_000_000 + 1)).unwrap(),
                quote: Quote {
                    price_per_hour: Money::from_micros(1, Currency::USD),
                    version: PriceVersion::FIRST,
                },
                ttl: Duration::from_secs(3_600),
            };
            store.hold(request).await.unwrap();
        }
        Counted(store, AtomicUsize::new(0))
    }

    async fn found(ledger: &Counted, since: i64) -> u64 {
        position_at(ledger, StoreTime::from_millis(since))
            .await
            .unwrap()
            .0
    }

    #[tokio::test]
    async fn every_instant_of_a_log_is_found_right_before_its_first_change() {
        for changes in [0, 1, 2, 3, 8, 13] {
            let ledger = log(changes, usize::MAX).await;
            for since in -1..changes + 3 {
                let before = (since - 1).clamp(0, changes);
                assert_eq!(found(&ledger, since).await, before as u64, "{since} of {changes}");
            }
        }
    }

    #[tokio::test]
    async fn a_log_that_has_lost_its_beginning_is_read_from_what_is_left() {
        let ledger = log(100, 10).await;
        assert_eq!(found(&ledger, 97).await, 96);
        assert_eq!(found(&ledger, 101).await, 100);
        assert!(found(&ledger, 5).await <= 90, "everything that is left is read");
    }

    #[tokio::test]
    async fn the_end_of_a_long_log_is_found_by_reading_a_few_rows() {
        let ledger = log(5_000, usize::MAX).await;
        assert_eq!(found(&ledger, 4_990).await, 4_989);
        let read = ledger.1.load(Ordering::Relaxed);
        assert!(read < 40, "{read} rows");
    }
}
