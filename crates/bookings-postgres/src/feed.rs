//! The outbox as a change log: dense cursors over what was committed, and forgetting what is old.
//!
//! It numbers when it is read, not when a booking is decided: a counter that every booking raised in its transaction
//! would let one transaction at a time wait for the disk, on all GPUs together.

use deadpool_postgres::Transaction;
use marketplace::{Change, Changes, Completeness, Cursor, KEY_RETENTION, StoreTime};

use crate::fault::Fault;

/// How long the change log reaches back. A reader further behind is told that it lagged.
const LOG_RETENTION_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many rows are numbered or forgotten in one transaction, so that it stays short.
const AT_ONCE: i64 = 10_000;

/// Gives cursors to the committed changes that have none, in the order of their sequence, which for one GPU is the order
/// they were decided in: the next one's number is drawn only after the first was committed.
pub(crate) async fn number(transaction: &Transaction<'_>) -> Result<(), Fault> {
    let waiting = transaction
        .prepare_cached("select exists (select 1 from changes where cursor is null)")
        .await?;
    if !transaction
        .query_one(&waiting, &[])
        .await?
        .try_get::<_, bool>(0)?
    {
        return Ok(());
    }
    // One numbers at a time; the next statement sees what the one before committed.
    let head = transaction
        .prepare_cached("select appended from feed for update")
        .await?;
    let head: i64 = transaction.query_one(&head, &[]).await?.try_get(0)?;
    let assign = transaction
        .prepare_cached(
            "with waiting as (
                 select seq, row_number() over (order by seq) as nth from (
                     select seq from changes where cursor is null order by seq limit $2
                 ) as oldest
             )
             update changes set cursor = $1 + waiting.nth from waiting where changes.seq = waiting.seq",
        )
        .await?;
    let numbered = transaction.execute(&assign, &[&head, &AT_ONCE]).await?;
    let advance = transaction
        .prepare_cached("update feed set appended = $1")
        .await?;
    let head = head.saturating_add_unsigned(numbered);
    transaction.execute(&advance, &[&head]).await?;
    Ok(())
}

/// Changes after `cursor` that have been numbered.
pub(crate) async fn changes(
    transaction: &Transaction<'_>,
    cursor: Cursor,
    limit: usize,
) -> Result<Changes, Fault> {
    let after = i64::try_from(cursor.0).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = transaction
        .prepare_cached("select cursor, at, change from changes where cursor > $1 order by cursor limit $2")
        .await?;
    let mut rows = Vec::new();
    for row in transaction.query(&query, &[&after, &limit]).await? {
        let number: i64 = row.try_get(0)?;
        let (kind, booking) = serde_json::from_str(row.try_get(2)?)
            .map_err(|error| Fault::Unreadable(format!("change {number} cannot be read: {error}")))?;
        rows.push(Change {
            cursor: Cursor(number.cast_unsigned()),
            at: StoreTime::from_millis(row.try_get(1)?),
            kind,
            booking,
        });
    }
    let dropped = transaction.prepare_cached("select dropped from feed").await?;
    let dropped: i64 = transaction.query_one(&dropped, &[]).await?.try_get(0)?;
    Ok(Changes {
        next: rows.last().map_or(cursor, |row| row.cursor),
        rows,
        completeness: if after < dropped {
            Completeness::Lagged
        } else {
            Completeness::Complete
        },
    })
}

/// Forgets keys and changes that are old.
pub(crate) async fn forget(transaction: &Transaction<'_>, now: StoreTime) -> Result<(), Fault> {
    let retention = i64::try_from(KEY_RETENTION.as_millis()).unwrap_or(i64::MAX);
    let keys = transaction
        .prepare_cached(
            "delete from keys where (holder, key) in (
                 select holder, key from keys where decided <= $1 order by decided limit $2 for update skip locked)",
        )
        .await?;
    transaction
        .execute(&keys, &[&now.as_millis().saturating_sub(retention), &AT_ONCE])
        .await?;
    // From the oldest cursor up to the first change that is young enough: what is left stays dense, although the clocks of
    // decisions about different GPUs may run a little apart.
    let changes = transaction
        .prepare_cached(
            "with gone as (delete from changes where cursor in (
                 select cursor from changes where cursor < coalesce(
                     (select min(cursor) from changes where cursor is not null and at > $1),
                     (select appended + 1 from feed))
                 order by cursor limit $2)
                 returning cursor)
             update feed set dropped = greatest(dropped, (select max(cursor) from gone))
             where exists (select 1 from gone)",
        )
        .await?;
    let oldest = now.as_millis().saturating_sub(LOG_RETENTION_MILLIS);
    transaction.execute(&changes, &[&oldest, &AT_ONCE]).await?;
    Ok(())
}
