//! What a run starts from: GPUs and tasks, from files or from the generator.
//!
//! It judges no row; the readers of the marketplace do, and what they skipped is passed on.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use marketplace::ingest::{
    FileProblem, Host, Ingested, Layout, OfferBook, Stock, Task, read_hosts, read_offers, read_tasks, stock,
};
use marketplace::{Region, StoreTime};

use super::generator;
use crate::cli::DemoArgs;

/// Hosts of one provider: some sixty providers for the reference inventory.
const HOSTS_PER_PROVIDER: usize = 20;

/// GPUs, tasks, and what was left out.
#[derive(Debug)]
pub struct Inputs {
    /// The GPUs to open the market with; at least one.
    pub stock: Stock,
    /// What will be booked; at least one.
    pub tasks: Vec<Task>,
    /// What is to be told of the files.
    pub notes: Notes,
}

/// What is to be told of the files that were read, one line each, with file and line.
#[derive(Debug, Default)]
pub struct Notes {
    /// What is wrong with rows that were left out.
    pub problems: Vec<String>,
    /// How many rows were left out.
    pub skipped: usize,
    /// What was read as something else than it says.
    pub adjustments: Vec<String>,
}

/// Why there is nothing to run with.
#[derive(Debug, Default)]
pub struct Unusable {
    /// What is to be told of the rows all the same.
    pub notes: Notes,
    /// Everything that stands in the way, a line each.
    pub reasons: Vec<String>,
}

impl Inputs {
    /// Reads the files that were given and generates the rest.
    ///
    /// # Errors
    /// When a file cannot be read, has no rows, lacks a column, or has no row that can be used; and when there is no GPU to
    /// offer or no task to book. All files are read before it is told.
    pub fn of(args: &DemoArgs, now: StoreTime) -> Result<Self, Unusable> {
        let mut reading = Reading::default();
        let hosts: Option<Vec<Host>> = match &args.hosts {
            Some(path) => reading.rows(path, read_hosts, "host with GPUs"),
            None => reading.noted(generator::hosts(args.seed)),
        };
        let tasks: Option<Vec<Task>> = match &args.bookings {
            Some(path) => reading.rows(path, read_tasks, "task that wants a GPU"),
            None => Some(generator::tasks(args.seed)),
        };
        let offers = match &args.offers {
            Some(path) => reading.rows(path, read_offers, "offer"),
            None => Some(Vec::new()),
        };
        let (Some(hosts), Some(tasks), Some(offers)) = (hosts, tasks, offers) else {
            return Err(reading.unusable);
        };
        let regions: Vec<Region> = args
            .nodes
            .regions()
            .iter()
            .map(|(region, _)| region.clone())
            .collect();
        let layout = Layout {
            regions,
            hosts_per_provider: HOSTS_PER_PROVIDER,
        };
        let stock = stock(&hosts, &OfferBook::of(&offers), &layout, now);
        let Some(stock) = reading.noted(stock.map_err(|error| error.to_string())) else {
            return Err(reading.unusable);
        };
        if stock.gpus.is_empty() {
            let unknown: Vec<String> = stock.unknown.keys().map(ToString::to_string).collect();
            reading.unusable.reasons.push(format!(
                "there is no GPU to offer: nothing is known of the models {}",
                unknown.join(", ")
            ));
            return Err(reading.unusable);
        }
        Ok(Self {
            stock,
            tasks,
            notes: reading.unusable.notes,
        })
    }
}

#[derive(Default)]
struct Reading {
    unusable: Unusable,
}

impl Reading {
    /// The rows of a file, at least one.
    fn rows<T>(
        &mut self,
        path: &Path,
        read: impl FnOnce(File, &str) -> Result<Ingested<T>, FileProblem>,
        what: &str,
    ) -> Option<Vec<T>> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: cannot be read: {error}"));
        let file = self.noted(file)?;
        let read = self.noted(read(file, &name).map_err(|problem| with_cause(&problem)))?;
        let lines: BTreeSet<u64> = read.problems.iter().map(|problem| problem.line).collect();
        let notes = &mut self.unusable.notes;
        notes.skipped += lines.len();
        notes
            .problems
            .extend(read.problems.iter().map(ToString::to_string));
        notes
            .adjustments
            .extend(read.adjustments.iter().map(ToString::to_string));
        if read.rows.is_empty() {
            let skipped = lines.len();
            let reason = format!("{name}: has no {what}; {skipped} rows could not be read");
            self.unusable.reasons.push(reason);
            return None;
        }
        Some(read.rows)
    }

    fn noted<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|reason| self.unusable.reasons.push(reason)).ok()
    }
}

fn with_cause(error: &impl std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
