//! `cargo xtask test`: all hermetic tests of the workspace, documentation examples included.
//!
//! It starts no server and needs no network; tests that do are commands of their own.

use std::ffi::OsString;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed to `cargo test`, such as `-p cache-core` or a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the test run.
///
/// # Errors
/// If cargo can not be started.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    Cargo::new(["test", "--workspace"])
        .args(&args.arguments)
        .become_it()
}
