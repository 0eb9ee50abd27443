//! An edge node of the GPU marketplace: the wiring of all crates, the command line, and the demonstration.
//!
//! It holds no logic of the cache or of the market: what needs an explanation of *what* it does lives in the crate
//! that owns it. What is here chooses adapters, hands them in, starts and stops tasks, and reports.
//!
//! * `edge-node config --show` prints the settings in force and where each comes from.
//! * `edge-node check` reports on the Redis servers of the settings; `owned` and `forget` list and remove what a deployment owns.
//! * `edge-node reshard` gives a deployment another number of shards, and empties it.
//! * `edge-node migrate --store postgres://...` makes the schema that bookings are kept in; nothing else does.
//! * `edge-node demo` runs a fleet of nodes on the embedded backend or on Redis, books and cancels GPUs while every node answers
//!   queries, and proves from the outside that no answer was staler than the bound and no GPU was booked twice.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for the demonstration: every promise was kept and every target met, also when it was ended early by ctrl-c or SIGTERM |
//! | 1 | the demonstration found a stale read, a double booking or another broken promise; or `check` found something to change |
//! | 2 | wrong flags, wrong settings, a file or server that cannot be reached, or files without anything to run on; a demonstration that was stopped before it began |
//! | 3 | the demonstration broke no promise, but missed a target, or had nothing to measure one of them by |

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser as _;

pub mod cli;
pub mod demo;
mod servers;
mod settings;
pub mod shared_tier;
pub mod stores;

use cli::{Cli, Command, refusal};

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is well: exit code 0.
    Well,
    /// A promise was found broken, or a server that should be changed: exit code 1.
    Broken,
    /// The request could not be carried out: exit code 2.
    Refused,
    /// No promise was broken, but a target was missed, or one of them could not be measured: exit code 3.
    Missed,
}

/// Does what the command line asks, with this environment; results go to `out`, problems to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    match end(arguments, environment, out, err) {
        Ending::Well => ExitCode::SUCCESS,
        Ending::Broken => ExitCode::from(1),
        Ending::Refused => ExitCode::from(2),
        Ending::Missed => ExitCode::from(3),
    }
}

/// As [`run`], for callers that want to know the ending itself.
pub fn end(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Ending {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // A request for help is not an error; clap knows which stream it belongs to.
        Err(asked) if !asked.use_stderr() => return told(out, &asked.render().to_string(), Ending::Well),
        Err(wrong) => return told(err, &refusal(wrong, &arguments), Ending::Refused),
    };
    match cli.command {
        Command::Config(args) => match settings::load(&args.settings, environment) {
            Ok(loaded) if args.show => told(out, &loaded.show(), Ending::Well),
            Ok(_) => told(out, "all settings are in order\n", Ending::Well),
            Err(problem) => told(err, &format!("{problem}\n"), Ending::Refused),
        },
        Command::Check(args) => answered(out, err, servers::check(&args, environment)),
        Command::Owned(args) => answered(out, err, servers::owned(&args, environment)),
        Command::Forget(args) => answered(out, err, servers::forget(&args, environment)),
        Command::Reshard(args) => answered(out, err, servers::reshard(&args, environment)),
        Command::Migrate(args) => match stores::migrate(&args) {
            Ok(done) => told(out, &done, Ending::Well),
            Err(problem) => told(err, &format!("{problem}\n"), Ending::Refused),
        },
        Command::Demo(args) => demo::command(&args, out, err),
    }
}

fn answered(out: &mut dyn Write, err: &mut dyn Write, answer: Result<(String, Ending), String>) -> Ending {
    match answer {
        Ok((text, ending)) => told(out, &text, ending),
        Err(problem) => told(err, &format!("{problem}\n"), Ending::Refused),
    }
}

/// A stream that is closed has nobody to tell; what was to be said does not change how it ends.
fn told(stream: &mut dyn Write, text: &str, ending: Ending) -> Ending {
    let _ = stream.write_all(text.as_bytes());
    ending
}
