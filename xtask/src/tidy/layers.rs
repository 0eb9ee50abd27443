//! The layer table: which crate may know which, and what some must never know.
//!
//! It judges the arrows in the manifests, not their use in code: an unused dependency is an arrow too. Tests may know
//! more than what they test, so dev-dependencies are free, except on the composition root.

use super::manifest::{self, Dependency, Kind, Manifest};
use super::{File, Finding};

/// What a crate may know of this workspace, and what it must not know of the world.
struct Layer {
    name: &'static str,
    may_know: Knows,
    must_not_know: &'static [&'static str],
}

enum Knows {
    Only(&'static [&'static str]),
    Anything,
}

use Knows::{Anything, Only};

const fn layer(name: &'static str, may_know: Knows, must_not_know: &'static [&'static str]) -> Layer {
    Layer {
        name,
        may_know,
        must_not_know,
    }
}

/// From the lowest layer to the highest, then what stands beside them.
const LAYERS: &[Layer] = &[
    layer("cache-core", Only(&[]), &["tokio", "redis"]),
    layer("event-bus", Only(&["cache-core"]), &["redis"]),
    layer("edge-cache", Only(&["cache-core", "event-bus"]), &["redis"]),
    layer("cache-l1", Only(&["cache-core"]), &["tokio", "redis"]),
    layer("cache-memory", Only(&["cache-core"]), &["redis"]),
    layer("cache-redis", Only(&["cache-core"]), &[]),
    layer(
        "marketplace",
        Only(&["cache-core", "event-bus", "edge-cache"]),
        &["redis", "rusqlite", "tokio-postgres"],
    ),
    layer("bookings-sqlite", Only(&["marketplace"]), &["redis"]),
    layer("bookings-postgres", Only(&["marketplace"]), &["redis"]),
    layer("bookings-redis", Only(&["marketplace"]), &[]),
    layer("config", Only(&[]), &["redis"]),
    layer(ROOT, Only(ADAPTERS_AND_BELOW), &["redis"]),
    layer("testkit", Only(&["cache-core"]), &["redis"]),
    layer("xtask", Only(&[]), &[]),
    layer("tests", Only(CACHE), &["redis"]),
    layer(TESTS, Anything, &[]),
    layer("fuzz", Anything, &[]),
];

/// The cache without servers: its tests compile nothing else, so that a change is tested in seconds.
const CACHE: &[&str] = &[
    "cache-core",
    "event-bus",
    "edge-cache",
    "cache-l1",
    "cache-memory",
    "testkit",
];

const ADAPTERS_AND_BELOW: &[&str] = &[
    "cache-core",
    "event-bus",
    "edge-cache",
    "cache-l1",
    "cache-memory",
    "cache-redis",
    "marketplace",
    "bookings-sqlite",
    "bookings-postgres",
    "bookings-redis",
    "config",
];

/// The composition root, which nobody but the tests may know.
const ROOT: &str = "edge-node";
const TESTS: &str = "tests-servers";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let renames = manifest::renames(files);
    let judged = manifest::members(files).flat_map(|(file, manifest)| judge(file, &manifest, &renames));
    manifest::unreadable(files).chain(judged).collect()
}

fn judge(file: &File, manifest: &Manifest, renames: &[(String, String)]) -> Vec<Finding> {
    let name = &manifest.name;
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        let right = "add it to LAYERS in xtask/src/tidy/layers.rs with the crates it may know";
        return vec![file.finding(1, format!("crate `{name}` has no layer"), right)];
    };
    let judged = manifest.dependencies.iter().filter_map(|dependency| {
        let package = package(dependency, renames);
        let right = refusal(layer, package, dependency.kind)?;
        Some(file.finding(
            dependency.line,
            format!("`{name}` must not know `{package}`"),
            right,
        ))
    });
    judged.collect()
}

/// Why an arrow is refused, as what would be right; nothing if it is allowed.
fn refusal(layer: &Layer, package: &str, kind: Kind) -> Option<String> {
    let known_by_name = |names: &[&str]| names.contains(&package);
    if kind == Kind::Dev {
        let refused = package == ROOT && layer.name != TESTS;
        return refused.then(|| format!("a test of the whole node belongs into the package `{TESTS}`"));
    }
    if known_by_name(layer.must_not_know) {
        return Some("put what needs it behind a port, and implement the port in an adapter".to_owned());
    }
    let Only(allowed) = layer.may_know else {
        return None;
    };
    let ours = LAYERS.iter().any(|layer| layer.name == package);
    (ours && !known_by_name(allowed)).then(|| match allowed {
        [] => "it may know no crate of this workspace".to_owned(),
        names => format!("of this workspace it may know only {}", names.join(", ")),
    })
}

fn package<'d>(dependency: &'d Dependency, renames: &'d [(String, String)]) -> &'d str {
    let renamed = || {
        renames
            .iter()
            .find(|(key, _)| *key == dependency.key)
            .map(|(_, package)| package.as_str())
    };
    dependency
        .package
        .as_deref()
        .or_else(renamed)
        .unwrap_or(&dependency.key)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn judged(name: &str, dependencies: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{name}\"\n{dependencies}\n");
        found(check, &[(&format!("crates/{name}/Cargo.toml"), &manifest)])
    }

    #[test]
    fn every_arrow_of_the_table_is_accepted() {
        for layer in LAYERS {
            let Only(allowed) = layer.may_know else { continue };
            let lines: String = allowed
                .iter()
                .map(|name| format!("{name}.workspace = true\n"))
                .collect();
            assert!(
                judged(layer.name, &format!("[dependencies]\n{lines}")).is_empty(),
                "{}",
                layer.name
            );
        }
    }

    #[test]
    fn every_arrow_between_two_crates_that_is_not_in_the_table_is_refused() {
        for layer in LAYERS {
            let Only(allowed) = layer.may_know else { continue };
            for other in LAYERS.iter().filter(|other| !allowed.contains(&other.name)) {
                let found = judged(
                    layer.name,
                    &format!("[dependencies]\n{}.workspace = true", other.name),
                );
                assert_eq!(found.len(), 1, "{} -> {}", layer.name, other.name);
            }
        }
    }

    #[test]
    fn a_refused_arrow_is_shown_at_its_line_with_those_allowed() {
        let expected = "crates/edge-cache/Cargo.toml:4: `edge-cache` must not know `cache-l1`; \
                        of this workspace it may know only cache-core, event-bus";
        assert_eq!(
            judged("edge-cache", "[dependencies]\ncache-l1.workspace = true"),
            [expected]
        );
    }

    #[test]
    fn a_build_script_is_bound_by_the_table_and_so_is_a_dependency_for_one_target() {
        assert_eq!(
            judged("cache-core", "[build-dependencies]\nconfig.workspace = true").len(),
            1
        );
        assert_eq!(
            judged(
                "cache-core",
                "[target.'cfg(unix)'.dependencies]\nconfig.workspace = true"
            )
            .len(),
            1
        );
    }

    #[test]
    fn tests_may_know_more_but_not_the_composition_root() {
        assert!(
            judged(
                "cache-core",
                "[dev-dependencies]\ntestkit.workspace = true\ntokio.workspace = true"
            )
            .is_empty()
        );
        assert_eq!(
            judged("marketplace", "[dev-dependencies]\nedge-node.workspace = true").len(),
            1
        );
        assert!(judged("tests-servers", "[dev-dependencies]\nedge-node.workspace = true").is_empty());
    }

    #[test]
    fn the_core_knows_no_runtime_and_no_server_and_the_first_tier_no_runtime() {
        assert_eq!(
            judged(
                "cache-core",
                "[dependencies]\ntokio.workspace = true\nredis.workspace = true"
            )
            .len(),
            2
        );
        assert_eq!(
            judged("cache-l1", "[dependencies]\ntokio.workspace = true").len(),
            1
        );
        assert!(
            judged(
                "cache-redis",
                "[dependencies]\ntokio.workspace = true\nredis.workspace = true"
            )
            .is_empty()
        );
    }

    #[test]
    fn another_name_does_not_hide_a_crate() {
        let renamed_here = "[dependencies]\nnode = { workspace = true, package = \"edge-node\" }";
        assert_eq!(judged("marketplace", renamed_here).len(), 1);
        let root =
            "[workspace.dependencies]\nnode = { package = \"edge-node\", path = \"crates/edge-node\" }\n";
        let member = "[package]\nname = \"marketplace\"\n[dependencies]\nnode.workspace = true\n";
        let found = found(
            check,
            &[("Cargo.toml", root), ("crates/marketplace/Cargo.toml", member)],
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_crate_without_a_layer_is_asked_to_take_one() {
        let expected = "crates/cache-disk/Cargo.toml:1: crate `cache-disk` has no layer; \
                        add it to LAYERS in xtask/src/tidy/layers.rs with the crates it may know";
        assert_eq!(judged("cache-disk", ""), [expected]);
    }
}
