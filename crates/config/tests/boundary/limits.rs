//! Every limit at both of its edges.
//!
//! Says nothing of layers: all values come by `--set`.

use std::time::Duration;

use crate::{lines, needed, set, value};
use config::{Overrides, SETTINGS, Setting, Sources, Switch};

const HOST: &str = "a host name or an IP address, without scheme and port";
const NAME: &str = "1 to 64 letters, digits, '.', '_' or '-'";
const COUNT: &str = "a whole number of at least 1";
const TIME: &str = "a time above 0 and of at most 1h, such as 10 or 10s, 500ms or 2m";
const SWITCH: &str = "one of on, off";

/// A kind of values: what is expected, what is right at the edges and inside, what is wrong just beyond them.
type Limit = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

#[rustfmt::skip]
const LIMITS: &[Limit] = &[
    (&["redis.host"], HOST,
        &["a", "localhost", "redis-1.internal", "10.0.0.1", "::1", "my_redis"],
        &["", " ", "redis://a", "a:6379", "a b", "user@a", "a/0"]),
    (&["redis.port", "redis.cluster_port"], "a whole number from 1 to 65535",
        &["1", "6379", "65535"],
        &["", "0", "65536", "99999", "-1", "six", "6379.5", "tcp://10.0.0.1:6379"]),
    (&["redis.db"], "a whole number from 0 to 15",
        &["0", "1", "15"],
        &["", "-1", "16", "256", "one"]),
    (&["redis.shards"], "a power of two from 8 to 4096, or nothing",
        &["", "8", "64", "4096"],
        &["0", "4", "48", "8192", "-8", "many"]),
    (&["redis.max_connections", "cache.l1_size", "cache.event_queue_size", "cache.invalidation_batch_size",
       "performance.connection_pool_size", "performance.max_event_queue_size", "performance.event_processing_workers"], COUNT,
        &["1", "10"],
        &["", "0", "-1", "1.5", "many", "99999999999999999999999"]),
    (&["cache.l1_ttl_multiplier"], "a number from 0.1 to 1.0 with at most 3 decimals",
        &["0.1", "0.10", "0.101", "0.3", "0.999", "1", "1.0", "1.000"],
        &["", "0", "0.099", "1.001", "1.1", "-0.3", "0.3333", ".3", "1.", "0,3", "65.636", "NaN", "inf", "1e-1"]),
    (&["cache.stats_retention_hours", "market.longest_booking_hours", "market.booking_lead_hours"], "a whole number of hours from 1 to 8760",
        &["1", "24", "8760"],
        &["", "0", "8761", "-1", "24h"]),
    (&["redis.socket_timeout", "redis.socket_connect_timeout", "redis.health_check_interval",
       "cache.event_processing_timeout", "cache.health_check_interval", "market.late_start", "market.quote_life"], TIME,
        &["1ms", "0.001", "5", "2.5", "10s", "10 s", "2m", "1.5m", "1h", "3600", "3600000ms"],
        &["", "0", "0s", "0.5ms", "0.0005", "3601", "3600001ms", "1.001h", "-1", "5d", "s", "five", "18446744073709551615h"]),
    (&["redis.ssl", "redis.retry_on_timeout", "redis.read_replicas", "features.enable_l1", "features.enable_event_driven",
       "features.enable_compression", "features.enable_metrics", "features.enable_health_checks",
       "performance.warmup_enabled", "security.enable_tls", "security.require_auth",
       "security.allow_lossy_bookings"], SWITCH,
        &["off", "false", "False", "no", "0"],
        &["", "2", "maybe", "disabled", "o"]),
    (&["edge_node.id", "edge_node.region"], NAME,
        &["a", "us-east", "node_1.rack-2", "0123456789012345678901234567890123456789012345678901234567890123"],
        &["", " ", "us east", "us:east", "é", "01234567890123456789012345678901234567890123456789012345678901234"]),
    (&["edge_node.network_tier"], "one of standard, premium, edge",
        &["standard", "premium", "edge", "Premium"],
        &["", "regional", "fast"]),
    (&["edge_node.cache_tier"], "one of edge, regional, global",
        &["edge", "regional", "global", "GLOBAL"],
        &["", "premium", "local"]),
    (&["environment"], "one of development, staging, production, edge, regional",
        &["development"],
        &["", "prod", "test"]),
    (&["edge_node.datacenter", "edge_node.rack", "edge_node.availability_zone"], "1 to 64 letters, digits, '.', '_' or '-', or nothing",
        &["", "dc-1"],
        &[" ", "dc 1"]),
    (&["market.region_distances"],
        "pairs of regions with a whole number, such as us-east/us-west=60, us-east/europe=80, or nothing",
        &["", "us-east/us-west=60", "a/b=0,a/c=4294967295", " a / b = 1 , b/c=2"],
        &["a/b", "a=1", "a/b=-1", "a/b=4294967296", "a/b=1,", "a b/c=1", "a/b/c=1"]),
    (&["redis.cluster_host"], "a host name or an IP address, without scheme and port, or nothing",
        &["", "node-1.cluster"],
        &["node-1:6379"]),
    (&["redis.user", "redis.sentinel_user"], "a user's name without blanks, or nothing",
        &["", "edge", "edge-node@market"],
        &[" ", "edge node", "a\0"]),
    (&["redis.ssl_ca_file", "redis.ssl_cert_file", "redis.ssl_key_file"], "the path of a file, or nothing",
        &["", "/etc/ssl/my authority.pem", "ca.pem"],
        &[" ", "a\nb"]),
    (&["redis.sentinels"],
        "hosts, each with a port unless it is 26379, such as 10.0.0.1:26379,10.0.0.2:26379, or nothing",
        &["", "a", "a:1", "a:65535, 10.0.0.2", "::1", "[::1]", "[::1]:7,b"],
        &[" ", ",", "a,", "a:", "a:0", "a:65536", ":1", "[a]:1", "[::1]1", "redis://a", "user@a", "a b"]),
    (&["redis.sentinel_master"], "1 to 64 letters, digits, '.', '_' or '-', or nothing",
        &["", "market", "my-master_1.a"],
        &[" ", "my master"]),
    (&["redis.password", "redis.cluster_password", "redis.sentinel_password", "security.auth_token"],
        "a text without line breaks (was it read from a file that ends in one?), or nothing",
        &["", " blank at both ends "],
        &["line\n", "\n", "\0"]),
];

#[test]
fn what_lies_within_the_limits_is_taken() {
    for (paths, _, right, _) in LIMITS {
        for (path, text) in each(paths, right) {
            let given = Overrides::new().set("performance.connection_pool_size=1");
            // Nothing asks for nothing.
            let needed = needed(path).iter().filter(|_| !text.is_empty());
            let given = needed.fold(given, |all, one| all.set(one));
            let loaded = Sources::new()
                .overrides(given.set(&format!("{path}={text}")))
                .load();
            assert_eq!(loaded.err(), None, "{path} = {text:?}");
        }
    }
}

#[test]
fn what_lies_beyond_a_limit_is_refused_with_its_path_and_what_would_be_right() {
    for (paths, expected, _, wrong) in LIMITS {
        for (path, text) in each(paths, wrong) {
            let problems = set(&format!("{path}={text}")).expect_err(text);
            assert_eq!(problems.iter().len(), 1, "{problems}");
            let problem = problems.iter().next().unwrap();
            // Behind it may stand what was meant.
            let (right, _meant) = problem
                .expected
                .split_once("; did you mean")
                .unwrap_or((&problem.expected, ""));
            assert_eq!((problem.path.as_str(), right), (path, *expected), "{text:?}");
        }
    }
}

#[test]
fn every_setting_has_its_limits_tested() {
    let mut tested: Vec<_> = LIMITS.iter().flat_map(|(paths, ..)| *paths).copied().collect();
    let mut all: Vec<_> = SETTINGS.iter().map(|setting| setting.path).collect();
    tested.sort_unstable();
    all.sort_unstable();
    assert_eq!(tested, all);
}

#[test]
fn a_port_above_65535_is_refused_with_its_path() {
    assert_eq!(
        lines(set("redis.port=99999")),
        ["redis.port = \"99999\" (flag --set redis.port): expected a whole number from 1 to 65535"]
    );
}

#[test]
fn a_time_without_unit_is_in_seconds() {
    let timeout = |text: &str| {
        set(&format!("redis.socket_timeout={text}"))
            .unwrap()
            .settings
            .redis
            .socket_timeout
    };
    assert_eq!(timeout("10"), Duration::from_secs(10));
    assert_eq!(timeout("2.5"), Duration::from_millis(2500));
    assert_eq!(timeout("250ms"), Duration::from_millis(250));
    assert_eq!(timeout("1.5m"), Duration::from_secs(90));
}

#[test]
fn hours_and_shares_are_what_they_say() {
    let cache = set("cache.l1_ttl_multiplier=0.25").unwrap().settings.cache;
    assert_eq!(
        cache.stats_retention_hours.duration(),
        Duration::from_secs(24 * 3600)
    );
    assert_eq!(cache.l1_ttl_multiplier.thousandths(), 250);
    assert_eq!(
        cache.l1_ttl_multiplier.of(Duration::from_secs(2)),
        Duration::from_millis(500)
    );
}

#[test]
fn a_switch_understands_every_customary_word() {
    for (words, expected) in [
        ("on true TRUE yes 1", Switch::On),
        ("off false FALSE no 0", Switch::Off),
    ] {
        for word in words.split(' ') {
            let loaded = set(&format!("features.enable_l1={word}")).unwrap();
            assert_eq!(loaded.settings.features.enable_l1, expected, "{word}");
        }
    }
}

#[test]
fn blanks_around_a_value_do_not_matter_unless_it_is_secret() {
    let loaded = set("redis.host=  redis.internal ").unwrap();
    assert_eq!(value(&loaded, "redis.host"), "redis.internal");
    let loaded = set("redis.password= p ").unwrap();
    assert_eq!(loaded.settings.redis.password.unwrap().reveal(), " p ");
}

#[test]
fn a_refused_text_says_what_would_be_right() {
    let refused = "x y".parse::<config::Region>().unwrap_err();
    assert_eq!(refused.to_string(), format!("expected {NAME}"));
    assert_eq!(Setting::find("edge_node.region").unwrap().expects(), NAME);
}

fn each<'a>(paths: &'a [&'a str], texts: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    paths
        .iter()
        .flat_map(|path| texts.iter().map(|text| (*path, *text)))
}
