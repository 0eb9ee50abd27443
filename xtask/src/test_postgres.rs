//! `cargo xtask test-postgres`: the tests on a PostgreSQL server, which each of them starts for itself.
//!
//! It skips nothing: without PostgreSQL's server programs the tests fail, and say what to install.

use std::ffi::OsString;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask test-postgres`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed to the test program, such as a test's name or `--nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the test run.
///
/// # Errors
/// If cargo can not be started.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    call(args).become_it()
}

fn call(args: &Args) -> Cargo {
    Cargo::new(["test", "--package", "tests-servers", "--test", "postgres", "--"]).args(&args.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_named_since_no_other_run_includes_it() {
        let arguments = vec!["conformance".into()];
        assert_eq!(
            call(&Args { arguments }).to_string(),
            "cargo test --package tests-servers --test postgres -- conformance"
        );
    }
}
