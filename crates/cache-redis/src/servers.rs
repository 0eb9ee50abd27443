//! Which servers hold the tier: one, one that Sentinel names, or a cluster.
//!
//! It says how they are found, not where the master of a shard is at the moment.

use std::fmt;

use cache_core::ShardCount;

use crate::Address;

/// The servers of a tier. All of them are reached with the same user, password and encryption; Sentinel with its own.
///
/// ```
/// use cache_redis::{Address, Servers, Settings};
///
/// let settings = Settings::from_url("redis-cluster://10.0.0.1:7000,10.0.0.2:7000")?;
/// let seeds = vec![Address::new("10.0.0.1", 7000), Address::new("10.0.0.2", 7000)];
/// assert_eq!(settings.servers, Servers::Cluster(seeds));
/// assert_eq!(settings.servers.to_string(), "the cluster of 10.0.0.1:7000, 10.0.0.2:7000");
/// # Ok::<(), cache_redis::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Servers {
    /// One server that takes writes. Its name may move to another: it is resolved for every connection.
    Single(Address),
    /// The server that Sentinel calls the master; asked for every connection, so that a failover is followed.
    Sentinel(Sentinel),
    /// A Redis Cluster, found by asking any of these which master has which slots. Some masters' addresses are best:
    /// they are asked again only when no known master answers.
    Cluster(Vec<Address>),
}

/// How Sentinel is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The name under which it watches the master.
    pub master: String,
    /// Where the sentinels are; the first answer counts.
    pub addresses: Vec<Address>,
    /// User at the sentinels; `None` for their default user.
    pub username: Option<String>,
    /// Password at the sentinels; `None` where they ask none. Never shown.
    pub password: Option<String>,
}

impl Servers {
    /// Shards of a lane, unless told otherwise, where one server takes all writes.
    pub const ONE_SERVERS_SHARDS: ShardCount = ShardCount::DEFAULT;
    /// The same in a cluster: masters get shares of a lane that differ by a shard or two up to some twenty of them.
    pub const CLUSTER_SHARDS: ShardCount = ShardCount::DEFAULT;

    /// How many shards a lane has on such servers, unless told otherwise.
    pub const fn shards(&self) -> ShardCount {
        match self {
            Self::Single(_) | Self::Sentinel(_) => Self::ONE_SERVERS_SHARDS,
            Self::Cluster(_) => Self::CLUSTER_SHARDS,
        }
    }

    /// Every problem, each beginning with its setting.
    pub(crate) fn problems(&self) -> Vec<String> {
        let addresses = |setting: &str, addresses: &[Address]| -> Vec<String> {
            if addresses.is_empty() {
                return vec![format!("{setting}: there is none; name one, or better several")];
            }
            addresses
                .iter()
                .filter_map(|address| address.problem(setting))
                .collect()
        };
        match self {
            Self::Single(address) => address.problem("servers").into_iter().collect(),
            Self::Cluster(seeds) => addresses("servers", seeds),
            Self::Sentinel(sentinel) => {
                let mut problems = addresses("servers.addresses", &sentinel.addresses);
                if sentinel.master.is_empty() {
                    problems.push(
                        "servers.master: is empty; use the name that stands in `sentinel monitor`".to_owned(),
                    );
                }
                if sentinel.username.is_some() && sentinel.password.is_none() {
                    problems
                        .push("servers.username: is set without a password; set both, or neither".to_owned());
                }
                problems
            }
        }
    }
}

impl Servers {
    /// What the settings name, sentinels included.
    pub(crate) fn named(&self) -> &[Address] {
        match self {
            Self::Single(address) => std::slice::from_ref(address),
            Self::Sentinel(sentinel) => &sentinel.addresses,
            Self::Cluster(seeds) => seeds,
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(address) => address.fmt(f),
            Self::Sentinel(sentinel) => {
                write!(
                    f,
                    "the master {} of the sentinels {}",
                    sentinel.master,
                    list(&sentinel.addresses)
                )
            }
            Self::Cluster(seeds) => write!(f, "the cluster of {}", list(seeds)),
        }
    }
}

fn list(addresses: &[Address]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinel")
            .field("master", &self.master)
            .field("addresses", &self.addresses)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish()
    }
}
