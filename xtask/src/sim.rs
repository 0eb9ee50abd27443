//! `cargo xtask sim`: the simulation over many seeds, in release mode because each seed is a whole cluster's life.
//!
//! It holds no default of its own: without options the simulation runs the few seeds that it runs in every test.

use std::ffi::OsString;
use std::num::NonZeroU64;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run; 3000 finds what a change broke, 1 repeats one failure
    #[arg(long)]
    seeds: Option<NonZeroU64>,
    /// The first seed; the others follow it one by one
    #[arg(long)]
    first_seed: Option<u64>,
    /// Passed to the test program, such as a test's name or `--nocapture`
    #[arg(last = true)]
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
    let mut call = Cargo::new([
        "test",
        "--release",
        "--package",
        "tests",
        "--test",
        "simulation",
        "--",
    ]);
    if let Some(seeds) = args.seeds {
        call = call.env("SIM_SEEDS", seeds.to_string());
    }
    if let Some(first) = args.first_seed {
        call = call.env("SIM_FIRST_SEED", first.to_string());
    }
    call.args(&args.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "cargo test --release --package tests --test simulation --";

    fn printed(seeds: Option<u64>, first_seed: Option<u64>, arguments: &[&str]) -> String {
        let seeds = seeds.and_then(NonZeroU64::new);
        call(&Args {
            seeds,
            first_seed,
            arguments: arguments.iter().map(OsString::from).collect(),
        })
        .to_string()
    }

    #[test]
    fn without_options_the_simulation_keeps_its_own_defaults() {
        assert_eq!(printed(None, None, &[]), BARE);
    }

    #[test]
    fn seeds_are_handed_over_in_the_environment() {
        let expected = format!("SIM_SEEDS=1 SIM_FIRST_SEED=42 {BARE} --nocapture");
        assert_eq!(printed(Some(1), Some(42), &["--nocapture"]), expected);
    }
}
