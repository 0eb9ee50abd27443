//! The order of the layers, and the origin that each value carries.
//!
//! Says nothing of wrong values: see `limits.rs` and `problems.rs`.

use crate::{needed, value};
use config::{Overrides, SETTINGS, Sources};

/// Layers above the defaults, lowest first, each with the value that it gives to `redis.db` and its origin.
/// The development preset gives 1 by itself.
const LAYERS: [(&str, &str); 4] = [
    ("2", "file edge.yaml line 2"),
    ("3", "environment REDIS_DB"),
    ("4", "flag --redis-db"),
    ("5", "flag --set redis.db"),
];

#[test]
fn for_every_combination_of_layers_the_highest_wins_and_is_named_as_origin() {
    for combination in 0..1_u32 << LAYERS.len() {
        let present = |layer: usize| (combination >> layer & 1 == 1).then_some(LAYERS[layer].0);
        let mut sources = Sources::new();
        let mut overrides = Overrides::new();
        if let Some(value) = present(0) {
            sources = sources.file("edge.yaml", format!("redis:\n  db: {value}\n"));
        }
        if let Some(value) = present(1) {
            sources = sources.environment([("REDIS_DB".to_owned(), value.to_owned())]);
        }
        if let Some(value) = present(2) {
            overrides = overrides.flag("--redis-db", value);
        }
        if let Some(value) = present(3) {
            overrides = overrides.set(&format!("redis.db={value}"));
        }
        let loaded = sources.overrides(overrides).load().unwrap();

        let highest = (0..LAYERS.len()).rev().find(|layer| present(*layer).is_some());
        let (expected, origin) = highest.map_or(("1", "preset development"), |layer| LAYERS[layer]);
        assert_eq!(value(&loaded, "redis.db"), expected);
        assert_eq!(loaded.origin("redis.db").unwrap().to_string(), origin);
    }
}

#[test]
fn a_value_that_nobody_gives_is_the_default() {
    let loaded = Sources::new().load().unwrap();
    assert_eq!(loaded.origin("redis.port").unwrap().to_string(), "default");
}

#[test]
fn a_preset_overrides_the_default() {
    let loaded = Sources::new().load().unwrap();
    let setting = config::Setting::find("redis.db").unwrap();
    assert_eq!((setting.default, value(&loaded, "redis.db").as_str()), ("0", "1"));
}

#[test]
fn the_preset_may_be_chosen_in_every_layer() {
    let required = "edge_node.id: a\nedge_node.region: b\n";
    let file = format!("{required}environment: staging\n");
    let from_file = Sources::new().file("edge.yaml", &file).load().unwrap();
    assert_eq!(value(&from_file, "redis.host"), "redis-staging.internal");

    let from_flag = Sources::new()
        .file("edge.yaml", &file)
        .overrides(Overrides::new().flag("--environment", "development"))
        .load()
        .unwrap();
    assert_eq!(value(&from_flag, "redis.host"), "localhost");
}

#[test]
fn every_setting_is_reachable_from_every_layer() {
    for setting in SETTINGS {
        let path = setting.path;
        let text = match (path, setting.default) {
            ("market.region_distances", _) => "here/there=1",
            ("redis.sentinels", _) => "here:1",
            ("redis.shards", _) => "16",
            (_, "") => "something",
            (_, default) => default,
        };
        // Given in another layer.
        let others = || {
            needed(path)
                .iter()
                .fold(Overrides::new(), |all, one| all.set(one))
        };
        let origins = [
            Sources::new()
                .file("f", format!("{path}: '{text}'"))
                .overrides(others()),
            Sources::new()
                .environment([(setting.variable(), text.to_owned())])
                .overrides(others()),
            Sources::new().overrides(others().flag(setting.flag(), text)),
            Sources::new().overrides(others().set(&format!("{path}={text}"))),
        ]
        .map(|sources| {
            sources
                .load()
                .map(|loaded| loaded.origin(path).unwrap().to_string())
        });
        let expected = [
            "file f line 1".to_owned(),
            format!("environment {}", setting.variable()),
            format!("flag {}", setting.flag()),
            format!("flag --set {path}"),
        ];
        for (origin, expected) in origins.into_iter().zip(expected) {
            assert_eq!(origin.unwrap(), expected);
        }
    }
}

#[test]
fn variables_of_other_programs_are_passed_over() {
    let variables = ["PATH", "REDISCLI_AUTH", "CACHED", "EDGE_NODE", "HOME"];
    let loaded = Sources::new()
        .environment(variables.map(|name| (name.to_owned(), "x".to_owned())))
        .load()
        .unwrap();
    assert_eq!(loaded.settings, Sources::new().load().unwrap().settings);
}

#[test]
fn what_is_shown_can_be_loaded_again_and_gives_the_same_settings() {
    for preset in ["development", "staging", "production", "edge", "regional"] {
        let datacenter = [("EDGE_NODE_DATACENTER", "dc-7"), ("REDIS_SOCKET_TIMEOUT", "0.25")];
        let first = crate::load_preset(preset, &datacenter);
        let file: String = first
            .effective
            .iter()
            .filter(|one| one.value != "[redacted]")
            .map(|one| format!("{}: '{}'\n", one.setting.path, one.value))
            .collect();
        let second = crate::environment(&[("REDIS_PASSWORD", "open sesame")]).file("shown", file);
        assert_eq!(second.load().unwrap().settings, first.settings);
    }
}

#[test]
fn shown_settings_are_aligned_and_carry_their_origin() {
    let loaded = crate::load_preset("production", &[("CACHE_L1_SIZE", "250")]);
    let shown = loaded.show();
    assert_eq!(shown.lines().count(), SETTINGS.len());
    let column = |line: &str| (line.find(" = "), line.find("   # "));
    let first = shown.lines().next().unwrap();
    assert!(
        shown.lines().all(|line| column(line).0 == column(first).0),
        "{shown}"
    );
    for expected in [
        "cache.l1_size                        = 250                      # environment CACHE_L1_SIZE",
        "redis.password                       = [redacted]               # environment REDIS_PASSWORD",
        "redis.host                           = redis-cluster.internal   # preset production",
        "edge_node.rack                       = (none)                   # default",
    ] {
        assert!(
            shown.lines().any(|line| line == expected),
            "{expected}\nis not in\n{shown}"
        );
    }
}
