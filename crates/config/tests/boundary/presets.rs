//! The values of the presets.
//!
//! Written down a second time on purpose: a preset is a promise to operators, and changing one must be meant.

use crate::{environment, lines, load_preset, value};
use config::{Origin, PresetValue, SETTINGS, Setting, Sources};

const NAMES: [&str; 5] = ["development", "staging", "production", "edge", "regional"];

const STAGING: &str = "redis-staging.internal";
const CLUSTER: &str = "redis-cluster.internal";

#[rustfmt::skip]
const VALUES: &[(&str, [&str; 5])] = &[
    ("redis.host",                  ["localhost", STAGING, CLUSTER, CLUSTER, CLUSTER]),
    ("redis.port",                  ["6379", "6379", "6379", "6379", "6379"]),
    ("redis.ssl",                   ["off", "on", "on", "on", "on"]),
    ("redis.db",                    ["1", "0", "0", "0", "0"]),
    ("redis.max_connections",       ["20", "20", "50", "50", "50"]),
    ("redis.socket_timeout",        ["5s", "5s", "10s", "10s", "10s"]),
    ("redis.socket_connect_timeout", ["5s", "5s", "10s", "10s", "10s"]),
    ("cache.l1_size",               ["100", "500", "2000", "500", "5000"]),
    ("cache.l1_ttl_multiplier",     ["0.3", "0.4", "0.6", "0.3", "0.8"]),
    ("cache.event_queue_size",      ["1000", "5000", "20000", "20000", "20000"]),
    ("performance.event_processing_workers", ["4", "4", "8", "2", "6"]),
    ("features.enable_metrics",     ["off", "on", "on", "on", "on"]),
    ("features.enable_health_checks", ["off", "on", "on", "on", "on"]),
    ("edge_node.cache_tier",        ["edge", "edge", "edge", "edge", "regional"]),
    ("edge_node.network_tier",      ["standard", "standard", "premium", "edge", "premium"]),
];

#[test]
fn every_preset_has_the_values_it_promises() {
    for (column, preset) in NAMES.into_iter().enumerate() {
        let loaded = load_preset(preset, &[]);
        for (path, values) in VALUES {
            assert_eq!(value(&loaded, path), values[column], "{path} of {preset}");
        }
    }
}

#[test]
fn without_environment_the_preset_is_development() {
    let loaded = Sources::new().load().unwrap();
    assert_eq!(value(&loaded, "environment"), "development");
    assert_eq!(
        loaded.origin("redis.db").unwrap().to_string(),
        "preset development"
    );
}

#[test]
fn a_preset_names_itself_as_origin_even_for_what_it_takes_from_production() {
    let loaded = load_preset("edge", &[]);
    assert_eq!(loaded.origin("redis.host").unwrap().to_string(), "preset edge");
}

#[test]
fn what_a_preset_requires_is_named_with_every_way_to_give_it() {
    let problems = lines(environment(&[("ENVIRONMENT", "staging")]).load());
    assert_eq!(
        problems,
        [
            "edge_node.id (preset staging): expected a value: \
             set EDGE_NODE_ID, --edge-node-id, or edge_node.id in the file",
            "edge_node.region (preset staging): expected a value: \
             set EDGE_NODE_REGION, --edge-node-region, or edge_node.region in the file",
        ]
    );
}

#[test]
fn production_and_its_kin_require_a_password() {
    for preset in ["production", "edge", "regional"] {
        let variables = [
            ("ENVIRONMENT", preset),
            ("EDGE_NODE_ID", "n"),
            ("EDGE_NODE_REGION", "r"),
        ];
        let empty = [&variables[..], &[("REDIS_PASSWORD", "")]].concat();
        for variables in [&variables[..], &empty] {
            let problems = environment(variables).load().unwrap_err();
            let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, ["redis.password"], "{preset}");
        }
    }
}

#[test]
fn every_default_and_every_preset_value_is_written_in_its_customary_form() {
    for preset in NAMES {
        let loaded = load_preset(preset, &[]);
        for one in loaded.effective {
            if matches!(one.origin, Origin::Environment(_)) {
                continue;
            }
            let written = match one.setting.preset(preset.parse().unwrap()) {
                Some(PresetValue::Is(text)) => text,
                Some(PresetValue::Required) | None => one.setting.default,
            };
            assert_eq!(one.value, written, "{} of {preset}", one.setting.path);
        }
    }
}

#[test]
fn the_variables_are_those_that_operators_know() {
    let mut expected = vec!["ENVIRONMENT".to_owned()];
    for (prefix, names) in VARIABLES {
        expected.extend(names.split_whitespace().map(|name| format!("{prefix}{name}")));
    }
    let mut actual: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    expected.sort();
    actual.sort();
    assert_eq!(actual, expected);
}

const VARIABLES: [(&str, &str); 4] = [
    (
        "MARKET_",
        "LONGEST_BOOKING_HOURS BOOKING_LEAD_HOURS LATE_START QUOTE_LIFE REGION_DISTANCES",
    ),
    (
        "REDIS_",
        "HOST PORT DB PASSWORD SSL MAX_CONNECTIONS SOCKET_TIMEOUT SOCKET_CONNECT_TIMEOUT RETRY_ON_TIMEOUT
         HEALTH_CHECK_INTERVAL CLUSTER_HOST CLUSTER_PORT CLUSTER_PASSWORD USER SSL_CA_FILE SSL_CERT_FILE SSL_KEY_FILE
         SENTINELS SENTINEL_MASTER SENTINEL_USER SENTINEL_PASSWORD READ_REPLICAS SHARDS",
    ),
    (
        "EDGE_NODE_",
        "ID REGION DATACENTER RACK AVAILABILITY_ZONE NETWORK_TIER CACHE_TIER",
    ),
    (
        "CACHE_",
        "L1_SIZE L1_TTL_MULTIPLIER EVENT_QUEUE_SIZE EVENT_PROCESSING_TIMEOUT INVALIDATION_BATCH_SIZE
         STATS_RETENTION_HOURS HEALTH_CHECK_INTERVAL ENABLE_L1 ENABLE_EVENT_DRIVEN ENABLE_COMPRESSION
         ENABLE_METRICS ENABLE_HEALTH_CHECKS CONNECTION_POOL_SIZE MAX_EVENT_QUEUE_SIZE
         EVENT_PROCESSING_WORKERS WARMUP_ENABLED ENABLE_TLS REQUIRE_AUTH AUTH_TOKEN
         ALLOW_LOSSY_BOOKINGS",
    ),
];
