//! `cargo xtask stress`: a crowd of bookers on a store of bookings, at the size one has time for, in release mode.
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
    /// Only this store, and repeated, only these; without it, all of them. PostgreSQL and Redis need their server programs
    #[arg(long = "store", value_name = "STORE")]
    stores: Vec<Store>,
}

/// A store of bookings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Store {
    Memory,
    Sqlite,
    Postgres,
    Redis,
}

impl Store {
    const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Postgres, Self::Redis];

    /// The environment its crowds are tested in, and what their names begin with there.
    fn tests(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("stores", "bookings::a_crowd_of_bookers_in_memory"),
            Self::Sqlite => ("stores", "bookings::a_crowd_of_bookers_in_an_sqlite_file"),
            Self::Postgres => ("postgres", "stress::"),
            Self::Redis => ("redis", "bookings_stress::"),
        }
    }
}

/// Runs the crowds on one store after the other, and nothing else at the same time.
///
/// # Errors
/// The first failing store's.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    calls(args).iter().try_for_each(Cargo::run)
}

fn calls(args: &Args) -> Vec<Cargo> {
    let stores = match args.stores.as_slice() {
        [] => &Store::ALL,
        stores => stores,
    };
    let call = |store: &Store| {
        let (environment, tests) = store.tests();
        let test = [
            "test",
            "--release",
            "--package",
            "tests-servers",
            "--test",
            environment,
        ];
        let call = Cargo::new(test).args(["--", tests, "--nocapture", "--test-threads", "1"]);
        match args.bookings {
            Some(bookings) => call.env("STRESS_BOOKINGS", bookings.to_string()),
            None => call,
        }
    };
    stores.iter().map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_stressed_at_the_size_asked_for() {
        let args = Args {
            bookings: NonZeroU64::new(10_000),
            stores: vec![],
        };
        let calls: Vec<String> = calls(&args).iter().map(ToString::to_string).collect();
        let line = |environment: &str, tests: &str| {
            format!(
                "STRESS_BOOKINGS=10000 cargo test --release --package tests-servers --test {environment} -- {tests} --nocapture \
                 --test-threads 1"
            )
        };
        assert_eq!(
            calls,
            [
                line("stores", "bookings::a_crowd_of_bookers_in_memory"),
                line("stores", "bookings::a_crowd_of_bookers_in_an_sqlite_file"),
                line("postgres", "stress::"),
                line("redis", "bookings_stress::"),
            ]
        );
    }

    #[test]
    fn a_store_that_is_named_is_stressed_alone() {
        let args = Args {
            bookings: None,
            stores: vec![Store::Redis],
        };
        assert_eq!(calls(&args).len(), 1);
    }
}
