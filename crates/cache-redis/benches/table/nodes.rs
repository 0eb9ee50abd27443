//! Whole caches and plain connections to the same server.
//!
//! A node's memory can be watched: whoever waits is told of each entry that an event takes out.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{
    Begun, CacheKey, Entry, Finished, Flight, Key, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment,
    Namespace, Permille, Policy, Replacement, Seq, Ticket,
};
use cache_l1::MemoryStores;
use cache_redis::{Address, RedisTier, Servers, Settings};
use edge_cache::{EdgeCache, EdgeCacheBuilder, Ports};
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Values of some hundred bytes, as a page of a list is.
pub(crate) const PAGES: Namespace<Vec<u8>> = Namespace::new(
    "pages",
    Policy::event_driven(Duration::from_secs(600)).with_jitter(Permille(0)),
);

pub(crate) fn key(id: usize) -> Key<Vec<u8>> {
    PAGES.key(&[("id", &id)])
}

pub(crate) fn value(id: usize) -> Vec<u8> {
    // Not compressible, so that all measure the same bytes.
    let mut state = id as u64 + 1;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*state >> 56) as u8
    };
    (0..300).map(|_| next(&mut state)).collect()
}

/// A node, and when events took entries of the watched namespace out of its memory.
pub(crate) struct Node {
    pub(crate) cache: EdgeCache,
    pub(crate) superseded: UnboundedReceiver<Instant>,
}

/// A node with room for many pages, which are watched.
pub(crate) async fn node(settings: &Settings) -> Node {
    let policy = PAGES.policy().with_memory(1 << 30, 100_000);
    node_with(settings, PAGES.name(), |builder| {
        builder.event_queue(50_000).namespace_with(&PAGES, policy)
    })
    .await
}

/// A node with other namespaces, of which one is watched.
pub(crate) async fn node_with(
    settings: &Settings,
    watched: &'static str,
    register: impl FnOnce(EdgeCacheBuilder) -> EdgeCacheBuilder,
) -> Node {
    let tier = Arc::new(RedisTier::new(settings.clone()).expect("right settings"));
    let (sender, superseded) = unbounded_channel();
    let ports = Ports::new(Arc::new(Watched(watched, sender)), tier.clone(), tier);
    let cache = register(EdgeCache::builder(ports))
        .start()
        .expect("a right setup");
    assert!(cache.ready(Duration::from_secs(20)).await, "the server is well");
    Node { cache, superseded }
}

pub(crate) async fn plain(settings: &Settings) -> MultiplexedConnection {
    // As it comes, but for the timeout of half a second: a busy machine is slow, not wrong.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client(settings)
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a server")
}

/// The plain client of the same server.
pub(crate) fn client(settings: &Settings) -> redis::Client {
    let Servers::Single(Address { host, port }) = &settings.servers else {
        unreachable!("the arguments name one server");
    };
    redis::Client::open((host.as_str(), *port)).expect("an address")
}

struct Watched(&'static str, UnboundedSender<Instant>);

struct WatchedStore(Arc<dyn LocalStore>, UnboundedSender<Instant>);

impl LocalStores for Watched {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        let memory = MemoryStores.open(namespace, limits);
        if namespace == self.0 {
            Arc::new(WatchedStore(memory, self.1.clone()))
        } else {
            memory
        }
    }
}

impl LocalStore for WatchedStore {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.0.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.0.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.0.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        let superseded = self.0.supersede(key, seq, replacement);
        // Nobody may be waiting.
        let _ = self.1.send(Instant::now());
        superseded
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.0.usage()
    }
}
