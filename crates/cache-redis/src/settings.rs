//! How a server is reached, and how long anything may take.
//!
//! Settings say nothing about caching: lives, sizes and lanes belong to namespaces.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

/// Where one Redis server is, and how to talk to it.
///
/// ```
/// use cache_redis::{RedisTier, Settings};
///
/// let settings = Settings::from_url("redis://market:secret@127.0.0.1:6379/1")?.with_prefix("market");
/// assert_eq!((settings.port, settings.database), (6379, 1));
/// assert!(!format!("{settings:?}").contains("secret"));
///
/// let refused = RedisTier::new(settings.with_prefix("no{braces}")).err().expect("a prefix is checked");
/// assert!(refused.to_string().contains("prefix"));
/// # Ok::<(), cache_redis::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Host name or address. Resolved anew for every connection, so that a name may move to another server.
    pub host: String,
    /// TCP port. Redis's own default is 6379.
    pub port: u16,
    /// Number of the database. Default 0. Channels carry it too, so that two databases do not hear each other.
    pub database: u16,
    /// User of the server's access list; `None` for its default user.
    pub username: Option<String>,
    /// Password; `None` for a server without one. Never shown.
    pub password: Option<String>,
    /// Begins the name of everything this tier owns: deployments with different prefixes do not see each other.
    /// Default `edge`. 1 to 64 printable ASCII characters, no braces, no `:` at its end.
    pub prefix: String,
    /// What `CLIENT LIST` shows for the connections. Default `edge-cache`. Printable ASCII without spaces.
    pub client_name: String,
    /// Longest time until a connection is open, greeted and identified. Default 1 s: a local network needs a hundredth,
    /// and a read waits no longer than this before its caller turns to the source.
    pub connect_timeout: Duration,
    /// Longest time from sending a request to its answer. Default 1 s: far above a slow script, and two of them fit into
    /// a lease, so that a half-open connection is replaced before the lease it renews runs out.
    pub response_timeout: Duration,
    /// Pause before connecting again after the first failure; doubles with each further one. Default 50 ms: shorter than
    /// a server's restart, longer than a refusal.
    pub first_pause: Duration,
    /// Longest pause between two attempts to connect. Default 2 s: what a fleet sends to a server that is down, and how
    /// much later than possible a node notices that it is back. Every pause is shortened at random by up to a half.
    pub longest_pause: Duration,
    /// Events that each shard's log keeps, at least. Default 4096: about 45 bytes each, and what a node misses beyond
    /// that costs it a flush of the shard.
    pub log_length: u32,
}

impl Settings {
    /// A server at this address, without password, and everything else as documented on the fields.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            database: 0,
            username: None,
            password: None,
            prefix: "edge".to_owned(),
            client_name: "edge-cache".to_owned(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            log_length: 4096,
        }
    }

    /// A server as in `redis://user:password@host:port/database`; all but the host may be left out.
    ///
    /// # Errors
    /// When the text is no such address. It is not repeated in the error, since it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        let refused = |problem: String| SettingsError {
            problems: vec![problem],
        };
        if url.starts_with("rediss://") {
            return Err(refused(
                "url: rediss:// asks for TLS, which this release does not speak; use redis://".into(),
            ));
        }
        let right = "write redis://user:password@host:port/database";
        let known = url
            .into_connection_info()
            .map_err(|error| refused(format!("url: {}; {right}", error.category())))?;
        let ConnectionAddr::Tcp(host, port) = known.addr() else {
            return Err(refused(format!("url: only TCP addresses are known; {right}")));
        };
        let (redis, mut settings) = (known.redis_settings(), Self::at(host, *port));
        settings.database = u16::try_from(redis.db()).map_err(|_out_of_range| {
            refused(format!("url: {} is no database number; {right}", redis.db()))
        })?;
        settings.username = redis.username().map(str::to_owned);
        settings.password = redis.password().map(str::to_owned);
        Ok(settings)
    }

    /// The same with another prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same with another client name.
    #[must_use]
    pub fn with_client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Checks everything that can be checked without a server.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let prefix = &self.prefix;
        let fits = (1..=64).contains(&prefix.len()) && graphic(prefix);
        let rules = [
            (
                self.host.is_empty(),
                "host: is empty; name a host or an address".to_owned(),
            ),
            (self.port == 0, "port: is 0; use 1 to 65535".to_owned()),
            (
                !fits || prefix.contains(['{', '}']) || prefix.ends_with(':'),
                format!(
                    "prefix: {prefix:?} must be 1 to 64 printable ASCII characters, without spaces and braces, and not end in ':'"
                ),
            ),
            (
                self.client_name.is_empty() || !graphic(&self.client_name),
                format!(
                    "client_name: {:?} must be printable ASCII without spaces",
                    self.client_name
                ),
            ),
            (
                self.username.is_some() && self.password.is_none(),
                "username: is set without a password; set both, or neither".to_owned(),
            ),
            (
                self.connect_timeout.is_zero(),
                "connect_timeout: is zero; a second is usual".to_owned(),
            ),
            (
                self.response_timeout.is_zero(),
                "response_timeout: is zero; a second is usual".to_owned(),
            ),
            (
                self.first_pause.is_zero(),
                "first_pause: is zero; 50 ms is usual".to_owned(),
            ),
            (
                self.longest_pause < self.first_pause,
                format!(
                    "longest_pause: {:?} is shorter than first_pause, {:?}",
                    self.longest_pause, self.first_pause
                ),
            ),
            (
                self.log_length == 0,
                "log_length: is 0; nodes could catch up with nothing, 4096 is usual".to_owned(),
            ),
        ];
        let problems: Vec<_> = rules
            .into_iter()
            .filter_map(|(broken, problem)| broken.then_some(problem))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError { problems })
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("prefix", &self.prefix)
            .field("client_name", &self.client_name)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("first_pause", &self.first_pause)
            .field("longest_pause", &self.longest_pause)
            .field("log_length", &self.log_length)
            .finish()
    }
}

/// What is wrong with the settings: every problem at once, each with what would be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl SettingsError {
    /// The problems, each beginning with the name of its setting.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis settings: {}", self.problems.join("; "))
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once_with_its_setting() {
        let mut settings = Settings::at("", 0)
            .with_prefix("{x}")
            .with_client_name("two words");
        settings.longest_pause = Duration::ZERO;
        let refused = settings.check().expect_err("all of this is wrong");
        let named: Vec<_> = refused
            .problems()
            .iter()
            .filter_map(|p| p.split(':').next())
            .collect();
        assert_eq!(named, ["host", "port", "prefix", "client_name", "longest_pause"]);
    }

    #[test]
    fn an_address_without_details_has_the_defaults() {
        assert_eq!(
            Settings::from_url("redis://cache.internal"),
            Ok(Settings::at("cache.internal", 6379))
        );
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for url in [
            "rediss://:secret@host",
            "redis://:secret@host:port",
            "secret",
            "redis://:secret@host/x",
        ] {
            let refused = Settings::from_url(url).expect_err(url).to_string();
            assert!(!refused.contains("secret"), "{refused}");
            assert!(refused.contains("redis://"), "{refused}");
        }
    }
}
