//! The file's layout and the settings every connection to it runs with.
//!
//! It changes no file it does not know: one of another program or another layout is refused with what it is.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::fault::Fault;

/// "bkng": says to tools that the file is ours.
const APPLICATION: i64 = 0x626b_6e67;

/// The layout below; a later one comes with a step from each earlier one.
const LAYOUT: i64 = 1;

/// How long a transaction waits for one of another process. Ours take milliseconds; an hour of waiting would only hide
/// a process that hangs in one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the file for writing and lays it out when it is new.
pub(crate) fn writing(path: &Path) -> Result<Connection, Fault> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(PATIENCE)?;
    let mode: String = db.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::unreadable(format!(
            "{} is in journal mode {mode} and cannot be put into wal: it must be a file on a local disk",
            path.display()
        )));
    }
    // With FULL, a commit is on the disk before it is answered; NORMAL would lose answered bookings with the power.
    db.execute_batch("pragma synchronous = full; pragma foreign_keys = on;")?;
    db.set_prepared_statement_cache_capacity(64);
    let laying = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match (
        pragma(&laying, "application_id")?,
        pragma(&laying, "user_version")?,
    ) {
        (APPLICATION, LAYOUT) => {}
        (0, 0) if is_empty(&laying)? => {
            laying.execute_batch(include_str!("schema.sql"))?;
            laying.pragma_update(None, "application_id", APPLICATION)?;
            laying.pragma_update(None, "user_version", LAYOUT)?;
        }
        (APPLICATION, other) => {
            return Err(Fault::unreadable(format!(
                "{} has layout {other} and this program knows layout {LAYOUT}: use the program that wrote it",
                path.display()
            )));
        }
        _ => {
            return Err(Fault::unreadable(format!(
                "{} is a database of something else: name a file that does not exist yet",
                path.display()
            )));
        }
    }
    laying.commit()?;
    Ok(db)
}

/// Opens a file that was laid out, for reading.
pub(crate) fn reading(path: &Path) -> Result<Connection, Fault> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(PATIENCE)?;
    db.execute_batch("pragma query_only = on;")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

fn pragma(db: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    db.pragma_query_value(None, name, |row| row.get(0))
}

fn is_empty(db: &Connection) -> Result<bool, rusqlite::Error> {
    db.query_row("select count(*) = 0 from sqlite_schema", [], |row| row.get(0))
}
