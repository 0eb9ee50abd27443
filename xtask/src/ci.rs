//! `cargo xtask ci`: every check a change must pass, the cheap ones first, stopping at the first that fails.
//!
//! It fetches nothing but dependencies: known vulnerabilities (`cargo deny check advisories`) need a database from
//! the network and change without a commit, so they are no property of a change.

use crate::cargo::{Cargo, Failure};
use crate::tidy;

/// Runs all checks.
///
/// # Errors
/// The first failing check's.
pub(crate) fn run() -> Result<(), Failure> {
    Cargo::new(["fmt", "--all", "--check"]).run()?;
    tidy::run()?;
    let lints = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    Cargo::new(lints).run()?;
    // Targets that no run includes unless it names them are not among "all".
    Cargo::new([
        "clippy",
        "--locked",
        "--package",
        "tests-servers",
        "--test",
        "postgres",
        "--test",
        "redis",
        "--",
        "-D",
        "warnings",
    ])
    .run()?;
    licences()?;
    Cargo::new(["test", "--locked", "--workspace"]).run()?;
    Cargo::new(["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Checks licences, sources and duplicates where the tool is at hand.
///
/// It takes minutes to build and its findings change only with `Cargo.lock`, so its absence is said, not punished.
fn licences() -> Result<(), Failure> {
    if Cargo::new(["deny", "--version"]).succeeds_silently() {
        // Without the graphs, which would bury everything else: `cargo tree --invert` shows one where it is wanted.
        Cargo::new([
            "deny",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ])
        .run()
    } else {
        eprintln!("SKIPPED: licences, bans and sources, since cargo-deny is not installed.");
        eprintln!("         To run them here too: cargo install --locked cargo-deny");
        Ok(())
    }
}
