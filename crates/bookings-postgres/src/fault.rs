//! What went wrong below the ports, and the reaction it asks for.
//!
//! It retries nothing: who asked knows whether to ask again.

use std::fmt;

use deadpool_postgres::PoolError;
use marketplace::{BookingLedgerError, BookingStoreError, ErrorKind};
use tokio_postgres::error::SqlState;

/// Why a transaction or a query did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The decision refused the request.
    Refused(BookingStoreError),
    /// The server or the way to it did.
    Postgres(tokio_postgres::Error),
    /// There was no connection to be had.
    Pool(PoolError),
    /// The settings or the schema are not what this crate works with.
    Unfit(String),
    /// What is stored is not what this crate stores.
    Unreadable(String),
    /// The server did not answer in time.
    Silent,
}

impl Fault {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Unfit(_) => ErrorKind::Rejected,
            Self::Unreadable(_) => ErrorKind::Corrupt,
            Self::Pool(_) | Self::Silent => ErrorKind::Unavailable,
            Self::Postgres(error) => match error.code() {
                // A constraint that fires means that the decision was wrong; a missing table, that the schema is.
                Some(code)
                    if code.code().starts_with("23")
                        || code.code().starts_with("42")
                        || *code == SqlState::DATA_CORRUPTED
                        || *code == SqlState::INDEX_CORRUPTED =>
                {
                    ErrorKind::Corrupt
                }
                _ => ErrorKind::Unavailable,
            },
        }
    }

    /// Whether a transaction whose commit failed with this may have been committed all the same. Only an answer of the
    /// server says that it was not, and not even that while it shuts down.
    pub(crate) fn leaves_a_commit_open(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Postgres(error) => error.code().is_none_or(|code| code.code().starts_with("57P")),
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<BookingStoreError> for Fault {
    fn from(error: BookingStoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for BookingStoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            other => Self::new(other.kind(), other.to_string()).caused_by(other),
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
            Self::Postgres(error) => match error.as_db_error() {
                Some(answer) => write!(
                    f,
                    "PostgreSQL refused: {} ({})",
                    answer.message(),
                    answer.code().code()
                ),
                None => f.write_str("the connection to PostgreSQL failed"),
            },
            Self::Pool(PoolError::Timeout(_)) => {
                f.write_str("all connections to PostgreSQL are in use, or it does not take another")
            }
            Self::Pool(_) => f.write_str("PostgreSQL cannot be reached"),
            Self::Unfit(what) | Self::Unreadable(what) => f.write_str(what),
            Self::Silent => f.write_str("PostgreSQL does not answer"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Postgres(error) => Some(error),
            Self::Pool(error) => Some(error),
            Self::Unfit(_) | Self::Unreadable(_) | Self::Silent => None,
        }
    }
}
