//! How a server is reached, and how long anything may take.
//!
//! Settings say nothing about caching: lives, sizes and lanes belong to namespaces.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cache_core::ShardCount;

use crate::servers::Servers;
use crate::tls::Tls;
use crate::{Address, url};

/// Where the Redis servers are, and how to talk to them.
///
/// ```
/// use cache_redis::{RedisTier, Settings};
///
/// let settings = Settings::from_url("redis://market:secret@127.0.0.1:6379/1")?.with_prefix("market");
/// assert_eq!(settings.database, 1);
/// assert!(!format!("{settings:?}").contains("secret"));
///
/// let refused = RedisTier::new(settings.with_prefix("no{braces}")).err().expect("a prefix is checked");
/// assert!(refused.to_string().contains("prefix"));
/// # Ok::<(), cache_redis::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which servers: one, the one that Sentinel names, or a cluster.
    pub servers: Servers,
    /// Where to reach a server that tells an address which this machine cannot reach, as behind a port mapping: the address
    /// that a cluster or Sentinel tells, and the one to connect to. Default empty. It does not matter for a single server.
    pub reached_at: BTreeMap<Address, Address>,
    /// Encryption; `None` for connections in clear text, the default.
    pub tls: Option<Tls>,
    /// Whether replicas may answer reads, under a lease and with a head that shows that they lack nothing; the master is asked
    /// otherwise. Default `false`: every node holds two more connections to each replica, what a replica cannot answer takes two
    /// round trips, and a read may then lack what was published within the lease. Switch it on where reads of the shared tier are
    /// more than the masters can bear.
    pub read_replicas: bool,
    /// Shards of each lane: the same on every node of the deployment, whose first node decides. A node of another number is refused
    /// ([`RedisTier::join`](crate::RedisTier::join)); [`RedisTier::reshard`](crate::RedisTier::reshard) changes it. Default
    /// [`Servers::shards`].
    pub shards: ShardCount,
    /// Number of the database. Default 0, and 0 in a cluster. Channels carry it too, so that two databases do not hear each
    /// other.
    pub database: u16,
    /// User of the servers' access list; `None` for their default user.
    pub username: Option<String>,
    /// Password; `None` for servers without one. Never shown.
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
    /// One server at this address, without password, and everything else as documented on the fields.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self::of(Servers::Single(Address::new(host, port)))
    }

    /// These servers, without password, and everything else as documented on the fields.
    pub fn of(servers: Servers) -> Self {
        Self {
            shards: servers.shards(),
            servers,
            reached_at: BTreeMap::new(),
            tls: None,
            read_replicas: false,
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

    /// Servers as in one of these, of which all but hosts and the name of the master may be left out:
    ///
    /// * `redis://user:password@host:port/database`
    /// * `redis-cluster://user:password@host:port,host:port`
    /// * `redis-sentinel://user:password@host:port,host:port/master/database`, with the master's user and password
    ///
    /// `rediss` instead of `redis` asks for TLS, with what [`Tls::default`] trusts.
    ///
    /// # Errors
    /// When the text is no such address. It is not repeated in the error, since it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        url::settings(url)
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

    /// Checks everything that can be checked without a server, as a tier does when it is made.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn check(&self) -> Result<(), SettingsError> {
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let prefix = &self.prefix;
        let fits = (1..=64).contains(&prefix.len()) && graphic(prefix);
        let rules = [
            (
                self.database != 0 && matches!(self.servers, Servers::Cluster(_)),
                format!("database: is {}; a cluster has 0 alone: set 0", self.database),
            ),
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
        let mut problems = self.servers.problems();
        problems.extend(self.tls.iter().flat_map(Tls::problems));
        problems.extend(
            rules
                .into_iter()
                .filter_map(|(broken, problem)| broken.then_some(problem)),
        );
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
            .field("servers", &self.servers)
            .field("reached_at", &self.reached_at)
            .field("tls", &self.tls)
            .field("read_replicas", &self.read_replicas)
            .field("shards", &self.shards)
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
    pub(crate) fn one(problem: String) -> Self {
        Self {
            problems: vec![problem],
        }
    }

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
        assert_eq!(named, ["servers", "prefix", "client_name", "longest_pause"]);
    }

    #[test]
    fn a_cluster_and_sentinels_need_addresses_and_a_cluster_has_one_database() {
        let mut cluster = Settings::of(Servers::Cluster(Vec::new()));
        cluster.database = 1;
        let refused = cluster.check().expect_err("nowhere, and in no such database");
        assert!(
            refused.to_string().contains("servers: there is none"),
            "{refused}"
        );
        assert!(refused.to_string().contains("database: is 1"), "{refused}");
    }
}
