//! From the settings in force to those of the shared tier on Redis.
//!
//! It connects to nothing. Settings that mean nothing to this tier are named here and in their descriptions; one that cannot be
//! obeyed is refused.

use std::time::Duration;

use cache_core::Lane;
use cache_redis::{Address, Servers, Settings, Tls};

/// Connections to a master, for each lane: one for requests, one for the bus.
const CONNECTIONS: usize = 2 * Lane::ALL.len();

/// The longest that anything at the servers may take, however long the settings would wait: two attempts must fit into a lease,
/// so that a dead connection is replaced before what it proves is over.
const LONGEST: Duration = Duration::from_secs(1);

/// The settings of the shared tier: which servers, with which password, encrypted or not, and how long they may take.
///
/// `redis.socket_timeout` and `redis.socket_connect_timeout` count up to a second. `redis.retry_on_timeout`,
/// `redis.health_check_interval` and `performance.connection_pool_size` mean nothing here: what is repeated is decided by what
/// it does, heartbeats check every connection to the bus three times in a lease, and the connections to a master are four.
///
/// # Errors
/// What cannot be obeyed, by the name of its setting, and what would be right.
pub fn redis_settings(settings: &config::Settings, prefix: &str) -> Result<Settings, String> {
    let redis = &settings.redis;
    let most = redis.max_connections.get();
    if most < CONNECTIONS {
        return Err(format!(
            "redis.max_connections: is {most}; a node has {CONNECTIONS} connections to each master, for requests and events of \
             two lanes: set {CONNECTIONS} or more, in a cluster for each of its masters"
        ));
    }
    let (servers, password) = match &redis.cluster_host {
        None => {
            let address = Address::new(redis.host.as_str(), redis.port.get());
            (Servers::Single(address), redis.password.as_ref())
        }
        Some(_) if redis.db.get() != 0 => {
            return Err(format!(
                "redis.db: is {}; a cluster has database 0 alone: set redis.db=0, or no redis.cluster_host",
                redis.db.get()
            ));
        }
        Some(host) => {
            let seed = Address::new(host.as_str(), redis.cluster_port.get());
            let password = redis.cluster_password.as_ref().or(redis.password.as_ref());
            (Servers::Cluster(vec![seed]), password)
        }
    };
    let mut tier = Settings::of(servers).with_prefix(prefix);
    tier.database = u16::from(redis.db.get());
    tier.password = password.map(|password| password.reveal().to_owned());
    tier.tls = redis.ssl.is_on().then(Tls::default);
    tier.connect_timeout = redis.socket_connect_timeout.min(LONGEST);
    tier.response_timeout = redis.socket_timeout.min(LONGEST);
    Ok(tier)
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
            "redis.socket_timeout=300ms",
        ])
        .expect("servers");
        assert_eq!(
            settings.servers,
            Servers::Single(Address::new("cache.internal", 6380))
        );
        assert_eq!((settings.database, settings.prefix.as_str()), (3, "market"));
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
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_its_name() {
        let refused = mapped(&["redis.cluster_host=10.0.0.1", "redis.db=1"]).expect_err("no such database");
        assert!(refused.starts_with("redis.db: is 1"), "{refused}");
        let few = ["redis.max_connections=3", "performance.connection_pool_size=3"];
        let refused = mapped(&few).expect_err("too few");
        assert!(
            refused.starts_with("redis.max_connections: is 3") && refused.contains("set 4 or more"),
            "{refused}"
        );
    }
}
