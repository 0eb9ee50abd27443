//! `cargo xtask`: everything a contributor or the CI runs, as one program with one file per command.
//!
//! It holds no build logic of its own: each command spells out the cargo call it stands for and prints it, so that
//! nothing here has to be trusted or remembered. It depends on no crate of the workspace, so that it still builds
//! when they do not.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cargo;
mod ci;
mod demo;
mod fuzz;
mod sim;
mod stress;
mod test;
mod test_integration;
mod test_postgres;
mod tidy;

/// The project's tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check a change must pass: format, lints, tidy, licences, tests, documentation
    Ci,
    /// Check the house rules that neither the compiler nor clippy knows
    Tidy,
    /// Build the edge node in release mode and run its demonstration
    Demo(demo::Args),
    /// Run all hermetic tests, including the examples in the documentation
    Test(test::Args),
    /// Run the tests that need real servers; Docker provides them
    TestIntegration(test_integration::Args),
    /// Run the tests on a PostgreSQL server that they start themselves
    TestPostgres(test_postgres::Args),
    /// Run one of the known benchmarks
    Bench(bench::Args),
    /// Run the simulation over many seeds
    Sim(sim::Args),
    /// Feed everything that reads bytes from elsewhere with what a coverage-guided fuzzer makes up
    Fuzz(fuzz::Args),
    /// Let a crowd of bookers loose on every store, and judge what it did
    Stress(stress::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::TestIntegration(args) => test_integration::run(&args),
        Task::TestPostgres(args) => test_postgres::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Sim(args) => sim::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Stress(args) => stress::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
