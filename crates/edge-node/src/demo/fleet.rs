//! The wiring: one backend, the systems of record, and the nodes with their caches and marketplaces.
//!
//! Every node has the settings that a real edge node would have, from the preset `edge`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Policy, SystemEntropy};
use cache_l1::MemoryStores;
use config::{Overrides, Settings, Sources, Switch};
use edge_cache::{EdgeCache, Timing};
use futures_util::future::join_all;
use marketplace::checks::Recorder;
use marketplace::inventory::GpuRecord;
use marketplace::{
    AvailabilityQuery, Currency, Cursor, Distances, Gpu, MarketSettings, Marketplace, MemoryBids,
    MemoryInventory, Records, Region, ScarcityPricing, ShelfKey,
};

use super::backend::Backend;
use super::clock::MarketClock;
use super::truth::Truth;
use super::watch::WatchedStores;
use crate::cli::DemoArgs;
use crate::stores;

/// The spans of the protocol, and with them the bound that is checked.
pub const TIMING: Timing = Timing {
    lease: Duration::from_secs(3),
    deadline: Duration::from_secs(2),
};

/// One in so many memory hits of a node is compared with the log: eight times what a node does by itself, since a run is short.
const SPOT_CHECKS: u32 = 128;
/// How often the first node writes canaries.
const CANARIES: Duration = Duration::from_secs(1);
/// How long a node may take until it follows every shard.
const READY: Duration = Duration::from_secs(10);

/// How a node's entries are divided among the classes, in thousandths. Pages are most of what there is; there are as
/// many order books as price sheets, and few statistics.
pub const SHARES: [(&str, u64); 8] = [
    ("gpu_availability", 472),
    ("gpu_pricing", 120),
    ("shelf_section", 8),
    ("order_book", 120),
    ("provider_status", 160),
    ("market_stats", 40),
    ("historical_data", 72),
    ("shelf_list", 8),
];

/// The whole deployment.
pub struct Fleet {
    /// What it runs on.
    pub backend: Arc<Backend>,
    /// The nodes, region by region.
    pub nodes: Vec<Node>,
    /// Who judges.
    pub truth: Arc<Truth>,
    /// The clock of all.
    pub clock: Arc<MarketClock>,
    /// What the booking store was asked and answered.
    pub recorder: Arc<Recorder>,
    /// The systems of record.
    pub records: Records,
    /// The folder of a temporary store, deleted at the end.
    _folder: Option<tempfile::TempDir>,
}

/// One node.
pub struct Node {
    /// Its name: region and number.
    pub name: String,
    /// Where it stands.
    pub region: Region,
    /// Its marketplace.
    pub market: Marketplace,
    /// Its memory.
    pub memory: Arc<WatchedStores>,
    /// Whether its memory is filled before it serves.
    warmup: Switch,
}

impl Fleet {
    /// Opens the stores, and builds and starts the nodes. Dropping the future starts nothing.
    ///
    /// # Errors
    /// When the store of bookings cannot be opened or holds some already, a GPU is listed twice, or a node's settings are wrong.
    pub async fn build(
        args: &DemoArgs,
        gpus: Vec<GpuRecord>,
        clock: MarketClock,
        truth: Arc<Truth>,
        backend: Arc<Backend>,
    ) -> Result<Self, String> {
        let (plan, seed) = (&args.nodes, args.seed);
        let clock = Arc::new(clock);
        let lossy = if args.allow_lossy_bookings {
            Switch::On
        } else {
            Switch::Off
        };
        let opened = stores::open(&args.store, lossy, clock.clone()).await?;
        if !opened.sells {
            return Err(format!(
                "the {} store may lose what it acknowledged, so it sells nothing: add --allow-lossy-bookings, or name a durable \
                 one",
                args.store.kind()
            ));
        }
        let before = opened.ledger.changes_since(Cursor::START, 1).await;
        if !before.map_err(|error| error.to_string())?.rows.is_empty() {
            return Err(
                "the store holds bookings already, and a run judges its whole log: name an empty one"
                    .to_owned(),
            );
        }
        let recorder = Recorder::new(opened.bookings, clock.clone()).with(opened.groups, opened.terms);
        let recorder = Arc::new(recorder);
        let inventory = Arc::new(MemoryInventory::new(clock.clone(), Currency::USD));
        inventory.add(gpus).map_err(|error| error.to_string())?;
        let records = Records {
            bookings: recorder.clone(),
            groups: recorder.clone(),
            terms: recorder.clone(),
            ledger: opened.ledger,
            inventory: inventory.clone(),
            control: inventory,
            bids: Arc::new(MemoryBids::new(clock.clone())),
            pricing: Arc::new(ScarcityPricing),
            clock: clock.clone(),
        };
        let mut fleet = Self {
            backend,
            nodes: Vec::new(),
            truth,
            clock,
            recorder,
            records,
            _folder: opened.folder,
        };
        for (region, count) in plan.regions() {
            for number in 1..=*count {
                let node = fleet.node(region, number, seed)?;
                fleet.nodes.push(node);
            }
        }
        Ok(fleet)
    }

    /// Waits until every node follows every shard, and fills their memories. Cancel-safe.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn ready(&self) -> Result<(), String> {
        for node in &self.nodes {
            if !node.market.cache().ready(READY).await {
                return Err(format!(
                    "{} does not follow every shard after {READY:?}",
                    node.name
                ));
            }
        }
        join_all(self.nodes.iter().map(Node::warm)).await;
        Ok(())
    }

    /// Ends every node's tasks.
    pub async fn shutdown(&self) {
        join_all(self.nodes.iter().map(|node| node.market.cache().shutdown())).await;
    }

    fn node(&self, region: &Region, number: usize, seed: u64) -> Result<Node, String> {
        let name = format!("{region}-{number}");
        let settings = settings(&name, region)?;
        let memory = Arc::new(WatchedStores::new(
            Arc::new(MemoryStores),
            Arc::clone(&self.truth),
            self.clock.shared(),
        ));
        let mut ports = self.backend.ports(&name, memory.clone())?;
        ports.clock = Arc::new(self.clock.shared());
        ports.entropy = Arc::new(SystemEntropy::seeded(seed ^ (self.nodes.len() as u64 + 1) << 48));
        let builder = EdgeCache::builder(ports)
            .node(&name)
            .region(region.as_str())
            .timing(TIMING)
            .event_queue(settings.cache.event_queue_size.get())
            .spot_checks(SPOT_CHECKS);
        let builder = if self.nodes.is_empty() {
            builder.canaries(CANARIES)
        } else {
            builder
        };
        let cache = Marketplace::register_with(builder, |class, policy| adapted(class, policy, &settings))
            .start()
            .map_err(|error| error.to_string())?;
        let market = Marketplace::with_settings(cache, self.records.clone(), market(&settings, region)?);
        Ok(Node {
            name,
            region: region.clone(),
            market,
            memory,
            warmup: settings.performance.warmup_enabled,
        })
    }
}

impl Node {
    /// Reads the whole market once. What cannot be read now is read when somebody asks for it.
    async fn warm(&self) {
        let everything = AvailabilityQuery {
            limit: usize::MAX,
            ..AvailabilityQuery::default()
        };
        if !self.warmup.is_on() {
            return;
        }
        if let Ok(gpus) = self.market.gpu_availability(&everything).await {
            let shelf = |gpu: Gpu| ShelfKey {
                region: gpu.region,
                model: gpu.model,
            };
            let shelves: BTreeSet<ShelfKey> = gpus.value.into_iter().map(shelf).collect();
            join_all(shelves.iter().map(|shelf| self.market.order_book(shelf))).await;
        }
        let _ = self.market.market_stats(None).await;
    }
}

/// The settings of an edge node of this name. The preset wants a password for its servers; the embedded ones ask none.
fn settings(name: &str, region: &Region) -> Result<Settings, String> {
    let overrides = Overrides::new()
        .set("environment=edge")
        .set(&format!("edge_node.id={name}"))
        .set(&format!("edge_node.region={region}"))
        .set("redis.password=embedded");
    let loaded = Sources::new()
        .overrides(overrides)
        .load()
        .map_err(|problems| problems.to_string())?;
    Ok(loaded.settings)
}

/// What the market allows, as the settings have it.
fn market(settings: &Settings, home: &Region) -> Result<MarketSettings, String> {
    let distances = settings.market.region_distances.as_ref();
    let distances = distances
        .map_or("", |distances| distances.as_str())
        .parse::<Distances>();
    Ok(MarketSettings {
        longest_booking: settings.market.longest_booking_hours.duration(),
        booking_lead: settings.market.booking_lead_hours.duration(),
        late_start: settings.market.late_start,
        quote_life: settings.market.quote_life,
        home: Some(home.clone()),
        distances: distances.map_err(|error| error.to_string())?,
    })
}

fn adapted(class: &str, policy: Policy, settings: &Settings) -> Policy {
    let entries = u64::try_from(settings.cache.l1_size.get()).unwrap_or(u64::MAX);
    let share = SHARES
        .iter()
        .find(|(name, _)| *name == class)
        .map_or(0, |(_, share)| *share);
    let l1_ttl = settings.cache.l1_ttl_multiplier.of(policy.l2_ttl);
    policy
        .with_l1_ttl(l1_ttl)
        .with_memory(policy.max_bytes, (entries.saturating_mul(share) / 1_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketplace::namespaces::{GPU_AVAILABILITY, ORDER_BOOK};

    #[test]
    fn the_entries_of_all_classes_are_the_500_of_an_edge_node() {
        let settings = settings("us-east-1", &Region::new("us-east").unwrap()).unwrap();
        let entries = |class| adapted(class, *GPU_AVAILABILITY.policy(), &settings).max_entries;
        assert_eq!(SHARES.iter().map(|(class, _)| entries(class)).sum::<u64>(), 500);
        assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u64>(), 1_000);
    }

    #[test]
    fn the_market_of_a_node_that_was_told_nothing_is_the_default_one_at_home() {
        let home = Region::new("us-east").unwrap();
        let market = market(&settings("us-east-1", &home).unwrap(), &home).unwrap();
        let expected = MarketSettings {
            home: Some(home),
            ..MarketSettings::default()
        };
        assert_eq!(market, expected);
    }

    #[test]
    fn memory_keeps_a_value_for_the_share_of_its_life_that_the_preset_says() {
        let settings = settings("us-east-1", &Region::new("us-east").unwrap()).unwrap();
        let policy = adapted(ORDER_BOOK.name(), *ORDER_BOOK.policy(), &settings);
        assert_eq!(policy.l1_ttl, Duration::from_millis(1_500));
        assert_eq!(
            (policy.l2_ttl, policy.max_bytes),
            (Duration::from_secs(5), 200_000_000)
        );
    }
}
