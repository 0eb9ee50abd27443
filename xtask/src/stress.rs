//! `cargo xtask stress`: a crowd of bookers on every store, at the size one has time for, in release mode.
//!
//! It holds no default of its own: without a size the crowd is that of every test run.

use std::num::NonZeroU64;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask stress`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many bookings each of the 16 bookers asks for; the promise is made for 10000
    #[arg(long)]
    bookings: Option<NonZeroU64>,
    /// Leaves PostgreSQL out, where its server programs are not installed
    #[arg(long)]
    without_postgres: bool,
}

/// Runs the crowd on one store after the other.
///
/// # Errors
/// The first failing store's.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    calls(args).iter().try_for_each(Cargo::run)
}

fn calls(args: &Args) -> Vec<Cargo> {
    let mut environments = vec![("hermetic", "bookings::")];
    if !args.without_postgres {
        environments.push(("postgres", "stress::"));
    }
    let call = |(environment, tests): (&str, &str)| {
        let test = [
            "test",
            "--release",
            "--package",
            "tests",
            "--test",
            environment,
            "--",
            tests,
            "--nocapture",
        ];
        let call = Cargo::new(test);
        match args.bookings {
            Some(bookings) => call.env("STRESS_BOOKINGS", bookings.to_string()),
            None => call,
        }
    };
    environments.into_iter().map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_stressed_at_the_size_asked_for() {
        let args = Args {
            bookings: NonZeroU64::new(10_000),
            without_postgres: false,
        };
        let calls: Vec<String> = calls(&args).iter().map(ToString::to_string).collect();
        let call = "STRESS_BOOKINGS=10000 cargo test --release --package tests --test";
        assert_eq!(
            calls,
            [
                format!("{call} hermetic -- bookings:: --nocapture"),
                format!("{call} postgres -- stress:: --nocapture")
            ]
        );
    }

    #[test]
    fn a_server_is_left_out_only_when_asked_to() {
        let args = Args {
            bookings: None,
            without_postgres: true,
        };
        assert_eq!(calls(&args).len(), 1);
    }
}
