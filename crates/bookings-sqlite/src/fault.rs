//! What went wrong below the ports, and the reaction it asks for.
//!
//! It retries nothing: who asked knows whether to ask again.

use std::fmt;

use marketplace::{BookingLedgerError, BookingStoreError, ErrorKind};
use rusqlite::ErrorCode;

/// Why a transaction or a query did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The decision refused the request.
    Refused(BookingStoreError),
    /// SQLite did.
    Sqlite(rusqlite::Error),
    /// What is stored is not what this crate stores.
    Unreadable(String),
    /// There was no transaction to run in.
    NotOpen,
    /// The thread that works on the file is gone.
    Stopped,
}

impl Fault {
    pub(crate) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable(what.into())
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Unreadable(_) => ErrorKind::Corrupt,
            Self::NotOpen | Self::Stopped => ErrorKind::Unavailable,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(
                    ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::SchemaChanged
                    | ErrorCode::TypeMismatch,
                ) => ErrorKind::Corrupt,
                _ => ErrorKind::Unavailable,
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<BookingStoreError> for Fault {
    fn from(error: BookingStoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for BookingStoreError {
    fn from(fault: Fault) -> Self {
        let kind = fault.kind();
        match fault {
            Fault::Refused(error) => error,
            other => Self::new(kind, other.to_string()).caused_by(other),
        }
    }
}

impl From<Fault> for BookingLedgerError {
    fn from(fault: Fault) -> Self {
        Self::new(fault.kind(), fault.to_string()).caused_by(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy) => f.write_str("another process keeps the file locked"),
                Some(ErrorCode::DiskFull) => f.write_str("the file cannot grow: the disk is full"),
                Some(ErrorCode::CannotOpen) => f.write_str("the file cannot be opened or created"),
                _ => f.write_str("SQLite refused"),
            },
            Self::Unreadable(what) => f.write_str(what),
            Self::NotOpen => f.write_str(
                "another process keeps the file locked, or the transaction of other requests was undone around this one",
            ),
            Self::Stopped => f.write_str("the store was closed"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Sqlite(error) => Some(error),
            Self::Unreadable(_) | Self::NotOpen | Self::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> BookingStoreError {
        Fault::from(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(code),
            None,
        ))
        .into()
    }

    #[test]
    fn a_full_disk_and_a_locked_file_are_tried_again_later_and_a_damaged_file_is_not() {
        use rusqlite::ffi::{
            SQLITE_BUSY, SQLITE_CONSTRAINT, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_IOERR, SQLITE_NOTADB,
        };
        for code in [SQLITE_BUSY, SQLITE_FULL, SQLITE_IOERR] {
            assert_eq!(failure(code).kind(), ErrorKind::Unavailable, "{code}");
        }
        for code in [SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CONSTRAINT] {
            assert_eq!(failure(code).kind(), ErrorKind::Corrupt, "{code}");
        }
        assert!(failure(SQLITE_FULL).to_string().contains("the disk is full"));
    }
}
