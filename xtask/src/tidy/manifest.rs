//! A package's `Cargo.toml`, reduced to its name and dependencies with their lines.
//!
//! It resolves no versions or features; what is not a manifest is a finding, not an error.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{File, Finding};

/// What a dependency is needed for. Whatever stands under `[target.<condition>]` counts like everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Build,
    Dev,
}

const SECTIONS: &[(&str, Kind)] = &[
    ("dependencies", Kind::Normal),
    ("build-dependencies", Kind::Build),
    ("dev-dependencies", Kind::Dev),
];

/// One line of a manifest's dependencies.
#[derive(Debug)]
pub(super) struct Dependency {
    /// The name it is used by.
    pub(super) key: String,
    /// The package behind it, where the line itself names another.
    pub(super) package: Option<String>,
    /// Whether it says `workspace = true`.
    pub(super) inherited: bool,
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// A package's manifest.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// All packages' manifests that can be read, each with its file. The workspace's own is not one.
pub(super) fn members(files: &[File]) -> impl Iterator<Item = (&File, Manifest)> {
    let manifests = files
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && !file.folder().is_empty());
    manifests.filter_map(|file| parse(file).ok().map(|manifest| (file, manifest)))
}

/// A finding for each manifest that can not be read.
pub(super) fn unreadable(files: &[File]) -> impl Iterator<Item = Finding> {
    let manifests = files
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && !file.folder().is_empty());
    manifests.filter_map(|file| parse(file).err())
}

/// Where the workspace gives a package another name: pairs of name and package.
pub(super) fn renames(files: &[File]) -> Vec<(String, String)> {
    let Some(root) = files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let Ok(document) = DeTable::parse(&root.text) else {
        return Vec::new();
    };
    let dependencies =
        table(document.get_ref(), "workspace").and_then(|workspace| table(workspace, "dependencies"));
    let entries = dependencies.into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.get_ref().to_string(), package(value.get_ref())?)))
        .collect()
}

fn parse(file: &File) -> Result<Manifest, Finding> {
    let document = DeTable::parse(&file.text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(&file.text, span.start));
        file.finding(
            line,
            format!("is no TOML: {}", error.message()),
            "correct the syntax",
        )
    })?;
    let name = table(document.get_ref(), "package").and_then(|package| text(package, "name"));
    let name = name.ok_or_else(|| file.finding(1, "names no package", "give `[package]` a `name`"))?;
    let mut dependencies = dependencies(&file.text, document.get_ref());
    for (_, target) in table(document.get_ref(), "target").into_iter().flatten() {
        dependencies.extend(
            target
                .get_ref()
                .as_table()
                .into_iter()
                .flat_map(|part| self::dependencies(&file.text, part)),
        );
    }
    Ok(Manifest { name, dependencies })
}

fn dependencies(source: &str, part: &DeTable<'_>) -> Vec<Dependency> {
    let sections = SECTIONS
        .iter()
        .filter_map(|(section, kind)| Some((table(part, section)?, *kind)));
    sections
        .flat_map(|(entries, kind)| {
            entries.iter().map(move |(key, value)| Dependency {
                key: key.get_ref().to_string(),
                package: package(value.get_ref()),
                inherited: value
                    .get_ref()
                    .get("workspace")
                    .and_then(|flag| flag.get_ref().as_bool())
                    == Some(true),
                kind,
                line: line_at(source, key.span().start),
            })
        })
        .collect()
}

fn package(value: &DeValue<'_>) -> Option<String> {
    value
        .get("package")
        .and_then(|name| name.get_ref().as_str())
        .map(str::to_owned)
}

fn table<'t, 'i>(within: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    within.get(key).map(Spanned::get_ref).and_then(DeValue::as_table)
}

fn text(within: &DeTable<'_>, key: &str) -> Option<String> {
    within
        .get(key)
        .and_then(|value| value.get_ref().as_str())
        .map(str::to_owned)
}

fn line_at(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::fixture::tree;
    use super::*;

    #[test]
    fn dependencies_of_every_kind_and_target_are_seen_with_their_lines() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\n\n[build-dependencies]\n\
                        c = \"1\"\n\n[target.'cfg(unix)'.dev-dependencies]\nd = { workspace = true, package = \"e\" }\n";
        let files = tree(&[("crates/a/Cargo.toml", manifest)]);
        let (_, manifest) = members(&files).next().expect("there is a manifest");
        let seen: Vec<_> = manifest
            .dependencies
            .iter()
            .map(|d| (d.key.as_str(), d.kind, d.inherited, d.line))
            .collect();
        let expected = [
            ("b", Kind::Normal, true, 5),
            ("c", Kind::Build, false, 8),
            ("d", Kind::Dev, true, 11),
        ];
        assert_eq!(seen, expected);
        assert_eq!(manifest.dependencies[2].package.as_deref(), Some("e"));
    }

    #[test]
    fn a_broken_manifest_is_a_finding_at_its_line() {
        let files = tree(&[("crates/a/Cargo.toml", "[package]\nname = \n")]);
        let finding = unreadable(&files).next().expect("it is broken").to_string();
        assert!(
            finding.starts_with("crates/a/Cargo.toml:2: is no TOML"),
            "{finding}"
        );
    }
}
