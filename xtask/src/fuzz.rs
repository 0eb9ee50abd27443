//! `cargo xtask fuzz`: everything that reads bytes from elsewhere, fed with bytes that a coverage-guided fuzzer makes up.
//!
//! It needs neither a nightly toolchain nor a further cargo command: libFuzzer comes with the crate `libfuzzer-sys`, and the
//! compiler's coverage instrumentation is asked for by the options that `cargo fuzz` uses as well. Memory is not
//! sanitized: there is no `unsafe` code of ours to watch.

use std::fs;
use std::num::NonZeroU64;

use crate::cargo::{Cargo, Failure, has_program, workspace};

/// What follows `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value = "60")]
    seconds: NonZeroU64,
    /// Which targets [default: all]
    #[arg(value_enum)]
    targets: Vec<Target>,
}

/// What is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Target {
    /// Stored values
    Envelope,
    /// Events and log entries of a Redis server
    Event,
    /// Tables of hosts, offers and tasks
    Inputs,
    /// Settings of all layers
    Settings,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Event => "event",
            Self::Inputs => "inputs",
            Self::Settings => "settings",
        }
    }
}

/// What makes a build tell the fuzzer where it has been: counters on edges, their places, and compared values.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Fuzzes one target after the other. What was found to be new is kept for the next time, below `target`.
///
/// # Errors
/// If there is no C++ compiler to build the fuzzer with, or a target fails: the input that made it do so is printed
/// and kept.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !has_program("c++") {
        return Err(Failure::NoProgram {
            name: "c++",
            right: "the fuzzer's library is C++, so install a compiler for it (Debian: apt-get install g++)",
        });
    }
    let targets = match &args.targets[..] {
        [] => <Target as clap::ValueEnum>::value_variants(),
        some => some,
    };
    for target in targets {
        for folder in [corpus(*target), findings(*target)] {
            let path = workspace().join(&folder);
            fs::create_dir_all(path).map_err(|cause| Failure::Unreadable { path: folder, cause })?;
        }
        call(*target, args.seconds).run()?;
    }
    Ok(())
}

fn corpus(target: Target) -> String {
    format!("target/fuzz/corpus/{}", target.name())
}

fn findings(target: Target) -> String {
    format!("target/fuzz/findings/{}/", target.name())
}

fn call(target: Target, seconds: NonZeroU64) -> Cargo {
    let call = [
        "run",
        "--locked",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz",
        // Named, so that the flags reach no build script: these run without the fuzzer's library.
        "--target",
        "host-tuple",
        "--bin",
        target.name(),
        "--",
    ];
    Cargo::new(call)
        .args([corpus(target), format!("fuzz/seeds/{}", target.name())])
        .args([
            format!("-max_total_time={seconds}"),
            format!("-artifact_prefix={}", findings(target)),
            "-print_final_stats=1".to_owned(),
        ])
        .env("RUSTFLAGS", INSTRUMENTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn a_target_begins_with_its_seeds_and_keeps_what_it_learns() {
        let call = call(Target::Event, NonZeroU64::MIN).to_string();
        let expected = "--bin event -- target/fuzz/corpus/event fuzz/seeds/event -max_total_time=1 \
            -artifact_prefix=target/fuzz/findings/event/ -print_final_stats=1";
        assert!(call.ends_with(expected), "{call}");
    }

    #[test]
    fn every_target_has_a_program_and_seeds() {
        for target in Target::value_variants() {
            let fuzz = workspace().join("fuzz");
            assert!(fuzz.join(format!("targets/{}.rs", target.name())).is_file());
            let seeds = fs::read_dir(fuzz.join("seeds").join(target.name())).expect("a folder of seeds");
            assert!(seeds.count() > 0);
        }
    }
}
