//! What the file says: one booking, who has these GPUs, what changed since.
//!
//! It writes nothing, not even that a hold has lapsed.

use std::sync::LazyLock;

use marketplace::bookings::{free_times, occupancies};
use marketplace::{Change, Changes, Completeness, Cursor, GpuId, Interval, Occupancy, StoreTime};
use rusqlite::{Connection, params};

use crate::decision::{self, STANDING, standing_within};
use crate::fault::Fault;
use crate::rows::{self, COLUMNS};

/// Who has each of `gpus` at `at`: one statement for all of them, since a page of the market asks for dozens at once.
pub(crate) fn occupied(db: &Connection, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, Fault> {
    let found = rows::bookings(db, &NEAR, params![decision::json(&gpus)?, at.as_millis()])?;
    Ok(occupancies(gpus, found, at))
}

/// Of each GPU the last that starts no later, and the first after it that has not lapsed by then.
static NEAR: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.replace(", ", ", near.");
    let standing = format!("select id from bookings where gpu = asked.value and {STANDING}");
    format!(
        "select near.{columns} from json_each(?1) as asked join bookings as near
             on near.id = ({standing} and starts <= ?2 order by starts desc limit 1)
         union all
         select near.{columns} from json_each(?1) as asked join bookings as near
             on near.id = ({standing} and starts > ?2 and (state <> 'held' or until > ?2) order by starts limit 1)"
    )
});

/// When each of `gpus` is free within `window`.
pub(crate) fn free(
    db: &Connection,
    gpus: &[GpuId],
    window: &Interval,
    now: StoreTime,
) -> Result<Vec<Vec<Interval>>, Fault> {
    let mut found = Vec::new();
    for gpu in gpus {
        found.extend(standing_within(db, gpu, window.start(), window.end())?);
    }
    Ok(free_times(gpus, found, window, now))
}

/// Changes after `cursor`.
pub(crate) fn changes(db: &Connection, cursor: Cursor, limit: usize) -> Result<Changes, Fault> {
    let after = i64::try_from(cursor.0).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "select cursor, at, change from changes where cursor > ?1 order by cursor limit ?2",
    )?;
    let mut found = statement.query(params![after, limit])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let (number, change): (i64, String) = (row.get(0)?, row.get(2)?);
        let (kind, booking) = serde_json::from_str(&change)
            .map_err(|error| Fault::unreadable(format!("change {number} cannot be read: {error}")))?;
        rows.push(Change {
            cursor: Cursor(number.cast_unsigned()),
            at: StoreTime::from_millis(row.get(1)?),
            kind,
            booking,
        });
    }
    let first: i64 = db
        .prepare_cached(
            "select coalesce((select min(cursor) from changes), (select appended + 1 from feed))",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(Changes {
        next: rows.last().map_or(cursor, |row| row.cursor),
        rows,
        completeness: if after.saturating_add(1) < first {
            Completeness::Lagged
        } else {
            Completeness::Complete
        },
    })
}
