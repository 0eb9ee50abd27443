//! Settings as one line of text: `redis://`, `redis-cluster://` and `redis-sentinel://`, each with TLS as `rediss…`.
//!
//! What has no place in an address - timeouts, prefix, certificates - is set on the settings.

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::servers::Sentinel;
use crate::tls::Tls;
use crate::{Address, Servers, Settings, SettingsError};

/// What each kind looks like, for whoever wrote another one.
const RIGHT: &str = "write redis://user:password@host:port/database, redis-cluster://user:password@host:port,host:port \
                     or redis-sentinel://user:password@host:port,host:port/master/database; rediss... for TLS";

pub(crate) fn settings(url: &str) -> Result<Settings, SettingsError> {
    let refused = |problem: &str| SettingsError::one(format!("url: {problem}; {RIGHT}"));
    let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("it has no scheme"))?;
    let (tls, kind) = match scheme.strip_prefix("rediss") {
        Some(kind) => (Some(Tls::default()), kind),
        None => (None, scheme.strip_prefix("redis").unwrap_or("?")),
    };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (format!("{user}@"), place),
        None => (String::new(), rest),
    };
    // What reads the rest would take the user for the host, and name it wherever it cannot be reached.
    if user.contains(['/', '?', '#']) {
        return Err(refused(
            "its user or password has a '/', '?' or '#'; write these as %2F, %3F and %23",
        ));
    }
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    let addresses = || -> Result<Vec<Address>, SettingsError> {
        hosts
            .split(',')
            .map(|host| {
                host.parse()
                    .map_err(|_no_address| refused("a host or port is none"))
            })
            .collect()
    };
    let mut settings = match kind {
        "" if hosts.contains(',') => {
            return Err(refused(
                "several hosts are a cluster or sentinels, and must be called so",
            ));
        }
        "" => one(&user, hosts, path)?,
        "-cluster" => Settings {
            servers: Servers::Cluster(addresses()?),
            shards: Servers::CLUSTER_SHARDS,
            ..one(&user, "cluster", path)?
        },
        "-sentinel" => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let sentinel = Sentinel {
                master: master.to_owned(),
                addresses: addresses()?,
                username: None,
                password: None,
            };
            Settings {
                servers: Servers::Sentinel(sentinel),
                ..one(&user, "master", database)?
            }
        }
        _ => return Err(refused("its scheme is not known")),
    };
    settings.tls = tls;
    Ok(settings)
}

/// The client's own reading of an address of one server: escapes, user, database.
fn one(user: &str, host: &str, database: &str) -> Result<Settings, SettingsError> {
    let refused = |problem: &str| SettingsError::one(format!("url: {problem}; {RIGHT}"));
    let known = format!("redis://{user}{host}/{database}")
        .into_connection_info()
        .map_err(|error| refused(error.category()))?;
    let ConnectionAddr::Tcp(host, port) = known.addr() else {
        return Err(refused("only TCP addresses are known"));
    };
    let (redis, mut settings) = (known.redis_settings(), Settings::at(host, *port));
    settings.database =
        u16::try_from(redis.db()).map_err(|_out_of_range| refused("its database is no number from 0"))?;
    settings.username = redis.username().map(str::to_owned);
    settings.password = redis.password().map(str::to_owned);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_details_has_the_defaults() {
        let plain = Settings::at("cache.internal", 6379);
        assert_eq!(settings("redis://cache.internal"), Ok(plain.clone()));
        let encrypted = Settings {
            tls: Some(Tls::default()),
            ..plain
        };
        assert_eq!(settings("rediss://cache.internal"), Ok(encrypted));
    }

    #[test]
    fn a_cluster_and_sentinels_have_several_addresses_and_one_user() {
        let cluster = settings("redis-cluster://market:s%40cret@a:7000,b,[::1]:7").expect("a cluster");
        let seeds = [("a", 7000), ("b", 6379), ("::1", 7)].map(|(host, port)| Address::new(host, port));
        assert_eq!(cluster.servers, Servers::Cluster(seeds.to_vec()));
        assert_eq!(cluster.username.as_deref(), Some("market"));
        assert_eq!(cluster.password.as_deref(), Some("s@cret"));

        let watched = settings("rediss-sentinel://:secret@a:26379,b:26379/market/3").expect("sentinels");
        let Servers::Sentinel(sentinel) = &watched.servers else {
            panic!("{watched:?}")
        };
        assert_eq!(
            (sentinel.master.as_str(), sentinel.addresses.len()),
            ("market", 2)
        );
        assert_eq!((watched.database, watched.tls.is_some()), (3, true));
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for url in [
            "redis://:secret@host:port",
            "secret",
            "http://:secret@host",
            "redis://:secret@host/x",
            "redis://:secret@a,b",
            "redis-cluster://:secret@a,b:port",
            "redis-ring://:secret@a",
            "unix:///tmp/secret",
            "redis://:se/secret@host",
            "redis://secret:12/0#x@host",
            "redis://secret:12?x@host",
            "redis-sentinel://secret:12/0@host/market",
            "redis://:secret",
            "redis://:secret@",
            "redis://:%FF%FEsecret@host",
            "redis-cluster://:secret@a,,b",
        ] {
            let refused = settings(url).expect_err(url).to_string();
            assert!(!refused.contains("secret"), "{refused}");
            assert!(refused.contains("redis://user"), "{refused}");
        }
    }
}
