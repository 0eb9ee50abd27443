//! What went wrong below the ports, and the reaction it asks for.
//!
//! It retries nothing: who asked knows whether to ask again.

use std::fmt;

use marketplace::{BookingLedgerError, BookingStoreError, ErrorKind};
use redis::{RedisError, ServerErrorKind};

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The decision refused the request.
    Refused(BookingStoreError),
    /// The server or the way to it did.
    Redis(RedisError),
    /// The settings or the server are not what this crate works with.
    Unfit(String),
    /// What is stored is not what this crate stores.
    Unreadable(String),
    /// No connection could be made, and nothing was asked.
    Unreached(Option<RedisError>),
    /// The server did not answer in time.
    Silent,
    /// It may have been written, or is not on as many replicas as it should be.
    Open,
    /// Others decided about the same GPU every time.
    Crowded,
}

impl Fault {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Unfit(_) => ErrorKind::Rejected,
            Self::Unreadable(_) => ErrorKind::Corrupt,
            Self::Unreached(None) | Self::Silent | Self::Open | Self::Crowded => ErrorKind::Unavailable,
            Self::Redis(error) | Self::Unreached(Some(error)) => match error.kind() {
                redis::ErrorKind::Server(ServerErrorKind::ResponseError)
                | redis::ErrorKind::UnexpectedReturnType
                | redis::ErrorKind::Parse => ErrorKind::Corrupt,
                redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => {
                    ErrorKind::Rejected
                }
                redis::ErrorKind::Extension => match error.code() {
                    Some("WRONGTYPE") => ErrorKind::Corrupt,
                    Some("NOAUTH" | "WRONGPASS" | "NOPERM") => ErrorKind::Rejected,
                    _ => ErrorKind::Unavailable,
                },
                _ => ErrorKind::Unavailable,
            },
        }
    }

    /// Whether the server may have done what it was asked. An answer of its own says that it was not: scripts look at
    /// everything before they write.
    pub(crate) fn leaves_it_open(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Redis(error) => error.is_io_error() || error.is_connection_dropped() || error.is_timeout(),
            _ => false,
        }
    }

    /// Whether the connection broke, which another one may mend; a server that was silent is not asked again.
    pub(crate) fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Redis(error) if error.is_io_error() || error.is_connection_dropped())
    }

    /// Whether the connection is of no use any more: it broke, or it leads to a server that no longer takes writes.
    pub(crate) fn ends_the_connection(&self) -> bool {
        let demoted = |error: &RedisError| {
            matches!(
                error.kind(),
                redis::ErrorKind::Server(
                    ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::Moved
                )
            )
        };
        match self {
            Self::Redis(error) => demoted(error) || error.is_unrecoverable_error() || self.leaves_it_open(),
            other => other.leaves_it_open(),
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
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
            Self::Redis(error) if error.code().is_some() => write!(f, "Redis refused: {error}"),
            Self::Redis(_) => f.write_str("the connection to Redis failed"),
            Self::Unreached(_) => f.write_str("Redis cannot be reached"),
            Self::Unfit(what) | Self::Unreadable(what) => f.write_str(what),
            Self::Silent => f.write_str("Redis does not answer"),
            Self::Open => f.write_str("Redis may have written it or not: ask again"),
            Self::Crowded => f.write_str("others decided about the same GPUs every time: ask again"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Redis(error) | Self::Unreached(Some(error)) => Some(error),
            Self::Unreached(None)
            | Self::Unfit(_)
            | Self::Unreadable(_)
            | Self::Silent
            | Self::Open
            | Self::Crowded => None,
        }
    }
}
