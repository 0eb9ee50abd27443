//! The top level: exactly the entries listed here, so that whoever opens the project sees its plan and nothing else.
//!
//! It does not look inside folders.

use std::collections::BTreeSet;

use super::{File, Finding};

/// What must be there.
const REQUIRED: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "fuzz",
    "xtask",
    "tests",
    "docs",
    "rust-toolchain.toml",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deny.toml",
    "clippy.toml",
    "rustfmt.toml",
    ".ci",
    ".cargo",
    ".gitignore",
];

/// What may be there: git's own, in its two forms (a linked worktree has a file), cargo's output, and what was found out about other software.
const ALLOWED: &[&str] = &[".git", "target", "findings"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let present: BTreeSet<&str> = files.iter().map(|file| first_part(&file.path)).collect();
    let finding = |path: &str, wrong: &str, right: &str| Finding {
        path: path.to_owned(),
        line: 1,
        wrong: wrong.to_owned(),
        right: right.to_owned(),
    };
    let surplus = present
        .iter()
        .filter(|entry| !REQUIRED.contains(entry) && !ALLOWED.contains(entry));
    let missing = REQUIRED.iter().filter(|entry| !present.contains(*entry));
    surplus
        .map(|entry| {
            finding(
                entry,
                "does not belong at the top level",
                "move it into one of the folders there",
            )
        })
        .chain(missing.map(|entry| finding(entry, "is missing at the top level", "add it")))
        .collect()
}

fn first_part(path: &str) -> &str {
    path.split_once('/').map_or(path, |(first, _)| first)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn complete() -> Vec<(&'static str, &'static str)> {
        REQUIRED.iter().map(|entry| (*entry, "")).collect()
    }

    #[test]
    fn the_planned_entries_are_accepted_with_and_without_a_linked_worktree() {
        assert!(found(check, &complete()).is_empty());
        let mut linked = complete();
        linked.push((".git", ""));
        assert!(found(check, &linked).is_empty());
    }

    #[test]
    fn an_entry_outside_the_plan_is_refused_once_whatever_it_holds() {
        let mut files = complete();
        files.extend([("scripts/a.sh", ""), ("scripts/b.sh", "")]);
        let expected = "scripts:1: does not belong at the top level; move it into one of the folders there";
        assert_eq!(found(check, &files), [expected]);
    }

    #[test]
    fn a_missing_entry_is_asked_for() {
        let mut files = complete();
        files.retain(|(path, _)| *path != "SECURITY.md");
        assert_eq!(
            found(check, &files),
            ["SECURITY.md:1: is missing at the top level; add it"]
        );
    }
}
