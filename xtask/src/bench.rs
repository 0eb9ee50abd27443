//! `cargo xtask bench <name>`: a benchmark by the name of what it measures.
//!
//! It judges no result: a threshold on a shared machine fails at random.

use std::ffi::OsString;

use crate::cargo::{Cargo, Failure};

/// A benchmark that can be asked for.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
    measures: &'static str,
}

/// All of them. Another one is another line.
const BENCHES: &[Bench] = &[
    Bench {
        name: "l1",
        package: "cache-l1",
        target: "table",
        measures: "one node's memory: reads, writes, eviction",
    },
    Bench {
        name: "redis",
        package: "cache-redis",
        target: "table",
        measures: "the cache over a Redis server beside the plain client; --url names the server",
    },
    Bench {
        name: "bookings",
        package: "tests-servers",
        target: "bookings",
        measures: "decisions per second of every booking store; --store names one",
    },
    Bench {
        name: "marketplace",
        package: "marketplace",
        target: "market",
        measures: "queries and status changes at 1,000 to 100,000 GPUs",
    },
];

/// What follows `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmark; an unknown one lists all
    name: String,
    /// Passed to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the benchmark.
///
/// # Errors
/// [`Failure::UnknownBench`], or if cargo can not be started.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    call(args)?.become_it()
}

fn call(args: &Args) -> Result<Cargo, Failure> {
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == args.name) else {
        let lines = BENCHES
            .iter()
            .map(|bench| format!("  {:<12}{}", bench.name, bench.measures));
        return Err(Failure::UnknownBench {
            asked: args.name.clone(),
            known: lines.collect::<Vec<_>>().join("\n"),
        });
    };
    let target = ["bench", "--package", bench.package, "--bench", bench.target, "--"];
    Ok(Cargo::new(target).args(&args.arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, arguments: &[&str]) -> Args {
        Args {
            name: name.to_owned(),
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    #[test]
    fn a_known_name_stands_for_its_package_and_target() {
        let call = call(&args("l1", &["--quick"])).expect("l1 is known");
        assert_eq!(
            call.to_string(),
            "cargo bench --package cache-l1 --bench table -- --quick"
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_all_known_ones() {
        let failure = call(&args("l7", &[])).err().expect("l7 is unknown").to_string();
        assert!(failure.starts_with("there is no benchmark `l7`"), "{failure}");
        assert!(
            BENCHES.iter().all(|bench| failure.contains(bench.name)),
            "{failure}"
        );
    }
}
