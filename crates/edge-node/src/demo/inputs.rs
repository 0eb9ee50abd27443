//! What a run starts from: GPUs and tasks, from files or from the generator.
//!
//! It judges no row; the readers of the marketplace do, and what they skipped is passed on.

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
    /// The GPUs to open the market with.
    pub stock: Stock,
    /// What will be booked.
    pub tasks: Vec<Task>,
    /// One line for each row that could not be read, with its file and line.
    pub skipped: Vec<String>,
}

impl Inputs {
    /// Reads the files that were given and generates the rest.
    ///
    /// # Errors
    /// When a file cannot be read, has no rows or lacks a column; the text names it.
    pub fn of(args: &DemoArgs, now: StoreTime) -> Result<Self, String> {
        let mut skipped = Vec::new();
        let hosts: Vec<Host> = match &args.hosts {
            Some(path) => rows(path, read_hosts, &mut skipped)?,
            None => generator::hosts(args.seed)?,
        };
        let tasks = match &args.bookings {
            Some(path) => rows(path, read_tasks, &mut skipped)?,
            None => generator::tasks(args.seed),
        };
        let offers = match &args.offers {
            Some(path) => OfferBook::of(&rows(path, read_offers, &mut skipped)?),
            None => OfferBook::default(),
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
        let stock = stock(&hosts, &offers, &layout, now).map_err(|error| error.to_string())?;
        Ok(Self {
            stock,
            tasks,
            skipped,
        })
    }
}

fn rows<T>(
    path: &Path,
    read: impl FnOnce(File, &str) -> Result<Ingested<T>, FileProblem>,
    skipped: &mut Vec<String>,
) -> Result<Vec<T>, String> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let ingested = read(file, &name).map_err(|problem| with_cause(&problem))?;
    skipped.extend(
        ingested
            .problems
            .iter()
            .map(|problem| format!("{name}: {problem}")),
    );
    Ok(ingested.rows)
}

fn with_cause(error: &impl std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
