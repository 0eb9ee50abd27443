//! What an error of the server or the connection means for who asked: which reaction it calls for.
//!
//! One table; nothing is retried here.

use cache_core::{BusError, ErrorKind, StoreError};
use redis::{RedisError, ServerErrorKind};

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// Whether the connection must not be used again.
    pub(crate) fatal: bool,
    source: Option<RedisError>,
}

/// What a request does when it reaches the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing: without an answer, nothing has happened.
    None,
    /// Something: without an answer, it may have happened.
    Some,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            fatal: false,
            source: None,
        }
    }

    /// An answer that this release cannot read.
    pub(crate) fn corrupt(what: &str) -> Self {
        Self::new(
            ErrorKind::Corrupt,
            format!(
                "{what}: the answer is not one this release understands; a newer release may share the prefix"
            ),
        )
    }

    /// No answer came in time.
    pub(crate) fn late(effect: Effect, what: &str) -> Self {
        Self::new(unanswered(effect), format!("{what}: no answer in time"))
    }

    /// Whether the server only lacks the script.
    pub(crate) fn is_unknown_script(&self) -> bool {
        let unknown = redis::ErrorKind::Server(ServerErrorKind::NoScript);
        self.source.as_ref().is_some_and(|error| error.kind() == unknown)
    }

    /// Whether the connection broke, which another one may mend; a server that was silent for a whole timeout is not asked
    /// again.
    pub(crate) fn is_broken_connection(&self) -> bool {
        self.fatal && self.source.is_some() && self.kind == ErrorKind::Unavailable
    }

    pub(crate) fn of(error: RedisError, effect: Effect, what: &str) -> Self {
        let (kind, fatal) = judge(&error, effect);
        Self {
            kind,
            message: format!("{what}: {error}"),
            fatal,
            source: Some(error),
        }
    }
}

fn judge(error: &RedisError, effect: Effect) -> (ErrorKind, bool) {
    use redis::ErrorKind as Cause;
    match error.kind() {
        Cause::Server(kind) => judge_reply(kind),
        // Codes that the client knows no word for.
        Cause::Extension => match error.code() {
            Some("OOM" | "BUSY" | "MISCONF" | "NOREPLICAS") => (ErrorKind::Unavailable, false),
            Some("NOAUTH" | "WRONGPASS") => (ErrorKind::Rejected, true),
            _ => (ErrorKind::Rejected, false),
        },
        Cause::AuthenticationFailed | Cause::InvalidClientConfig | Cause::RESP3NotSupported => {
            (ErrorKind::Rejected, true)
        }
        Cause::UnexpectedReturnType => (ErrorKind::Corrupt, false),
        Cause::Parse => (ErrorKind::Corrupt, true),
        _ => (unanswered(effect), true),
    }
}

/// Errors that the server answers before it does anything.
fn judge_reply(kind: ServerErrorKind) -> (ErrorKind, bool) {
    match kind {
        // It is not, or no longer, the server that takes writes: another connection may find the one that does.
        ServerErrorKind::ReadOnly
        | ServerErrorKind::MasterDown
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask
        | ServerErrorKind::ClusterDown => (ErrorKind::Unavailable, true),
        ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::NoScript => {
            (ErrorKind::Unavailable, false)
        }
        _ => (ErrorKind::Rejected, false),
    }
}

const fn unanswered(effect: Effect) -> ErrorKind {
    match effect {
        Effect::None => ErrorKind::Unavailable,
        Effect::Some => ErrorKind::Uncertain,
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.message);
        match failure.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

impl From<Failure> for BusError {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.message);
        match failure.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, effect: Effect) -> ErrorKind {
        let error = redis::make_extension_error(code.to_owned(), None);
        Failure::of(error, effect, "writing").kind
    }

    #[test]
    fn only_a_missing_answer_to_something_with_an_effect_is_uncertain() {
        let lost = || RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(
            Failure::of(lost(), Effect::Some, "writing").kind,
            ErrorKind::Uncertain
        );
        assert_eq!(
            Failure::of(lost(), Effect::None, "reading").kind,
            ErrorKind::Unavailable
        );
        assert!(Failure::of(lost(), Effect::None, "reading").fatal);
    }

    #[test]
    fn what_the_server_refuses_before_doing_it_is_never_uncertain() {
        for code in ["OOM", "BUSY", "MISCONF", "NOREPLICAS"] {
            assert_eq!(kind(code, Effect::Some), ErrorKind::Unavailable, "{code}");
        }
        for code in ["WRONGPASS", "NOAUTH", "WRONGTYPE", "SOMETHINGNEW"] {
            assert_eq!(kind(code, Effect::Some), ErrorKind::Rejected, "{code}");
        }
    }
}
