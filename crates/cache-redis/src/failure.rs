//! What an error of the server or the connection means for who asked: which reaction it calls for.
//!
//! One table; nothing is retried here.

use cache_core::{BusError, ErrorKind, StoreError};
use redis::{RedisError, ServerErrorKind};

use crate::head::{HEAD_FORMAT, Unreadable};
use crate::{Address, Obstacle};

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// Whether the connection must not be used again.
    pub(crate) fatal: bool,
    /// What stands between the settings and the server, where that is known.
    pub(crate) obstacle: Option<Obstacle>,
    /// Whether there is an answer, which cannot be judged: see [`Failure::renamed`].
    pub(crate) renamed: bool,
    source: Option<RedisError>,
}

/// Where a cluster's answer leads a request that did nothing yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Redirect {
    /// To the server that has the slot from now on.
    Moved(Address),
    /// To the server that the slot is being moved to, for this once.
    Ask(Address),
    /// Nowhere for the moment: some of its keys are on either side.
    Later,
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
            obstacle: None,
            renamed: false,
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

    /// The same of what was only asked, though it was sent as something that may do more.
    pub(crate) fn of_a_question(mut self) -> Self {
        if self.kind == ErrorKind::Uncertain {
            self.kind = ErrorKind::Unavailable;
        }
        self
    }

    /// What lies in the server is a head of another release, or none at all.
    pub(crate) fn unreadable_head(why: Unreadable, what: &str) -> Self {
        let found = match why {
            Unreadable::Format(found) => found,
            Unreadable::Damaged => return Self::corrupt(what),
            Unreadable::Closed(shards) => {
                let message = format!(
                    "{what}: the deployment has {shards} shards in each lane now, and this node was started for another number: \
                     start it with `shards` (of a node, redis.shards) set to {shards}. Nothing was changed"
                );
                return Self::new(ErrorKind::Incompatible, message);
            }
        };
        let right = match found > HEAD_FORMAT {
            true => "upgrade this node to the release that wrote it",
            false => {
                "use that release, or a prefix of this node's own, or remove this one with `edge-node forget` once \
                 nobody uses it"
            }
        };
        let ours = env!("CARGO_PKG_VERSION");
        let message = format!(
            "{what}: the shard belongs to another release: its head has format {found}, and release {ours} reads and \
             writes format {HEAD_FORMAT} only. Nothing was changed; {right}"
        );
        Self::new(ErrorKind::Incompatible, message)
    }

    /// No answer came in time.
    pub(crate) fn late(effect: Effect, what: &str) -> Self {
        Self::new(unanswered(effect), format!("{what}: no answer in time"))
    }

    /// The server got another identity between a question and its answer.
    pub(crate) fn renamed(effect: Effect, what: &str) -> Self {
        let mut failure = Self::new(
            unanswered(effect),
            format!("{what}: the server's replication id changed meanwhile"),
        );
        failure.renamed = true;
        failure
    }

    /// Whether the server only lacks the script.
    pub(crate) fn is_unknown_script(&self) -> bool {
        let unknown = redis::ErrorKind::Server(ServerErrorKind::NoScript);
        self.source.as_ref().is_some_and(|error| error.kind() == unknown)
    }

    /// Whether the user lacks a right.
    pub(crate) fn lacks_a_right(&self) -> bool {
        let refused = redis::ErrorKind::Server(ServerErrorKind::NoPerm);
        self.source.as_ref().is_some_and(|error| error.kind() == refused)
    }

    /// Where the answer of the server at `asked` leads the request.
    pub(crate) fn redirect(&self, asked: &Address) -> Option<Redirect> {
        let error = self.source.as_ref()?;
        let leads = || {
            let (address, _slot) = error.redirect_node()?;
            // A server that does not know its own address tells the port alone.
            match address.strip_prefix(':') {
                Some(port) => Some(Address::new(&asked.host, port.parse().ok()?)),
                None => address.parse().ok(),
            }
        };
        match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved) => leads().map(Redirect::Moved),
            redis::ErrorKind::Server(ServerErrorKind::Ask) => leads().map(Redirect::Ask),
            redis::ErrorKind::Server(ServerErrorKind::TryAgain) => Some(Redirect::Later),
            _ => None,
        }
    }

    /// Whether the connection broke, which another one may mend; a server that was silent for a whole timeout is not asked
    /// again.
    pub(crate) fn is_broken_connection(&self) -> bool {
        self.fatal && self.source.is_some() && self.kind == ErrorKind::Unavailable
    }

    pub(crate) fn of(error: RedisError, effect: Effect, what: &str) -> Self {
        let (kind, fatal) = judge(&error, effect);
        let obstacle = Obstacle::of(&error, false);
        let failure = Self {
            kind,
            message: format!("{what}: {error}"),
            fatal,
            obstacle: None,
            renamed: false,
            source: Some(error),
        };
        match obstacle {
            Some(obstacle) => failure.because(obstacle),
            None => failure,
        }
    }

    /// The same of a sentinel.
    pub(crate) fn of_sentinel(error: RedisError, what: &str) -> Self {
        let obstacle = Obstacle::of(&error, true);
        let failure = Self::of(error, Effect::None, what);
        match obstacle {
            Some(obstacle) => failure.because(obstacle),
            None => failure,
        }
    }

    /// The same failure, told by what stands in the way.
    pub(crate) fn because(mut self, obstacle: Obstacle) -> Self {
        // What was done is said before the first colon that a space follows.
        let what = self.message.split(": ").next().unwrap_or_default();
        self.message = format!("{what}: {obstacle}");
        self.obstacle = Some(obstacle);
        self
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
        ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown => (ErrorKind::Unavailable, true),
        // A cluster in motion: the connection is as good as before. A transaction ends for what one of its commands met.
        ServerErrorKind::Moved
        | ServerErrorKind::Ask
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::ExecAbort
        | ServerErrorKind::BusyLoading
        | ServerErrorKind::NoScript => (ErrorKind::Unavailable, false),
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
        match (failure.obstacle, failure.source) {
            (Some(obstacle), _) => error.caused_by(obstacle),
            (None, Some(source)) => error.caused_by(source),
            (None, None) => error,
        }
    }
}

impl From<Failure> for BusError {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.message);
        match (failure.obstacle, failure.source) {
            (Some(obstacle), _) => error.caused_by(obstacle),
            (None, Some(source)) => error.caused_by(source),
            (None, None) => error,
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
    fn a_cluster_leads_a_request_to_where_it_belongs_and_the_connection_stays() {
        let asked = Address::new("10.0.0.1", 7000);
        let redirect = |error: &str| {
            let answer = redis::parse_redis_value(format!("-{error}\r\n").as_bytes()).expect("an answer");
            let error = answer.extract_error().expect_err("an error");
            let failure = Failure::of(error, Effect::Some, "writing");
            assert_eq!((failure.kind, failure.fatal), (ErrorKind::Unavailable, false));
            failure.redirect(&asked)
        };
        let there = Address::new("10.0.0.2", 7001);
        assert_eq!(
            redirect("MOVED 7 10.0.0.2:7001"),
            Some(Redirect::Moved(there.clone()))
        );
        assert_eq!(redirect("ASK 7 10.0.0.2:7001"), Some(Redirect::Ask(there)));
        let here = Address::new("10.0.0.1", 7001);
        assert_eq!(redirect("MOVED 7 :7001"), Some(Redirect::Moved(here)));
        assert_eq!(redirect("TRYAGAIN later"), Some(Redirect::Later));
        assert_eq!(redirect("CLUSTERDOWN Hash slot not served"), None);
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
