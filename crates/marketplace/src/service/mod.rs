//! The marketplace on an edge node: every read from the cache, every write decided by the records and then told.
//!
//! It decides no booking, and starts no task of its own beyond the one that carries a write's effects to their end.

mod admission;
mod answer;
mod bidding;
mod drain;
mod finding;
mod groups;
mod holding;
pub mod keys;
mod load;
mod merge;
mod news;
mod position;
mod providers;
mod quotes;
mod reads;
mod records;
mod refusals;
mod rewrite;
mod search;
mod settings;
mod spread;
mod tape;
mod terms;
mod turns;
mod writes;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use cache_core::Policy;
use edge_cache::{EdgeCache, EdgeCacheBuilder, Health, NamespaceStats, Status, Subscription};

use self::bidding::Begun;
use self::news::Heard;
use self::records::Source;
use self::search::Directory;
use self::spread::Spreading;
use crate::{BidId, namespaces};

pub use answer::{Answer, Read};
pub use drain::Drained;
pub use finding::{AvailabilityQuery, Show};
pub use groups::{Candidates, NewGroupBooking};
pub use holding::LONGEST_HOLD;
pub use news::{BookingNews, News, ShelfNews};
pub use providers::ProviderStats;
pub use quotes::TimedQuote;
pub use records::Records;
pub use refusals::{LONGEST_KEY, Reason, Refusal};
pub use settings::{Distances, MarketSettings, WrongDistance};
pub use spread::Effects;
pub use writes::{Booked, MarketError, NewBooking};

/// What a loader may fail with.
type Failure = Box<dyn Error + Send + Sync>;

/// The marketplace of one node. Cheap to clone; all clones are the same.
///
/// ```
/// use edge_cache::{EdgeCache, Ports};
/// use marketplace::{Marketplace, Records, SearchFilter};
///
/// async fn cheapest(ports: Ports, records: Records) -> Result<(), Box<dyn std::error::Error>> {
///     let cache = Marketplace::register(EdgeCache::builder(ports)).node("us-east-1").start()?;
///     let market = Marketplace::new(cache, records);
///     let found = market.cheapest_gpus(10, SearchFilter::default()).await?;
///     println!("{} GPUs, {:?}, from {} cached values", found.value.len(), found.freshness, found.reads.len());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Marketplace {
    core: Arc<Core>,
}

struct Core {
    cache: EdgeCache,
    settings: MarketSettings,
    source: Source,
    spreading: Spreading,
    directory: Mutex<Option<Arc<Directory>>>,
    heard: Arc<Heard>,
    /// Attempts to serve a bid that a failing record cut off; at most one for each bid that waits.
    begun: Mutex<BTreeMap<BidId, Begun>>,
    /// Ends with the marketplace.
    _hearing: Subscription,
}

/// How the marketplace is on this node.
#[derive(Debug, Clone)]
pub struct MarketHealth {
    /// The cache's short answer.
    pub status: Status,
    /// Every class of cached data, and the list of shelves.
    pub classes: Vec<ClassHealth>,
    /// Everything else about the cache.
    pub cache: Health,
}

/// How one class of cached data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassHealth {
    /// The namespace's name.
    pub name: &'static str,
    /// What it has seen, and what it takes.
    pub stats: NamespaceStats,
    /// What it may take in memory by the table of classes, in bytes.
    pub budget: u64,
}

impl Marketplace {
    /// A marketplace over a cache at which [`register`](Self::register) was called, and the records it shows.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn new(cache: EdgeCache, records: Records) -> Self {
        Self::with_settings(cache, records, MarketSettings::default())
    }

    /// As [`new`](Self::new), under other settings than the default.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn with_settings(cache: EdgeCache, records: Records, settings: MarketSettings) -> Self {
        let heard = Arc::new(Heard::default());
        let hearing = heard.listen(&cache);
        let core = Core {
            cache,
            settings,
            source: Source::new(records),
            spreading: Spreading::default(),
            directory: Mutex::default(),
            heard,
            begun: Mutex::default(),
            _hearing: hearing,
        };
        Self { core: Arc::new(core) }
    }

    /// Registers every class of the marketplace under its own policy.
    ///
    /// # Panics
    /// When a namespace of one of the names is registered already.
    pub fn register(builder: EdgeCacheBuilder) -> EdgeCacheBuilder {
        Self::register_with(builder, |_, policy| policy)
    }

    /// Registers every class under what `adapt` makes of its name and policy: a node's settings may shorten lifetimes
    /// and limit entries.
    ///
    /// # Panics
    /// As [`register`](Self::register).
    pub fn register_with(
        builder: EdgeCacheBuilder,
        adapt: impl FnMut(&'static str, Policy) -> Policy,
    ) -> EdgeCacheBuilder {
        namespaces::register_with(builder, adapt)
    }

    /// The cache below.
    #[must_use]
    pub fn cache(&self) -> &EdgeCache {
        &self.core.cache
    }

    /// How the marketplace's part of the cache is.
    pub async fn health(&self) -> MarketHealth {
        let cache = self.core.cache.health().await;
        let of = |name| cache.stats.namespaces.iter().find(|(other, _)| *other == name);
        let classes = namespaces::BUDGETS.iter().filter_map(|(name, budget)| {
            of(*name).map(|(name, stats)| ClassHealth {
                name,
                stats: *stats,
                budget: *budget,
            })
        });
        MarketHealth {
            status: cache.status,
            classes: classes.collect(),
            cache,
        }
    }

    /// Hands each decision about a booking that a node tells of to `handle`, once: what two nodes tell of, because both
    /// drained the change log of a third that died, comes a single time. Ends when the subscription is dropped.
    ///
    /// It hears events, so a node that was cut off misses what the log no longer had; what must see every decision reads
    /// [`BookingLedger::changes_since`](crate::BookingLedger::changes_since). Of the last 65,536 decisions none comes twice.
    #[must_use]
    pub fn on_bookings(&self, handle: impl Fn(BookingNews) + Send + Sync + 'static) -> Subscription {
        Heard::each_once(&self.core.cache, handle)
    }

    fn source(&self) -> &Source {
        &self.core.source
    }
}

impl std::fmt::Debug for Marketplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marketplace")
            .field("cache", &self.core.cache)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
