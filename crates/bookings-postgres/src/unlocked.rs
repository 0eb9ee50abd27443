//! The refusal of a hold whose interval is taken, without a lock on its GPU.
//!
//! It grants nothing: whatever is not surely a conflict is decided under the lock.
//!
//! A request that waits for the lock of a wanted GPU holds it until its own outcome is on the disk, so a crowd that wants
//! one GPU would be refused one disk write at a time. But a conflict changes nothing about the GPU: one statement sees one
//! state of the database, and what is in the way in that state was in the way at an instant within the request.

use deadpool_postgres::Transaction;
use marketplace::bookings::{BookingRequest, Timeline};
use marketplace::{BookingId, BookingOutcome, Fence, HoldRequest, PriceVersion, StoreTime};

use crate::fault::Fault;
use crate::rows::{self, COLUMNS, STANDING};
use crate::time::Time;

/// Whether something stands in the interval of a hold, as far as one look tells.
pub(crate) async fn is_crowded(
    transaction: &Transaction<'_>,
    request: &BookingRequest,
) -> Result<bool, Fault> {
    let BookingRequest::Hold(hold) = request else {
        return Ok(false);
    };
    let look = format!(
        "select exists (select 1 from bookings
         where gpu = $1 and {STANDING} and int8range(starts, ends) && int8range($2, $3))"
    );
    let look = transaction.prepare_cached(&look).await?;
    let (start, end) = (hold.interval.start().as_millis(), hold.interval.end().as_millis());
    let row = transaction
        .query_one(&look, &[&hold.gpu.as_str(), &start, &end])
        .await?;
    Ok(row.try_get(0)?)
}

/// The conflict a hold meets in one state of the database; `None` when it may not meet one.
pub(crate) async fn refusal(
    transaction: &Transaction<'_>,
    time: &Time,
    hold: &HoldRequest,
) -> Result<Option<BookingOutcome>, Fault> {
    // Everything in one statement, which sees one state: what is in the way, what comes later, and the price.
    let query = format!(
        "select {COLUMNS},
             (select price from gpus where gpus.gpu = bookings.gpu) as newest,
             (select decided from gpus where gpus.gpu = bookings.gpu) as decided
         from bookings where gpu = $1 and {STANDING} and int8range(starts, ends) && int8range($2, null)"
    );
    let query = transaction.prepare_cached(&query).await?;
    let found = transaction
        .query(&query, &[&hold.gpu.as_str(), &hold.interval.start().as_millis()])
        .await?;
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let price = PriceVersion(first.try_get::<_, i64>("newest")?.cast_unsigned());
    let decided = StoreTime::from_millis(first.try_get("decided")?);
    let standing = found.iter().map(rows::booking).collect::<Result<Vec<_>, _>>()?;
    // Read after that state was seen: a hold that has not lapsed by now had not lapsed then.
    let now = time.now(transaction).await?.max(decided);
    let unused = BookingId::new("unused").map_err(|error| Fault::Unreadable(error.to_string()))?;
    // A hold that lapsed is passed over here and expired by whoever is granted its time.
    let mut timeline = Timeline::loaded(Fence(0), price, standing);
    let outcome = timeline.hold(hold, unused, now, &mut Vec::new())?;
    Ok(matches!(outcome, BookingOutcome::Conflict { .. }).then_some(outcome))
}
