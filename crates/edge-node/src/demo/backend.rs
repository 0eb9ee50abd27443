//! What the fleet runs on: the embedded backend, a Redis server, or a cluster of them.
//!
//! It hands each node its two ports and knows nothing else of the run.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Clock as _, Entropy as _, ErrorKind, LocalStores, StoreError, SystemClock, SystemEntropy};
use cache_memory::Hub;
use cache_redis::{Obstacle, RedisTier, Report, Servers, Settings};
use edge_cache::Ports;

use super::servers::LocalCluster;
use super::truth::Truth;
use super::witnessed::WitnessedStore;
use crate::cli::DemoArgs;

/// A backend.
pub enum Backend {
    /// In this process.
    Embedded(Hub),
    /// On servers.
    Redis(Box<Redis>),
}

/// Servers, and who is told of what is written to them.
pub struct Redis {
    settings: Settings,
    /// Those that are the run's own.
    own: Mutex<Option<LocalCluster>>,
    truth: Arc<Truth>,
    clock: SystemClock,
}

impl Backend {
    /// What the command line asks for.
    ///
    /// # Errors
    /// When its servers cannot be started, reached or asked.
    pub async fn start(args: &DemoArgs, truth: &Arc<Truth>, clock: SystemClock) -> Result<Self, String> {
        match &args.redis {
            Some(settings) => Self::redis(settings.clone(), truth, clock).await,
            None if args.cluster => Self::cluster(&args.redis_server, truth, clock).await,
            None => Ok(Self::embedded(args.seed, truth, clock)),
        }
    }

    /// In this process, all drawn from `seed`.
    #[must_use]
    pub fn embedded(seed: u64, truth: &Arc<Truth>, clock: SystemClock) -> Self {
        let hub = Hub::builder()
            .seed(seed)
            .clock(Arc::new(clock))
            .witness(Arc::clone(truth) as Arc<dyn cache_memory::Witness>);
        Self::Embedded(hub.build())
    }

    /// On a cluster that is started for the run.
    ///
    /// # Errors
    /// When it cannot be started, reached or asked.
    pub async fn cluster(program: &Path, truth: &Arc<Truth>, clock: SystemClock) -> Result<Self, String> {
        let cluster = LocalCluster::start(program).await?;
        let backend = Self::redis(cluster.settings(), truth, clock).await?;
        if let Self::Redis(redis) = &backend {
            *redis.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
        }
        Ok(backend)
    }

    /// On the servers at this address, under names that no other run has. How these begin, and findings about the servers, are
    /// told to whoever listens on standard error: a run that is killed leaves them there.
    ///
    /// # Errors
    /// When a server cannot be reached or asked.
    pub async fn redis(
        mut settings: Settings,
        truth: &Arc<Truth>,
        clock: SystemClock,
    ) -> Result<Self, String> {
        settings.prefix = format!("demo-{:016x}", SystemEntropy::new().draw() ^ clock.unix_millis());
        let tier = RedisTier::new(settings.clone()).map_err(|error| error.to_string())?;
        let report = patiently(&tier).await.map_err(|error| hinted(&error))?;
        for finding in report.findings() {
            eprintln!("redis: {finding}");
        }
        eprintln!(
            "redis: the names of this run begin with {}, and are removed at its end",
            settings.prefix
        );
        Ok(Self::Redis(Box::new(Redis {
            settings,
            own: Mutex::default(),
            truth: Arc::clone(truth),
            clock,
        })))
    }

    /// The word for it in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Redis(redis) => match redis.settings.servers {
                Servers::Cluster(_) => "redis cluster",
                _ => "redis",
            },
        }
    }

    /// Kills a master of the run's own cluster.
    ///
    /// # Errors
    /// When the system refuses; when there is none.
    pub fn kill_a_master(&self) -> Result<(), String> {
        let Self::Redis(redis) = self else {
            return Err("there is no cluster".to_owned());
        };
        let mut own = redis.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.as_mut().map_or_else(
            || Err("the cluster is not this run's own".to_owned()),
            LocalCluster::kill_a_master,
        )
    }

    /// A node's ports, over connections of its own.
    ///
    /// # Errors
    /// When the node's name cannot be a client's name.
    pub fn ports(&self, node: &str, local: Arc<dyn LocalStores>) -> Result<Ports, String> {
        match self {
            Self::Embedded(hub) => {
                let endpoint = Arc::new(hub.endpoint(node));
                Ok(Ports::new(local, endpoint.clone(), endpoint))
            }
            Self::Redis(redis) => {
                let settings = redis.settings.clone().with_client_name(node);
                let tier = Arc::new(RedisTier::new(settings).map_err(|error| error.to_string())?);
                let store = WitnessedStore::new(tier.clone(), Arc::clone(&redis.truth), redis.clock.clone());
                Ok(Ports::new(local, Arc::new(store), tier))
            }
        }
    }

    /// Leaves nothing behind.
    ///
    /// # Errors
    /// When the server cannot be reached any more; what is left are heads and logs, some kilobytes. The text says how to remove
    /// them.
    pub async fn clean(&self) -> Result<(), String> {
        if let Self::Redis(redis) = self {
            let prefix = &redis.settings.prefix;
            let left = |error: &dyn std::fmt::Display| {
                format!(
                    "some kilobytes are left on the server: {error}; remove them with `edge-node forget --prefix {prefix} --yes`"
                )
            };
            let tier = RedisTier::new(redis.settings.clone()).map_err(|error| left(&error))?;
            tier.forget().await.map_err(|error| left(&error))?;
        }
        Ok(())
    }
}

/// The report on a server that may just be starting.
async fn patiently(tier: &RedisTier) -> Result<Report, StoreError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match tier.check().await {
            Err(error)
                if error.kind() == ErrorKind::Unavailable && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            report => return report,
        }
    }
}

/// The error, and what would be right in the address, where it is known what stands in the way.
fn hinted(error: &StoreError) -> String {
    let right = match Obstacle::behind(error) {
        Some(Obstacle::NoPassword { sentinel: false } | Obstacle::OtherPassword { sentinel: false }) => {
            "name it as redis://USER:PASSWORD@HOST:PORT"
        }
        Some(Obstacle::ClearText) => "name it as redis://, or name its encrypted port",
        Some(Obstacle::Encrypted) => "name it as rediss://, or name its port in clear text",
        _ => return error.to_string(),
    };
    format!("{error}: {right}")
}

/// As long as a server on a busy machine may take to start.
const PATIENCE: Duration = Duration::from_secs(5);
