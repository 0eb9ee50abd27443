//! The report on the servers: what they are, and what about them endangers the cache.
//!
//! It changes nothing and forbids nothing: a node may start on a server that is reported on.

use std::fmt;

use cache_core::{Lane, Shard, StoreError};
use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, Value};

use crate::connection::Connection;
use crate::failure::{Effect, Failure};
use crate::greeting::{field, text};
use crate::masters::Master;
use crate::tier::settled;
use crate::{Address, Obstacle, RedisTier};

/// What the servers are and what is wrong with them, as [`RedisTier::check`] found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    masters: Vec<Address>,
    product: String,
    version: String,
    findings: Vec<Finding>,
}

impl Report {
    /// The servers that were asked, each as it was named by the settings, by Sentinel or by the cluster.
    pub fn masters(&self) -> &[Address] {
        &self.masters
    }

    /// What the servers are: `Redis`, `Valkey`, or what else they call themselves.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The version of the servers, such as `7.0.15`, as the [product](Self::product) counts; the least, where several differ.
    /// `unknown` when they do not tell it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What should be changed; empty when all is well.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn add(&mut self, other: Self) {
        self.masters.extend(other.masters);
        if numbers(&other.version) < numbers(&self.version) {
            (self.product, self.version) = (other.product, other.version);
        }
        for finding in other.findings {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
    }
}

/// Something about a server that should be changed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The server may evict heads and logs, which have no end of life; each such loss flushes a shard.
    EvictsEverything {
        /// The policy it has.
        policy: String,
    },
    /// The server is limited in memory and evicts nothing: when it is full, values are no longer stored.
    EvictsNothing,
    /// The server is older than 7.0. It has no sharded channels, and rights cannot be asked for.
    Old {
        /// Its version.
        version: String,
    },
    /// The user lacks rights.
    LacksRights {
        /// Commands it may not use on what the prefix owns.
        commands: Vec<String>,
    },
    /// The server's clock and the node's differ by more than a second. No order depends on it; whoever compares
    /// logs will be misled.
    ClockDiffers {
        /// How far the server is ahead of this node, in milliseconds; negative when it is behind.
        ahead_millis: i64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvictsEverything { policy } => write!(
                f,
                "maxmemory-policy is {policy}, which evicts heads and logs too: set it to volatile-lru, or another volatile one"
            ),
            Self::EvictsNothing => f.write_str(
                "maxmemory is set and maxmemory-policy is noeviction: a full server stores no values; set it to volatile-lru",
            ),
            Self::Old { version } => write!(f, "the server is of version {version}: 7.0 or newer is tested"),
            Self::LacksRights { commands } => write!(
                f,
                "the user may not use {} on what the prefix owns: grant them, and the channels of the prefix",
                commands.join(", ")
            ),
            Self::ClockDiffers { ahead_millis } => {
                write!(f, "the server's clock is {ahead_millis} ms ahead of this node's: synchronise both")
            }
        }
    }
}

impl RedisTier {
    /// Asks every server that takes writes what it is, and judges its settings. Call it at the start, and show what it
    /// finds: what several have in common is said once.
    ///
    /// # Errors
    /// When one of them cannot be asked; a node can start nevertheless. Where it can be told what stands in the way, the error
    /// says so, and its source is an [`Obstacle`]; for that, each server that the settings name is listened to once more.
    pub async fn check(&self) -> Result<Report, StoreError> {
        match self.report().await {
            Ok(report) => Ok(report),
            Err(failure) => Err(self.explained(failure).await.into()),
        }
    }

    async fn report(&self) -> Result<Report, Failure> {
        let masters = self.inner.masters.all().await?;
        let mut whole: Option<Report> = None;
        for report in try_join_all(masters.iter().map(|master| self.judge(master))).await? {
            match &mut whole {
                None => whole = Some(report),
                Some(whole) => whole.add(report),
            }
        }
        whole.ok_or_else(|| Failure::corrupt(WHAT))
    }

    async fn explained(&self, failure: Failure) -> Failure {
        if failure.obstacle.is_some() {
            return failure;
        }
        let settings = &self.inner.settings;
        let named = settings.servers.named().iter();
        let heard = join_all(named.map(|address| Obstacle::heard(settings, address))).await;
        match heard.into_iter().flatten().next() {
            Some(obstacle) => failure.because(obstacle),
            None => failure,
        }
    }

    async fn judge(&self, master: &Master) -> Result<Report, Failure> {
        let connection = &*master.connection(Lane::Bulk).await?;
        let mut questions = redis::pipe();
        questions.cmd("INFO").arg("server");
        questions.cmd("INFO").arg("memory");
        questions.cmd("TIME");
        let answers = settled(connection, connection.request_all(&questions, WHAT).await)?;
        let unreadable = |_| Failure::corrupt(WHAT);
        let [server, memory, time] = &answers[..] else {
            return Err(Failure::corrupt(WHAT));
        };
        let (server, memory) = (
            text(server).map_err(unreadable)?,
            text(memory).map_err(unreadable)?,
        );
        let (product, version) = product(&server);
        let (seconds, micros): (i64, i64) =
            redis::from_redis_value_ref(time).map_err(|_| Failure::corrupt(WHAT))?;
        let here = i64::try_from(self.inner.clock.unix_millis()).unwrap_or(i64::MAX);
        let mut findings = Vec::new();
        // A server that does not tell its policy is not accused of one.
        if let Ok(policy) = field(&memory, "maxmemory_policy") {
            findings.extend(evicts(policy, field(&memory, "maxmemory").unwrap_or("0") != "0"));
        }
        findings.extend(differs(seconds * 1000 + micros / 1000 - here));
        if is_old(&server) {
            findings.push(Finding::Old {
                version: version.clone(),
            });
        } else {
            findings.extend(self.lacking(connection).await?);
        }
        Ok(Report {
            masters: vec![connection.address.clone()],
            product,
            version,
            findings,
        })
    }

    async fn lacking(&self, connection: &Connection) -> Result<Option<Finding>, Failure> {
        const WHAT: &str = "asking for rights";
        let names = self.names(Shard::barriers(Lane::Bulk));
        let mut arguments = vec![
            names.head.clone(),
            names.channel.clone(),
            connection.publishing.publish().into(),
            connection.publishing.subscribe().into(),
        ];
        if self.inner.masters.are_many() {
            arguments.extend(["CLUSTER SLOTS", "ASKING"].map(Vec::from));
            arguments.extend(self.inner.settings.read_replicas.then(|| Vec::from("READONLY")));
        }
        arguments.extend((self.inner.settings.database != 0).then(|| Vec::from("SELECT 0")));
        let command: Cmd = self.inner.scripts.rights.by_source(&[], &arguments);
        let answer = connection.request(&command, Effect::None, WHAT).await;
        let answer = match settled(connection, answer) {
            Ok(Value::BulkString(answer)) => answer,
            Ok(_) => return Err(Failure::corrupt(WHAT)),
            // Who may not run scripts cannot ask for the rest.
            Err(failure) if failure.lacks_a_right() => b"EVAL".to_vec(),
            Err(failure) => return Err(failure),
        };
        let commands: Vec<_> = String::from_utf8_lossy(&answer)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        Ok((!commands.is_empty()).then_some(Finding::LacksRights { commands }))
    }
}

const WHAT: &str = "checking the servers";

fn evicts(policy: &str, limited: bool) -> Option<Finding> {
    if policy.starts_with("volatile-") || (policy == "noeviction" && !limited) {
        None
    } else if policy == "noeviction" {
        Some(Finding::EvictsNothing)
    } else {
        Some(Finding::EvictsEverything {
            policy: policy.to_owned(),
        })
    }
}

fn differs(ahead_millis: i64) -> Option<Finding> {
    (ahead_millis.abs() > 1_000).then_some(Finding::ClockDiffers { ahead_millis })
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect()
}

/// Whether the server lacks what Redis 7.0 has; every Valkey has it. One that does not tell its version is not accused.
fn is_old(server: &str) -> bool {
    field(server, "redis_version")
        .is_ok_and(|version| numbers(version).first().is_none_or(|major| *major < 7))
}

/// What the server is, and its version as its own makers count: for the sake of old clients, others say to be some Redis too.
fn product(server: &str) -> (String, String) {
    let told = |name| field(server, name).ok().map(str::to_owned);
    let version = || told("redis_version").unwrap_or_else(|| "unknown".to_owned());
    let Some(name) = told("server_name").filter(|name| name != "redis") else {
        return ("Redis".to_owned(), version());
    };
    let own = told(&format!("{name}_version")).unwrap_or_else(version);
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    (first.into_iter().chain(letters).collect(), own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_that_keep_heads_are_accepted() {
        assert_eq!(evicts("volatile-lru", true), None);
        assert_eq!(evicts("noeviction", false), None);
        assert_eq!(evicts("noeviction", true), Some(Finding::EvictsNothing));
        let policy = "allkeys-lru".to_owned();
        assert_eq!(
            evicts("allkeys-lru", false),
            Some(Finding::EvictsEverything { policy })
        );
    }

    #[test]
    fn a_second_of_difference_is_tolerated() {
        assert_eq!(differs(-1_000), None);
        assert_eq!(
            differs(-1_001),
            Some(Finding::ClockDiffers { ahead_millis: -1_001 })
        );
    }

    #[test]
    fn what_several_servers_have_in_common_is_said_once() {
        let report = |ports: &[u16], version: &str, findings| Report {
            masters: ports.iter().map(|port| Address::new("here", *port)).collect(),
            product: "Redis".to_owned(),
            version: version.to_owned(),
            findings,
        };
        let mut whole = report(&[1], "7.0.15", vec![Finding::EvictsNothing]);
        let behind = Finding::ClockDiffers { ahead_millis: -2_000 };
        whole.add(report(&[2], "10.1", vec![Finding::EvictsNothing]));
        whole.add(report(&[3], "7.0.9", vec![behind.clone()]));
        let all = report(&[1, 2, 3], "7.0.9", vec![Finding::EvictsNothing, behind]);
        assert_eq!(whole, all);
    }

    #[test]
    fn a_version_that_cannot_be_read_counts_as_old_and_one_that_is_not_told_does_not() {
        let says = |version| format!("redis_version:{version}\r\n");
        assert!(!is_old(&says("7.0.15")) && !is_old(&says("10.1")) && !is_old("run_id:0\r\n"));
        assert!(is_old(&says("6.2.14")) && is_old(&says("unstable")));
    }

    #[test]
    fn a_server_is_called_by_its_own_name_and_version() {
        let of = |told: &str| product(&told.replace(' ', "\r\n"));
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(of("redis_version:7.0.15"), pair("Redis", "7.0.15"));
        assert_eq!(
            of("redis_version:8.2.1 server_name:redis"),
            pair("Redis", "8.2.1")
        );
        let valkey = "redis_version:7.2.4 server_name:valkey valkey_version:9.1.2";
        assert_eq!(of(valkey), pair("Valkey", "9.1.2"));
        assert_eq!(
            of("redis_version:7.4.0 server_name:other"),
            pair("Other", "7.4.0")
        );
        assert_eq!(of("run_id:0"), pair("Redis", "unknown"));
    }
}
