//! `cargo xtask demo`: the edge node's demonstration, built in release mode because it measures.
//!
//! It knows none of the demonstration's options: all arguments, even `--help`, are the demonstration's own.

use std::ffi::OsString;

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask demo`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed to `edge-node demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the edge node and becomes its demonstration, so that ctrl-c and the exit code are its own.
///
/// # Errors
/// If cargo can not be started.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    call(args).become_it()
}

fn call(args: &Args) -> Cargo {
    let node = [
        "run",
        "--release",
        "--package",
        "edge-node",
        "--bin",
        "edge-node",
        "--",
        "demo",
    ];
    Cargo::new(node).args(&args.arguments)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn passed_on(line: &[&str]) -> String {
        let line = Line::try_parse_from([&["demo"], line].concat()).expect("everything is accepted");
        call(&line.args).to_string()
    }

    #[test]
    fn all_arguments_reach_the_demonstration_in_their_order() {
        let call = passed_on(&["--duration", "10", "-v", "--", "--help"]);
        assert!(
            call.ends_with("--bin edge-node -- demo --duration 10 -v -- --help"),
            "{call}"
        );
    }

    #[test]
    fn a_request_for_help_is_the_demonstrations_to_answer() {
        assert!(passed_on(&["--help"]).ends_with("-- demo --help"));
    }
}
