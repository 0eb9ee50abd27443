//! The demonstration: a fleet on the embedded backend or on Redis servers under load, and the proof that it told the truth.
//!
//! It is no benchmark of the network: without a server there is none. What is measured is this process, with all nodes
//! in it. On a server, publications are dated to their sending: delays include the way there.
//!
//! # What is measured, and how
//!
//! * **Every value read** is judged by [`truth`]: its version against the instants at which newer ones were published,
//!   as the servers' witness saw them inside the shard's lock. A value may be behind by the lease (3 s) at most.
//! * **Statuses shown** are sampled and judged once more by [`content`], from the booking ledger's log alone.
//! * **Propagation** is the time from an event's publication to its delivery to a subscriber, on every other node.
//! * **Invalidation** is the time from a change's publication to the instant at which it takes an old value out of a
//!   node's memory, or replaces it there. Every such instant is measured, on every node.
//! * **Hit ratios** count the values that queries read: from memory among all, and from the shared store among those
//!   that memory did not have. **Latencies** are those of whole queries.

pub mod announcements;
pub mod backend;
pub mod bookers;
pub mod checks;
pub mod clock;
pub mod content;
pub mod fleet;
pub mod generator;
pub mod inputs;
mod launch;
pub mod promises;
pub mod queries;
pub mod readers;
pub mod report;
mod run;
pub mod schedule;
pub mod servers;
mod signals;
pub mod spans;
mod subscribers;
pub mod table;
pub mod targets;
pub mod truth;
pub mod verdict;
pub mod watch;
pub mod weather;
pub mod witnessed;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Ending;
use crate::cli::DemoArgs;
use clock::MarketClock;
use inputs::{Inputs, Notes};
use marketplace::StoreClock as _;
use signals::Signals;

/// Lines about rows that are shown; of the rest, the number.
const SHOWN_ROWS: usize = 20;

/// Runs the demonstration as the command line asks: problems and progress to `err`, the tables to `out`.
pub fn command(args: &DemoArgs, out: &mut dyn Write, err: &mut dyn Write) -> Ending {
    match run_and_report(args, out, err) {
        Ok(ending) => ending,
        Err(problem) => {
            // Nobody listens on a closed stream; the exit code says it too.
            let _ = writeln!(err, "{problem}");
            Ending::Refused
        }
    }
}

fn run_and_report(args: &DemoArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<Ending, String> {
    let clock = MarketClock::start();
    let unheard = |error: std::io::Error| error.to_string();
    let inputs = match Inputs::of(args, clock.now()) {
        Ok(inputs) => inputs,
        Err(unusable) => {
            tell_rows(&unusable.notes, err).map_err(unheard)?;
            return Err(unusable.reasons.join("\n"));
        }
    };
    tell_rows(&inputs.notes, err).map_err(unheard)?;
    for (model, gpus) in &inputs.stock.unknown {
        let left_out = format!("{gpus} GPUs were left out: nothing is known of model {model}");
        writeln!(err, "{left_out}").map_err(unheard)?;
    }
    let file = args.report.as_deref().map(Destination::open).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    // The nodes of a real fleet do not wait for each other's processors: with twice as many threads as cores, the
    // operating system cuts in where one node's task runs long.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2 * cores)
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    let report = runtime.block_on(async {
        let Signals {
            stop,
            abandon,
            listening: _listening,
        } = Signals::listen()?;
        tokio::select! {
            report = run::run(args, inputs, clock, stop) => report,
            () = abandon.cancelled() => Err("told to stop twice: ended at once, without a report".to_owned()),
        }
    });
    // What was abandoned is dropped, and not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let report = report?;
    if let Some(file) = file {
        file.write(&report)?;
    }
    let (targets, promises) = (targets::of(&report), promises::of(&report));
    table::write(&targets, &promises, args.table, out)
        .map_err(|error| format!("the tables cannot be written: {error}"))?;
    Ok(verdict::ending(&targets, &promises))
}

fn tell_rows(notes: &Notes, err: &mut dyn Write) -> std::io::Result<()> {
    for (lines, what) in [(&notes.problems, "; skipped"), (&notes.adjustments, "")] {
        for line in lines.iter().take(SHOWN_ROWS) {
            writeln!(err, "{line}{what}")?;
        }
        if lines.len() > SHOWN_ROWS {
            writeln!(err, "... and {} more such lines", lines.len() - SHOWN_ROWS)?;
        }
    }
    if notes.skipped > 0 {
        writeln!(err, "{} rows could not be read and were skipped", notes.skipped)?;
    }
    Ok(())
}

/// The file of the report. A place that cannot be written to is found before the run, so that it costs nobody one; what is there
/// stays until the report is whole.
struct Destination {
    name: String,
    file: Place,
}

enum Place {
    /// Beside the file, which it then replaces.
    Beside(tempfile::NamedTempFile, PathBuf),
    /// What is no file: a terminal, a pipe.
    Stream(std::fs::File),
}

impl Destination {
    fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let refused = |error| format!("{name}: cannot be written: {error}");
        let is_stream = std::fs::metadata(path).is_ok_and(|known| !known.is_file());
        let file = if is_stream {
            let stream = std::fs::OpenOptions::new().write(true).open(path);
            Place::Stream(stream.map_err(refused)?)
        } else {
            // Of a link, what it leads to is replaced.
            let path = path.canonicalize().unwrap_or_else(|_new| path.to_owned());
            Place::Beside(beside(&path).map_err(refused)?, path)
        };
        Ok(Self { name, file })
    }

    fn write(self, report: &report::Report) -> Result<(), String> {
        let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        let written = match self.file {
            Place::Stream(mut stream) => writeln!(stream, "{text}"),
            Place::Beside(mut file, path) => writeln!(file, "{text}")
                .and_then(|()| file.persist(path).map(drop).map_err(|kept| kept.error)),
        };
        written.map_err(|error| format!("{}: cannot be written: {error}", self.name))
    }
}

/// A file in the same folder, which others may read as they may read any new file.
fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    // One that is there and may not be written to is not replaced either.
    if path.exists() {
        std::fs::OpenOptions::new().append(true).open(path)?;
    }
    let mut file = tempfile::Builder::new();
    file.prefix(".report-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    file.tempfile_in(folder.unwrap_or(Path::new(".")))
}
