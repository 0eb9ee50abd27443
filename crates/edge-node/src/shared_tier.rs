//! From the settings in force to those of the shared tier on Redis.
//!
//! It connects to nothing, and reads no file but those with certificates that the settings name. Settings that mean nothing to
//! this tier are named here and in their descriptions; one that cannot be obeyed is refused.

use std::time::Duration;

use cache_core::{Lane, ShardCount};
use cache_redis::{Address, Sentinel, Servers, Settings, Tls};
use config::{FilePath, Redis, Secret};

/// Connections to a master, for each lane: one for requests, one for the bus.
const TO_A_MASTER: usize = 2 * Lane::ALL.len();

/// Connections to a replica that is read from: one for each lane.
const TO_A_REPLICA: usize = Lane::ALL.len();

/// The longest that anything at the servers may take, however long the settings would wait: two attempts must fit into a lease,
/// so that a dead connection is replaced before what it proves is over.
const LONGEST: Duration = Duration::from_secs(1);

/// What the tier's settings are called in its own refusals, and among a node's settings: those of which a node's are not refused
/// before, when they are loaded.
const NAMES: [(&str, &str); 4] = [
    ("database", "redis.db"),
    ("tls.authorities", "redis.ssl_ca_file"),
    ("tls.client.chain", "redis.ssl_cert_file"),
    ("tls.client.key", "redis.ssl_key_file"),
];

/// The settings of the shared tier: which servers, as which user, encrypted or not, read how, and how long they may take.
///
/// `redis.socket_timeout` and `redis.socket_connect_timeout` count up to a second. `redis.retry_on_timeout`,
/// `redis.health_check_interval` and `performance.connection_pool_size` mean nothing here: what is repeated is decided by what
/// it does, heartbeats check every connection to the bus three times in a lease, and the connections to a master are four.
///
/// # Errors
/// All that cannot be obeyed, a line each: the name of its setting, what is wrong, and what would be right.
pub fn redis_settings(settings: &config::Settings, prefix: &str) -> Result<Settings, String> {
    let redis = &settings.redis;
    let mut problems = Vec::new();
    problems.extend(too_few_connections(redis));
    let (servers, password) = servers(redis);
    let mut tier = Settings::of(servers).with_prefix(prefix);
    tier.database = u16::from(redis.db.get());
    tier.username = redis.user.as_ref().map(|user| user.as_str().to_owned());
    tier.password = revealed(password);
    tier.read_replicas = redis.read_replicas.is_on();
    if let Some(shards) = redis.shards.and_then(|shards| ShardCount::new(shards.get())) {
        tier.shards = shards;
    }
    tier.connect_timeout = redis.socket_connect_timeout.min(LONGEST);
    tier.response_timeout = redis.socket_timeout.min(LONGEST);
    if redis.ssl.is_on() {
        match tls(redis) {
            Ok(tls) => tier.tls = Some(tls),
            Err(unreadable) => problems.extend(unreadable),
        }
    }
    if let Err(refused) = tier.check() {
        problems.extend(refused.problems().iter().map(|problem| renamed(problem)));
    }
    match problems.is_empty() {
        true => Ok(tier),
        false => Err(problems.join("\n")),
    }
}

fn too_few_connections(redis: &Redis) -> Option<String> {
    let most = redis.max_connections.get();
    let (needed, replicas) = match redis.read_replicas.is_on() {
        true => (
            TO_A_MASTER + TO_A_REPLICA,
            format!(", and {TO_A_REPLICA} to each replica"),
        ),
        false => (TO_A_MASTER, String::new()),
    };
    (most < needed).then(|| {
        format!(
            "redis.max_connections: is {most}; a node has {TO_A_MASTER} connections to each master{replicas}, for requests and \
             events of two lanes: set {needed} or more, in a cluster for each of its masters"
        )
    })
}

/// Which servers, and the password there. Settings that were loaded name sentinels or a cluster, never both.
fn servers(redis: &Redis) -> (Servers, Option<&Secret>) {
    let password = redis.password.as_ref();
    if let Some(sentinels) = &redis.sentinels {
        let addresses = sentinels.addresses().map(|(host, port)| Address::new(host, port));
        let master = redis.sentinel_master.as_ref().map(ToString::to_string);
        let sentinel = Sentinel {
            master: master.unwrap_or_default(),
            addresses: addresses.collect(),
            username: redis.sentinel_user.as_ref().map(ToString::to_string),
            password: revealed(redis.sentinel_password.as_ref()),
        };
        return (Servers::Sentinel(sentinel), password);
    }
    match &redis.cluster_host {
        Some(host) => {
            let seed = Address::new(host.as_str(), redis.cluster_port.get());
            (
                Servers::Cluster(vec![seed]),
                redis.cluster_password.as_ref().or(password),
            )
        }
        None => {
            let address = Address::new(redis.host.as_str(), redis.port.get());
            (Servers::Single(address), password)
        }
    }
}

fn revealed(password: Option<&Secret>) -> Option<String> {
    password.map(|password| password.reveal().to_owned())
}

/// What the files hold, or which of them cannot be read.
fn tls(redis: &Redis) -> Result<Tls, Vec<String>> {
    let authorities = file("redis.ssl_ca_file", redis.ssl_ca_file.as_ref());
    let chain = file("redis.ssl_cert_file", redis.ssl_cert_file.as_ref());
    let key = file("redis.ssl_key_file", redis.ssl_key_file.as_ref());
    match (authorities, chain, key) {
        (Ok(authorities), Ok(chain), Ok(key)) => {
            let tls = Tls {
                authorities,
                client: None,
            };
            Ok(match (chain, key) {
                (None, None) => tls,
                // One without the other is refused as the other's emptiness.
                (chain, key) => tls.with_client(chain.unwrap_or_default(), key.unwrap_or_default()),
            })
        }
        (authorities, chain, key) => Err([authorities, chain, key]
            .into_iter()
            .filter_map(Result::err)
            .collect()),
    }
}

fn file(setting: &str, path: Option<&FilePath>) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = path else { return Ok(None) };
    std::fs::read(path.as_str()).map(Some).map_err(|error| {
        format!("{setting}: {path} cannot be read: {error}; name a file that this node's user may read")
    })
}

/// A problem of the tier's settings, under the name that the setting has here.
fn renamed(problem: &str) -> String {
    let own = problem.split_once(": ");
    let found = own.and_then(|(own, rest)| Some((NAMES.iter().find(|(name, _)| *name == own)?.1, rest)));
    found.map_or_else(|| problem.to_owned(), |(name, rest)| format!("{name}: {rest}"))
}

#[cfg(test)]
mod tests {
    use config::Sources;

    use super::*;

    fn mapped(given: &[&str]) -> Result<Settings, String> {
        let overrides = given
            .iter()
            .fold(config::Overrides::new(), |all, one| all.set(one));
        let loaded = Sources::new()
            .overrides(overrides)
            .load()
            .expect("right settings");
        redis_settings(&loaded.settings, "market")
    }

    #[test]
    fn one_server_is_reached_as_the_settings_say() {
        let settings = mapped(&[
            "redis.host=cache.internal",
            "redis.port=6380",
            "redis.db=3",
            "redis.password=open sesame",
            "redis.ssl=on",
            "redis.shards=256",
            "redis.socket_timeout=300ms",
        ])
        .expect("servers");
        assert_eq!(
            settings.servers,
            Servers::Single(Address::new("cache.internal", 6380))
        );
        assert_eq!((settings.database, settings.prefix.as_str()), (3, "market"));
        assert_eq!(settings.shards.count(), 256);
        assert_eq!(settings.password.as_deref(), Some("open sesame"));
        assert_eq!(settings.tls, Some(Tls::default()));
        assert_eq!(settings.response_timeout, Duration::from_millis(300));
        assert_eq!(settings.connect_timeout, LONGEST, "5 s would outlast a lease");
    }

    #[test]
    fn a_cluster_is_used_instead_of_the_one_server_with_its_own_password_or_the_other() {
        let cluster = [
            "redis.cluster_host=10.0.0.1",
            "redis.cluster_port=7000",
            "redis.db=0",
        ];
        let settings = mapped(&[&cluster[..], &["redis.password=one"]].concat()).expect("servers");
        assert_eq!(
            settings.servers,
            Servers::Cluster(vec![Address::new("10.0.0.1", 7000)])
        );
        assert_eq!(settings.password.as_deref(), Some("one"));
        let both = ["redis.password=one", "redis.cluster_password=two"];
        let settings = mapped(&[&cluster[..], &both].concat()).expect("servers");
        assert_eq!(settings.password.as_deref(), Some("two"));
        assert_eq!(settings.tls, None);
        assert_eq!(settings.shards, Servers::CLUSTER_SHARDS, "unless told otherwise");
    }

    #[test]
    fn sentinels_are_asked_for_the_master_as_their_own_user() {
        let settings = mapped(&[
            "redis.sentinels=10.0.0.1,10.0.0.2:5000",
            "redis.sentinel_master=market",
            "redis.sentinel_user=watcher",
            "redis.sentinel_password=two",
            "redis.user=edge",
            "redis.password=one",
            "redis.db=3",
            "redis.read_replicas=on",
        ])
        .expect("servers");
        let sentinel = Sentinel {
            master: "market".to_owned(),
            addresses: vec![Address::new("10.0.0.1", 26_379), Address::new("10.0.0.2", 5_000)],
            username: Some("watcher".to_owned()),
            password: Some("two".to_owned()),
        };
        assert_eq!(settings.servers, Servers::Sentinel(sentinel));
        assert_eq!((settings.database, settings.read_replicas), (3, true));
        assert_eq!(settings.username.as_deref(), Some("edge"));
        assert_eq!(settings.password.as_deref(), Some("one"));
        assert!(!mapped(&[]).expect("servers").read_replicas, "off by default");
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_its_name_all_at_once() {
        let refused = mapped(&[
            "redis.cluster_host=10.0.0.1",
            "redis.db=1",
            "redis.read_replicas=on",
            "redis.max_connections=5",
            "performance.connection_pool_size=5",
        ])
        .expect_err("too few, and no such database");
        let lines: Vec<_> = refused.lines().collect();
        assert!(
            lines[0].starts_with("redis.max_connections: is 5") && lines[0].contains("set 6 or more"),
            "{refused}"
        );
        assert_eq!(lines[1..], ["redis.db: is 1; a cluster has 0 alone: set 0"]);
        let few = ["redis.max_connections=3", "performance.connection_pool_size=3"];
        let refused = mapped(&few).expect_err("too few");
        assert!(refused.contains("set 4 or more"), "{refused}");
    }

    #[test]
    fn files_that_cannot_be_read_are_named_each_with_its_setting() {
        let refused = mapped(&[
            "redis.ssl=on",
            "redis.ssl_ca_file=no/such.pem",
            "redis.ssl_cert_file=src",
            "redis.ssl_key_file=no/such.key",
        ])
        .expect_err("no such files");
        let lines: Vec<_> = refused.lines().collect();
        for (line, begin) in lines.iter().zip([
            "redis.ssl_ca_file: no/such.pem cannot be read: ",
            "redis.ssl_cert_file: src cannot be read: ",
            "redis.ssl_key_file: no/such.key cannot be read: ",
        ]) {
            assert!(
                line.starts_with(begin) && line.contains("; name a file"),
                "{refused}"
            );
        }
        assert_eq!(lines.len(), 3, "{refused}");
    }

    #[test]
    fn files_without_certificates_are_refused_by_their_settings() {
        let file = "Cargo.toml";
        let given =
            ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"].map(|name| format!("redis.{name}={file}"));
        let refused =
            mapped(&["redis.ssl=on", &given[0], &given[1], &given[2]]).expect_err("no certificates");
        let named: Vec<_> = refused
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        let expected = ["redis.ssl_ca_file", "redis.ssl_cert_file", "redis.ssl_key_file"];
        assert_eq!(named, expected, "{refused}");
    }
}
