//! What a store on Redis is told: where the server is, under which names, how patient to be, and whose clock counts.
//!
//! It reads no environment and no file.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use marketplace::StoreClock;
use redis::{Client, IntoConnectionInfo};

use crate::fault::Fault;

/// How a store uses the server.
///
/// ```
/// use bookings_redis::Settings;
/// let settings = Settings { replicas: 1, ..Settings::at("redis://market:secret@cache.internal") };
/// assert_eq!(settings.prefix, "bookings");
/// assert!(!format!("{settings:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `redis://user:password@host:port/database`; all but the host may be left out.
    pub url: String,
    /// What the names of its nine keys begin with, so that several markets can share a server; 1 to 64 printable ASCII
    /// characters without braces. All keys are of one hash slot, since one script touches them together.
    pub prefix: String,
    /// How many replicas must have a decision before it is answered; 0 by default, which waits for none. When fewer have it
    /// within `patience`, the answer is [`Uncertain`](marketplace::BookingOutcome::Uncertain), and the same request under the
    /// same key asks again. Waiting makes a loss unlikely, not impossible: another replica may be the one that takes over.
    pub replicas: u32,
    /// How long a call waits for the server, for each of its steps. 1 s by default: a step takes a tenth of a millisecond, so
    /// whoever waits longer waits for something broken.
    pub patience: Duration,
    /// About how many changes the log keeps; a reader further behind is told that it lagged. 262,144 by default: minutes at
    /// the highest rate, at some 60 MB of the server's memory.
    pub log_rows: usize,
}

impl Settings {
    /// The defaults, for the server at this address.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "bookings".to_owned(),
            replicas: 0,
            patience: Duration::from_secs(1),
            log_rows: 1 << 18,
        }
    }

    /// Checks what can be checked without a server.
    pub(crate) fn client(&self) -> Result<Client, Fault> {
        let unfit = |what: String| Fault::Unfit(what);
        let right = "write redis://user:password@host:port/database";
        if self.url.starts_with("rediss://") {
            let tls =
                "rediss:// asks for TLS, which this store does not speak: use redis:// on a trusted network";
            return Err(unfit(tls.to_owned()));
        }
        // What reads the rest would take the user for the host.
        let place = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let user = place.rsplit_once('@').map_or("", |(user, _)| user);
        if self.url.starts_with("redis://") && user.contains(['/', '?', '#']) {
            let escape = "the user or password in the server's address has a '/', '?' or '#': write these as %2F, %3F and %23";
            return Err(unfit(escape.to_owned()));
        }
        // What was written may hold a password, so it is not repeated.
        let info = self.url.as_str().into_connection_info().map_err(|error| {
            unfit(format!(
                "the server's address cannot be read ({}); {right}",
                error.category()
            ))
        })?;
        let fits = (1..=64).contains(&self.prefix.len())
            && self.prefix.bytes().all(|byte| byte.is_ascii_graphic())
            && !self.prefix.contains(['{', '}']);
        if !fits {
            return Err(unfit(format!(
                "the prefix {:?} must be 1 to 64 printable ASCII characters without braces",
                self.prefix
            )));
        }
        if self.patience.is_zero() || self.log_rows == 0 {
            return Err(unfit(
                "patience and log_rows must not be zero: 1 s and 262144 are usual".to_owned(),
            ));
        }
        Client::open(info).map_err(Fault::Redis)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("patience", &self.patience)
            .field("log_rows", &self.log_rows)
            .finish_non_exhaustive()
    }
}

/// The clock that decides whether a hold has lapsed.
#[derive(Clone)]
pub enum Time {
    /// The server's, in milliseconds since 1970. The default of every deployment: all nodes share it.
    OfServer,
    /// One that was handed in: for tests, replays and simulations. All nodes must share it.
    Given(Arc<dyn StoreClock>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_refused_with_what_would() {
        let refusal = |url: &str| Settings::at(url).client().unwrap_err().to_string();
        assert!(refusal("rediss://cache").contains("TLS"));
        let unreadable = refusal("http://ada:secret@cache");
        assert!(unreadable.contains("write redis://"), "{unreadable}");
        assert!(!unreadable.contains("secret"), "{unreadable}");
        for url in [
            "redis://secret:12/0#x@cache",
            "redis://:se/secret@cache",
            "redis://:secret",
        ] {
            let unreadable = refusal(url);
            assert!(!unreadable.contains("secret"), "{unreadable}");
        }
        assert!(Settings::at("redis://cache:6380/2").client().is_ok());
        assert!(Settings::at("redis+unix:///run/redis.sock").client().is_ok());
    }

    #[test]
    fn a_prefix_that_would_split_the_keys_is_refused() {
        let settings = |prefix: &str| Settings {
            prefix: prefix.to_owned(),
            ..Settings::at("redis://cache")
        };
        assert!(settings("a{b}").client().is_err());
        assert!(settings("").client().is_err());
        assert!(settings("market-7").client().is_ok());
    }
}
