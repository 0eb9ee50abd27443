//! All problems at once, suggestions, and the rules that span two settings.
//!
//! Says nothing of the form of the file: see `files.rs`.

use crate::{environment, lines, set};
use config::{Overrides, Sources};

#[test]
fn mistakes_in_all_layers_are_reported_at_once() {
    let problems = environment(&[
        ("REDIS_PORT", "0"),
        ("REDIS_PROT", "1"),
        ("CACHE_L1_TTL_MULTIPLIER", "2"),
    ])
    .file("edge.yaml", "redis:\n  db: 16\n  hst: a\ncache:\n  l1_size: 0\n")
    .overrides(
        Overrides::new()
            .set("edge_node.network_tier=fast")
            .flag("--reds-port", "1"),
    )
    .load();
    assert_eq!(
        lines(problems),
        [
            "redis.hst (file edge.yaml line 3): expected a known setting; did you mean redis.host?",
            "REDIS_PROT (environment REDIS_PROT): expected a known variable; did you mean REDIS_PORT?",
            "--reds-port (flag --reds-port): expected a known flag; did you mean --redis-port?",
            "redis.port = \"0\" (environment REDIS_PORT): expected a whole number from 1 to 65535",
            "redis.db = \"16\" (file edge.yaml line 2): expected a whole number from 0 to 15",
            "edge_node.network_tier = \"fast\" (flag --set edge_node.network_tier): \
             expected one of standard, premium, edge",
            "cache.l1_size = \"0\" (file edge.yaml line 5): expected a whole number of at least 1",
            "cache.l1_ttl_multiplier = \"2\" (environment CACHE_L1_TTL_MULTIPLIER): \
             expected a number from 0.1 to 1.0 with at most 3 decimals",
        ]
    );
}

#[test]
fn a_wrong_value_is_reported_even_if_a_later_layer_overrides_it() {
    let problems = environment(&[("REDIS_PORT", "6380")])
        .file("edge.yaml", "redis.port: 0")
        .load();
    assert_eq!(
        lines(problems),
        ["redis.port = \"0\" (file edge.yaml line 1): expected a whole number from 1 to 65535"]
    );
}

#[test]
fn the_same_setting_may_be_wrong_in_several_layers() {
    let problems = environment(&[("REDIS_PORT", "b")])
        .file("edge.yaml", "redis.port: a")
        .load();
    assert_eq!(problems.unwrap_err().iter().len(), 2);
}

#[test]
fn an_unknown_preset_does_not_hide_other_mistakes_nor_invent_any() {
    let problems = environment(&[
        ("ENVIRONMENT", "prod"),
        ("CACHE_ENABLE_TLS", "on"),
        ("REDIS_DB", "99"),
    ])
    .load();
    assert_eq!(
        lines(problems),
        [
            "environment = \"prod\" (environment ENVIRONMENT): \
             expected one of development, staging, production, edge, regional; did you mean production?",
            "redis.db = \"99\" (environment REDIS_DB): expected a whole number from 0 to 15",
        ]
    );
}

#[test]
fn a_choice_that_was_shortened_or_misspelled_is_suggested_and_a_far_one_is_not() {
    for (written, expected) in [
        ("dev", "; did you mean development?"),
        ("Stage", "; did you mean staging?"),
        ("prodution", "; did you mean production?"),
        ("test", "regional"),
    ] {
        let lines = lines(environment(&[("ENVIRONMENT", written)]).load());
        assert!(lines[0].ends_with(expected), "{lines:?}");
    }
    let lines = lines(set("edge_node.network_tier=premum"));
    assert!(lines[0].ends_with("; did you mean premium?"), "{lines:?}");
}

#[test]
fn what_others_call_a_setting_is_answered_with_its_name_here() {
    assert_eq!(
        lines(environment(&[("REDIS_URL", "redis://:secret@cache")]).load()),
        [
            "REDIS_URL (environment REDIS_URL): expected a known variable; an address is set in its parts here: REDIS_HOST, \
             REDIS_PORT, REDIS_DB, REDIS_USER, REDIS_PASSWORD, REDIS_SSL"
        ]
    );
    assert_eq!(
        lines(
            environment(&[])
                .overrides(Overrides::new().flag("--redis-username", "ada"))
                .load()
        ),
        ["--redis-username (flag --redis-username): expected a known flag; it is --redis-user here"]
    );
    let parts = lines(set("redis.url=redis://:secret@cache"));
    assert!(
        parts[0].contains("redis.host, redis.port") && !parts[0].contains("secret"),
        "{parts:?}"
    );
}

#[test]
fn near_names_are_suggested_and_far_ones_are_not() {
    for (name, expected) in [
        ("redis.prot", "; did you mean redis.port?"),
        ("redis.Port", "; did you mean redis.port?"),
        ("cache.port", "; did you mean redis.port?"),
        ("features.l1_size", "; did you mean cache.l1_size?"),
        (
            "cache.l1_ttl_multipler",
            "; did you mean cache.l1_ttl_multiplier?",
        ),
        ("edge_node.zone", ""),
        ("redis.cluster_pasword", "; did you mean redis.cluster_password?"),
        ("redsi.host", "; did you mean redis.host?"),
        ("colour", ""),
        ("", ""),
    ] {
        let problems = lines(set(&format!("{name}=1")));
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].ends_with(&format!("expected a known setting{expected}")),
            "{problems:?}"
        );
    }
}

#[test]
fn every_variable_with_its_last_letters_swapped_is_put_right() {
    for setting in config::SETTINGS
        .iter()
        .filter(|setting| !setting.section.is_empty())
    {
        let right = setting.variable();
        let (rest, last) = right.split_at(right.len() - 2);
        let wrong: String = rest.chars().chain(last.chars().rev()).collect();
        let problems = lines(environment(&[(&wrong, "1")]).load());
        assert!(
            problems[0].ends_with(&format!("did you mean {right}?")),
            "{problems:?}"
        );
    }
}

#[test]
fn an_assignment_without_a_value_says_how_to_write_it() {
    assert_eq!(
        lines(set("redis.port")),
        ["redis.port (flag --set redis.port): expected --set redis.port=VALUE"]
    );
}

#[test]
fn more_idle_connections_than_may_be_open_are_refused_with_both_origins() {
    assert!(environment(&[("REDIS_MAX_CONNECTIONS", "10")]).load().is_ok());
    assert_eq!(
        lines(environment(&[("REDIS_MAX_CONNECTIONS", "9")]).load()),
        [
            "performance.connection_pool_size = \"10\" (default): expected no more connections than may be open, \
          because redis.max_connections is 9 (environment REDIS_MAX_CONNECTIONS)"
        ]
    );
}

#[test]
fn tls_that_is_demanded_but_switched_off_is_refused() {
    let both = [("CACHE_ENABLE_TLS", "on"), ("REDIS_SSL", "on")];
    assert!(environment(&both).load().is_ok());
    assert_eq!(
        lines(environment(&both[..1]).load()),
        ["redis.ssl = \"off\" (default): expected on, \
          because security.enable_tls is on (environment CACHE_ENABLE_TLS)"]
    );
}

#[test]
fn authentication_without_a_token_is_refused() {
    let both = [("CACHE_REQUIRE_AUTH", "on"), ("CACHE_AUTH_TOKEN", "t")];
    assert!(environment(&both).load().is_ok());
    assert!(
        lines(environment(&both[..1]).load())[0]
            .starts_with("security.auth_token = \"\" (default): expected a token, because")
    );
}

#[test]
fn the_password_of_a_cluster_without_its_host_is_refused_and_not_shown() {
    let both = [("REDIS_CLUSTER_PASSWORD", "hunter2"), ("REDIS_CLUSTER_HOST", "a")];
    assert!(environment(&both).load().is_ok());
    assert_eq!(
        lines(environment(&both[..1]).load()),
        ["redis.cluster_host = \"\" (default): expected a host, \
          because redis.cluster_password is [redacted] (environment REDIS_CLUSTER_PASSWORD)"]
    );
}

#[test]
fn a_rule_is_silent_about_a_value_that_was_refused_anyway() {
    let problems = environment(&[("CACHE_ENABLE_TLS", "on"), ("REDIS_SSL", "sure")]).load();
    assert_eq!(
        lines(problems),
        ["redis.ssl = \"sure\" (environment REDIS_SSL): expected one of on, off"]
    );
}

#[test]
fn broken_rules_are_reported_together_with_wrong_values() {
    let problems = environment(&[("CACHE_ENABLE_TLS", "on"), ("REDIS_PORT", "0")]).load();
    assert_eq!(problems.unwrap_err().iter().len(), 2);
}

#[test]
fn the_message_counts_the_problems() {
    let one = Sources::new().file("f", "redis.port: 0").load().unwrap_err();
    assert!(one.to_string().starts_with("1 setting is wrong:\n  redis.port"));
    let two = Sources::new()
        .file("f", "redis.port: 0\nredis.db: -1")
        .load()
        .unwrap_err();
    assert!(two.to_string().starts_with("2 settings are wrong:\n  redis.port"));
}

#[test]
fn settings_of_redis_that_cannot_be_obeyed_together_are_refused_with_what_would_be_right() {
    let from = |path: &str| format!("(flag --set {path})");
    for (given, expected) in [
        (
            &["redis.user=edge"][..],
            vec![format!(
                "redis.password = \"\" (default): expected a password, because redis.user is edge {}",
                from("redis.user")
            )],
        ),
        (
            &["redis.ssl_ca_file=ca.pem", "redis.ssl_key_file=node.key"],
            vec![
                format!(
                    "redis.ssl = \"off\" (default): expected on, because redis.ssl_ca_file is ca.pem {}",
                    from("redis.ssl_ca_file")
                ),
                format!(
                    "redis.ssl_cert_file = \"\" (default): expected the file with its certificate, \
                     because redis.ssl_key_file is node.key {}",
                    from("redis.ssl_key_file")
                ),
            ],
        ),
        (
            &["redis.ssl=on", "redis.ssl_cert_file=node.pem"],
            vec![format!(
                "redis.ssl_key_file = \"\" (default): expected the file with its key, \
                 because redis.ssl_cert_file is node.pem {}",
                from("redis.ssl_cert_file")
            )],
        ),
        (
            &["redis.sentinels=10.0.0.1", "redis.cluster_host=10.0.0.2"],
            vec![
                format!(
                    "redis.sentinels = \"10.0.0.1:26379\" {}: expected nothing, \
                     because redis.cluster_host is 10.0.0.2 {}",
                    from("redis.sentinels"),
                    from("redis.cluster_host")
                ),
                format!(
                    "redis.sentinel_master = \"\" (default): expected the name that stands in `sentinel monitor`, \
                     because redis.sentinels is 10.0.0.1:26379 {}",
                    from("redis.sentinels")
                ),
            ],
        ),
        (
            &["redis.sentinel_user=edge"],
            vec![
                format!(
                    "redis.sentinels = \"\" (default): expected the addresses of the sentinels, \
                     because redis.sentinel_user is edge {}",
                    from("redis.sentinel_user")
                ),
                format!(
                    "redis.sentinel_master = \"\" (default): expected the name that stands in `sentinel monitor`, \
                     because redis.sentinel_user is edge {}",
                    from("redis.sentinel_user")
                ),
                format!(
                    "redis.sentinel_password = \"\" (default): expected a password, \
                     because redis.sentinel_user is edge {}",
                    from("redis.sentinel_user")
                ),
            ],
        ),
    ] {
        let overrides = given.iter().fold(Overrides::new(), |all, one| all.set(one));
        assert_eq!(
            lines(Sources::new().overrides(overrides).load()),
            expected,
            "{given:?}"
        );
    }
}

#[test]
fn the_user_of_a_cluster_may_have_the_clusters_password() {
    let cluster = [
        ("REDIS_USER", "edge"),
        ("REDIS_CLUSTER_HOST", "a"),
        ("REDIS_CLUSTER_PASSWORD", "p"),
    ];
    assert!(environment(&cluster).load().is_ok());
}
