//! The command line of the bench.
//!
//! It reads no environment.

use std::path::PathBuf;

/// Compares memories in one process.
#[derive(clap::Parser)]
pub(crate) struct Arguments {
    /// A rough table in some seconds: fewer rounds, and only the first 200,000 requests of each trace.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keys in the measurements of time. With 2,000 or fewer, everything fits the processor's caches.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..))]
    pub(crate) keys: u32,
    /// The OLTP trace of the ARC paper, compressed with zstd.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/OLTP.lis.zst"))]
    pub(crate) oltp: PathBuf,
    /// Prints the hit ratios of other settings of the eviction policy, and nothing else.
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Measures the memory of one contender, for the process that prints the table.
    #[arg(long, hide = true)]
    pub(crate) memory_of: Option<String>,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 3 } else { 11 }
    }
}
