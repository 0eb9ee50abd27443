//! What the file says: one booking, who has these GPUs, what changed since.
//!
//! It writes nothing, not even that a hold has lapsed.

use marketplace::bookings::Timeline;
use marketplace::{
    Change, Changes, Completeness, Cursor, Fence, GpuId, Interval, Occupancy, PriceVersion, StoreTime,
};
use rusqlite::{Connection, params};

use crate::decision::{STANDING, standing_within};
use crate::fault::Fault;
use crate::rows::{self, COLUMNS};

/// Who has `gpu` at `at`.
pub(crate) fn occupancy(db: &Connection, gpu: &GpuId, at: StoreTime) -> Result<Occupancy, Fault> {
    let mut relevant = rows::bookings(
        db,
        &format!(
            "select {COLUMNS} from bookings where gpu = ?1 and {STANDING} and starts <= ?2
             order by starts desc limit 1"
        ),
        params![gpu.as_str(), at.as_millis()],
    )?;
    // Holds that have lapsed by then stand in nobody's way; the first that has not is the next to take the GPU.
    relevant.extend(rows::bookings(
        db,
        &format!(
            "select {COLUMNS} from bookings
             where gpu = ?1 and {STANDING} and starts > ?2 and (state <> 'held' or until > ?2)
             order by starts limit 1"
        ),
        params![gpu.as_str(), at.as_millis()],
    )?);
    let (holder, changes_at) = Timeline::loaded(Fence(0), PriceVersion::FIRST, relevant).at(at);
    Ok(Occupancy {
        gpu: gpu.clone(),
        holder,
        changes_at,
    })
}

/// When `gpu` is free within `window`.
pub(crate) fn free(
    db: &Connection,
    gpu: &GpuId,
    window: &Interval,
    now: StoreTime,
) -> Result<Vec<Interval>, Fault> {
    let standing = standing_within(db, gpu, window.start(), window.end())?;
    Ok(Timeline::loaded(Fence(0), PriceVersion::FIRST, standing).free(window, now))
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
