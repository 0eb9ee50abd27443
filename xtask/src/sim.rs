//! `cargo xtask sim`: the simulation over many seeds, in release mode because each seed is a whole fleet's life.
//!
//! The program knows its options; `cargo xtask sim -- --help` lists them.

use std::ffi::OsString;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed to the simulation
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the simulation.
///
/// # Errors
/// If cargo can not be started.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    call(args).become_it()
}

fn call(args: &Args) -> Cargo {
    Cargo::new(["run", "--release", "--package", "tests", "--bin", "sim", "--"]).args(&args.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_handed_over_as_they_are() {
        let arguments = ["--seeds", "1", "--trace"].map(OsString::from).to_vec();
        assert_eq!(
            call(&Args { arguments }).to_string(),
            "cargo run --release --package tests --bin sim -- --seeds 1 --trace"
        );
    }
}
