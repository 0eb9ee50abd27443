//! The form of the YAML file: sections, lines, and what is refused.
//!
//! Says nothing of what values mean: see `limits.rs`.

use crate::{environment, lines, value};
use config::{Loaded, Problems, Sources};

fn load(text: &str) -> Result<Loaded, Problems> {
    Sources::new().file("edge.yaml", text).load()
}

#[test]
fn an_empty_file_changes_nothing() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "---\n...\n",
        "~",
        "redis:\n",
        "redis: {}\ncache: ~\n",
        "{}",
    ] {
        let loaded = load(text).unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
        assert_eq!(loaded.settings, Sources::new().load().unwrap().settings);
    }
}

#[test]
fn sections_and_dotted_names_mean_the_same() {
    for text in [
        "redis:\n  port: 6380\n",
        "redis.port: 6380\n",
        "redis: {port: 6380}",
        "{\"redis\": {\"port\": 6380}}",
    ] {
        assert_eq!(value(&load(text).unwrap(), "redis.port"), "6380", "{text}");
    }
}

#[test]
fn an_origin_names_the_line_of_the_value() {
    let loaded = load("# a comment\n\nredis:\n  host: a\n\n  port: 6380\ncache:\n  l1_size: 7\n").unwrap();
    for (path, line) in [("redis.host", 4), ("redis.port", 6), ("cache.l1_size", 8)] {
        assert_eq!(
            loaded.origin(path).unwrap().to_string(),
            format!("file edge.yaml line {line}")
        );
    }
}

#[test]
fn values_are_taken_as_they_are_written_and_not_as_yaml_guesses() {
    let loaded = load("redis:\n  password: 0123\nedge_node:\n  rack: no\n  id: 1e3\n").unwrap();
    assert_eq!(loaded.settings.redis.password.as_ref().unwrap().reveal(), "0123");
    assert_eq!(value(&loaded, "edge_node.rack"), "no");
    assert_eq!(value(&loaded, "edge_node.id"), "1e3");
}

#[test]
fn null_takes_back_what_a_lower_layer_gave_where_nothing_is_allowed() {
    for null in ["", "~", "null"] {
        let loaded = load(&format!("edge_node:\n  rack: {null}\n")).unwrap();
        assert_eq!(loaded.settings.edge_node.rack, None);
    }
    assert_eq!(
        load("edge_node:\n  rack: 'null'\n")
            .unwrap()
            .settings
            .edge_node
            .rack
            .unwrap()
            .as_str(),
        "null"
    );
    assert_eq!(
        lines(load("redis:\n  port:\n")),
        ["redis.port = \"\" (file edge.yaml line 2): expected a whole number from 1 to 65535"]
    );
}

#[test]
fn a_malformed_file_is_one_problem_with_line_and_column() {
    let problems = load("redis:\n  host: a\n  port: [1\ncache: x\n").unwrap_err();
    assert_eq!(problems.iter().len(), 1, "{problems}");
    let message = problems.iter().next().unwrap().to_string();
    assert!(
        message.starts_with("edge.yaml (file edge.yaml line 4): expected YAML, but at line 4, column "),
        "{message}"
    );
}

#[test]
fn a_malformed_file_hides_no_mistake_elsewhere_and_invents_none() {
    let problems = environment(&[("ENVIRONMENT", "production"), ("REDIS_DB", "16")])
        .file("edge.yaml", "edge_node:\n  id: a\n region: b\n")
        .load()
        .unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["edge.yaml", "redis.db"], "{problems}");
}

#[test]
fn wrong_forms_are_refused_and_the_rest_is_still_checked() {
    for (text, expected) in [
        (
            "redis.port: [1, [2]]",
            "redis.port (file edge.yaml line 1): expected a single value, neither a list nor a section",
        ),
        (
            "redis:\n  port:\n    a: {b: c}",
            "redis.port (file edge.yaml line 3): expected a single value, neither a list nor a section",
        ),
        (
            "redis: 5",
            "redis (file edge.yaml line 1): expected a section with settings beneath it",
        ),
        (
            "redis.rack: &a x\nedge_node.rack: *a",
            "edge_node.rack (file edge.yaml line 2): expected a value, not an alias",
        ),
        (
            "redis.port: 1\nredis: {port: 2}",
            "redis.port (file edge.yaml line 2): expected to stand once, but it stands on line 1 already",
        ),
        (
            "? [a]\n: {b: [c]}",
            "edge.yaml (file edge.yaml line 1): expected a name before the colon",
        ),
        (
            "- redis",
            "edge.yaml (file edge.yaml line 1): expected sections with settings beneath them",
        ),
        (
            "just text",
            "edge.yaml (file edge.yaml line 1): expected sections with settings beneath them",
        ),
        (
            "redis.db: 1\n---\nredis.db: 1",
            "edge.yaml (file edge.yaml line 2): expected a single document",
        ),
        (
            "unknown: {}",
            "unknown (file edge.yaml line 1): expected a known setting",
        ),
    ] {
        let separator = if text.starts_with('-') || text.starts_with("just") {
            ""
        } else {
            "\ncache.l1_size: 0"
        };
        let problems = lines(load(&format!("{text}{separator}\n")));
        assert!(
            problems.iter().any(|problem| problem == expected),
            "{expected}\nis not in\n{problems:#?}"
        );
        let checked = problems
            .iter()
            .any(|problem| problem.starts_with("cache.l1_size = \"0\""));
        assert!(checked || separator.is_empty(), "{problems:#?}");
    }
}

#[test]
fn no_text_makes_the_reader_hang_or_panic() {
    let fragments = [
        "redis", ":", " ", "\n", "- ", "[", "]", "{", "}", "&a ", "*a ", "'", "\"", "? ", "---\n", "!t ",
        "|\n", "#",
    ];
    let mut state = 1_u64; // a fixed sequence, so that a failure can be repeated
    for _ in 0..5_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text += fragments[usize::try_from(state >> 33).unwrap() % fragments.len()];
        }
        _ = load(&text);
    }
}
