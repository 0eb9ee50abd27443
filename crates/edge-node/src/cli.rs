//! The command line: every flag with its meaning, its default and its limits.
//!
//! It only says what was asked; what is done about it stands elsewhere. Settings have no flags of their own here:
//! each row of the settings' table is one.

mod flags;
mod fleet;
mod refusal;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use flags::SettingFlags;
pub use fleet::FleetPlan;
pub use refusal::refusal;
pub use store::StoreChoice;

use crate::demo::table::TableForm;

/// An edge node of the GPU marketplace.
///
/// Exit codes: 0 done, and in the demonstration every promise was kept and every target met; 1 the demonstration found a
/// broken promise, or the check of the servers something that should be changed; 2 wrong flags, wrong settings, a file or
/// server that cannot be reached, or files without anything to run on; 3 the demonstration broke no promise, but missed a
/// target or had nothing to measure one by.
#[derive(Debug, Parser)]
#[command(name = "edge-node", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks the settings and shows what is in force
    Config(Box<ConfigArgs>),
    /// Reports on the Redis servers of the settings: their version, and what endangers the cache there
    Check(Box<ServersArgs>),
    /// Lists what a deployment owns in the Redis servers of the settings
    Owned(Box<ServersArgs>),
    /// Removes what a deployment owns in the Redis servers of the settings
    ///
    /// Nodes that still use it drop what they hold in memory and begin anew. Values end with their lives; until then nobody
    /// reads them.
    Forget(Box<ForgetArgs>),
    /// Gives a deployment the number of shards of the settings (redis.shards)
    ///
    /// It empties the cache. Nodes that run with the old number drop what they hold in memory, write nothing more, answer from their
    /// sources, and say why, until they are started with the new number. After a failure, the same command finishes what was begun.
    Reshard(Box<ReshardArgs>),
    /// Brings a database for bookings to this program's schema
    ///
    /// Nothing else ever changes a schema: a node whose database is of another version refuses to start and names this
    /// command. Repeating it does no harm.
    Migrate(MigrateArgs),
    /// Runs a fleet of nodes and proves that their answers are true
    ///
    /// Three regions of nodes, each node with its own memory (L1), share one store (L2): the embedded one in this process,
    /// a Redis server, or a cluster of them.
    /// Bookings and cancellations flow on a compressed clock while every node serves a Zipf-distributed mix of the
    /// marketplace's queries. Every value read is compared with what was published when; the bookings' log is
    /// searched for double grants. Two tables are printed at the end: targets, which depend on the machine, and promises.
    /// Ctrl-c or SIGTERM ends the run early, with the report so far, and a second one at once; the exit code is still that of
    /// what was found.
    Demo(Box<DemoArgs>),
}

/// What follows `edge-node config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Prints every setting with its value and origin, secrets redacted; without it the settings are only checked
    #[arg(long)]
    pub show: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What follows `edge-node check` and `edge-node owned`.
#[derive(Debug, Args)]
pub struct ServersArgs {
    /// The deployment: what it owns in the servers begins with this
    #[arg(long, value_name = "PREFIX", default_value = "edge")]
    pub prefix: String,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What follows `edge-node forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The deployment: what begins with this is removed
    #[arg(long, value_name = "PREFIX")]
    pub prefix: String,
    /// Removes it; without this, it is only said what would be removed
    #[arg(long)]
    pub yes: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What follows `edge-node reshard`.
#[derive(Debug, Args)]
pub struct ReshardArgs {
    /// The deployment: what it owns in the servers begins with this
    #[arg(long, value_name = "PREFIX")]
    pub prefix: String,
    /// Changes it; without this, it is only said what would happen
    #[arg(long)]
    pub yes: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Where settings come from, besides the environment.
#[derive(Args)]
pub struct SettingsArgs {
    /// A YAML file with settings; the environment and the flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one setting by its path, as in `--set redis.port=6380`; overrides everything else
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub assignments: Vec<String>,
    /// One flag for each setting.
    #[command(flatten)]
    pub flags: SettingFlags,
}

impl fmt::Debug for SettingsArgs {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .assignments
            .iter()
            .map(|one| one.split('=').next().unwrap_or_default());
        f.debug_struct("SettingsArgs")
            .field("config", &self.config)
            .field("assignments", &names.collect::<Vec<_>>())
            .field("flags", &self.flags)
            .finish()
    }
}

/// What follows `edge-node migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The database: postgres://USER:PASSWORD@HOST/DATABASE; an SQLite file lays itself out and has nothing to migrate
    #[arg(long, value_name = "STORE")]
    pub store: StoreChoice,
}

/// What follows `edge-node demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Regions and how many nodes each has: 1 to 64 nodes in all
    #[arg(
        long,
        value_name = "REGION=NODES,...",
        default_value = "us-east=5,us-west=4,europe=6"
    )]
    pub nodes: FleetPlan,
    /// GPU hosts as CSV (columns sn, gpu, model); without it they are generated from the seed
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// Tasks as CSV (columns name, num_gpu, creation_time, deletion_time); each with GPUs is a booking and later a
    /// cancellation. Without it they are generated from the seed
    #[arg(long, value_name = "FILE")]
    pub bookings: Option<PathBuf>,
    /// Rental offers as CSV (columns gpu_model, gpu_count, vram_mib_total, price_per_hour_usd), for the base prices;
    /// without it they are estimates
    #[arg(long, value_name = "FILE")]
    pub offers: Option<PathBuf>,
    /// How many seconds the bookings are compressed into: 0.5 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub duration: Duration,
    /// Where everything that is generated or drawn comes from; the order of tasks remains the machine's
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Makes the network bad: lost, doubled, late and reordered events, lost replies, frozen and cut off nodes, and
    /// failovers that forget what was acknowledged
    #[arg(long)]
    pub faults: bool,
    /// Runs on these Redis servers instead of the embedded backend, as in redis://127.0.0.1:6379,
    /// redis-cluster://10.0.0.1:7000,10.0.0.2:7000 or redis-sentinel://10.0.0.1:26379/MASTER, under names of its own that are
    /// removed at the end
    #[arg(long, value_name = "URL", value_parser = redis, conflicts_with = "faults")]
    pub redis: Option<cache_redis::Settings>,
    /// Runs on a Redis Cluster of three masters with a replica each, which it starts on this machine and ends with the run
    #[arg(long, conflicts_with_all = ["redis", "faults"])]
    pub cluster: bool,
    /// Kills a master of that cluster after so many seconds; its replica takes over
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "cluster")]
    pub kill_master: Option<Duration>,
    /// The server program of that cluster
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "redis-server",
        requires = "cluster"
    )]
    pub redis_server: PathBuf,
    /// Where the bookings are decided: memory, sqlite (a temporary file), sqlite:FILE, postgres://USER@HOST/DATABASE that was
    /// migrated, or redis://HOST:PORT. A file, database or server must hold no bookings yet
    #[arg(long, value_name = "STORE", default_value = "memory")]
    pub store: StoreChoice,
    /// Lets a store sell that may lose what it acknowledged, as the setting security.allow_lossy_bookings does
    #[arg(long)]
    pub allow_lossy_bookings: bool,
    /// How the tables are written
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub table: TableForm,
    /// Writes the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

fn redis(url: &str) -> Result<cache_redis::Settings, String> {
    cache_redis::Settings::from_url(url).map_err(|error| error.to_string())
}

/// Half a second to an hour: less measures nothing, more outlives the bookings.
fn seconds(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number of seconds from 0.5 to 3600".to_owned();
    let seconds: f64 = text.parse().map_err(|_| expected())?;
    if !(0.5..=3600.0).contains(&seconds) {
        return Err(expected());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| expected())
}

#[cfg(test)]
mod tests;
