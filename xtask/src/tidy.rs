//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy knows, all findings at once.
//!
//! Each rule is a pure function over a list of files and parses no more than it must; this file only reads the tree
//! and prints. It repairs nothing: most findings ask for a better name or a smaller file, which is thought, not typing.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::cargo::{Failure, workspace};

mod layers;
mod leftovers;
mod length;
mod links;
mod manifest;
mod names;
mod openings;
mod pinning;
mod proofs;
mod source;
mod top_level;

/// A rule over the whole tree.
type Check = fn(&[File]) -> Vec<Finding>;

/// All rules, in the order of their findings.
const CHECKS: &[Check] = &[
    top_level::check,
    layers::check,
    pinning::check,
    openings::check,
    length::check,
    names::check,
    leftovers::check,
    links::check,
    proofs::check,
];

/// Checks the workspace.
///
/// # Errors
/// [`Failure::Untidy`] if a rule is broken, [`Failure::Unreadable`] if a file can not be read.
pub(crate) fn run() -> Result<(), Failure> {
    eprintln!("$ cargo xtask tidy");
    let mut files = Vec::new();
    collect(&workspace(), "", &mut files)?;
    let findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&files)).collect();
    for finding in &findings {
        eprintln!("{finding}");
    }
    println!(
        "tidy: {} files, {}; {} findings",
        files.len(),
        length::summary(&files),
        findings.len()
    );
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::Untidy(findings.len()))
    }
}

/// A file of the tree.
pub(crate) struct File {
    /// From the top folder, with `/` between the parts on every system.
    path: String,
    /// The content of a kind of file that some rule reads; else empty.
    text: String,
}

impl File {
    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn finding(&self, line: usize, wrong: impl Into<String>, right: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            wrong: wrong.into(),
            right: right.into(),
        }
    }
}

/// A broken rule: where, what is wrong, and what would be right.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    wrong: String,
    right: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}; {}", self.path, self.line, self.wrong, self.right)
    }
}

/// The endings of files that are read; of all others only the path counts.
const READ: &[&str] = &[".rs", ".toml", ".md", ".lua"];

/// What git or cargo owns.
const FOREIGN: &[&str] = &[".git", "target"];

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<(), Failure> {
    let unreadable = |path: &str, cause: io::Error| Failure::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let entries: io::Result<Vec<fs::DirEntry>> = fs::read_dir(folder).and_then(Iterator::collect);
    let mut entries = entries.map_err(|cause| unreadable(prefix, cause))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(|cause| unreadable(&path, cause))?;
        if kind.is_dir() && !FOREIGN.contains(&path.as_str()) {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && READ.iter().any(|ending| path.ends_with(ending)) {
            let text = fs::read_to_string(entry.path()).map_err(|cause| unreadable(&path, cause))?;
            files.push(File { path, text });
        } else if !kind.is_dir() {
            files.push(File {
                path,
                text: String::new(),
            });
        }
    }
    Ok(())
}

/// A synthetic tree, and findings as their printed lines.
#[cfg(test)]
mod fixture {
    use super::{Check, File};

    pub(super) fn tree(files: &[(&str, &str)]) -> Vec<File> {
        files
            .iter()
            .map(|(path, text)| File {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect()
    }

    pub(super) fn found(check: Check, files: &[(&str, &str)]) -> Vec<String> {
        check(&tree(files)).iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_place_then_wrong_then_right() {
        let file = File {
            path: "crates/a/src/lib.rs".to_owned(),
            text: String::new(),
        };
        let printed = file.finding(7, "this is wrong", "that is right").to_string();
        assert_eq!(printed, "crates/a/src/lib.rs:7: this is wrong; that is right");
    }

    #[test]
    fn the_real_tree_is_read_without_what_git_and_cargo_own() {
        let mut files = Vec::new();
        collect(&workspace(), "", &mut files).expect("the workspace is readable");
        let holds = |path: &str| files.iter().any(|file| file.path == path);
        assert!(holds("Cargo.lock") && holds("xtask/src/tidy.rs"));
        assert!(!files.iter().any(|file| {
            FOREIGN
                .iter()
                .any(|own| file.path.starts_with(&format!("{own}/")))
        }));
    }
}
