//! Nodes over a server: whole caches, and waiting for what they will see.
//!
//! Leases are shorter than usual, so that tests of them take a second.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Clock, Key, Namespace, Permille, Policy, Shard, ShardCount, SystemClock};
use cache_l1::MemoryStores;
use cache_redis::{RedisTier, Servers, Settings};
use edge_cache::{EdgeCache, Ports, Rules, Timing};
use tokio::time::{Instant, sleep};

use crate::proxy::Proxy;
use crate::server::Server;

/// The bound of these tests' promises.
pub(crate) const LEASE: Duration = Duration::from_millis(900);

pub(crate) const TIMING: Timing = Timing {
    lease: LEASE,
    deadline: Duration::from_millis(600),
};

/// Patience with a loaded machine; nothing that works waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0)),
);

/// No key at all.
pub(crate) const NONE: [u64; 0] = [];

pub(crate) fn key(id: u64) -> Key<u64> {
    NUMBERS.key(&[("id", &id)])
}

/// Shards of a lane, on one server and in a cluster alike.
pub(crate) const SHARDS: ShardCount = Servers::ONE_SERVERS_SHARDS;

/// The shard of a key.
pub(crate) fn shard(id: u64) -> Shard {
    key(id).shard(SHARDS)
}

/// What the names of a key's shard begin with.
pub(crate) fn tag(id: u64) -> String {
    format!("{{test:{SHARDS}:{}}}", shard(id))
}

/// A cache over the server at this address, before it follows anything.
pub(crate) fn cold(settings: Settings) -> EdgeCache {
    cold_under(settings, Rules::default())
}

/// The same, with a rule of the protocol taken out.
fn cold_under(settings: Settings, rules: Rules) -> EdgeCache {
    cold_by(settings, rules, Arc::new(SystemClock::new()))
}

fn cold_by(mut settings: Settings, rules: Rules, clock: Arc<dyn Clock>) -> EdgeCache {
    settings.response_timeout = Duration::from_millis(300);
    settings.connect_timeout = Duration::from_millis(500);
    settings.longest_pause = Duration::from_millis(200);
    let tier = Arc::new(RedisTier::new(settings).expect("right settings"));
    let mut ports = Ports::new(Arc::new(MemoryStores), tier.clone(), tier);
    ports.clock = clock;
    EdgeCache::builder(ports)
        .timing(TIMING)
        .rules(rules)
        .namespace(&NUMBERS)
        .start()
        .expect("a right setup")
}

/// A cache that follows every shard.
pub(crate) async fn warm(settings: Settings) -> EdgeCache {
    warm_by(settings, Arc::new(SystemClock::new())).await
}

/// The same with a clock of its own.
pub(crate) async fn warm_by(settings: Settings, clock: Arc<dyn Clock>) -> EdgeCache {
    let node = cold_by(settings, Rules::default(), clock);
    assert!(
        node.ready(PATIENCE).await,
        "a node over a healthy server becomes ready"
    );
    node
}

/// Settings that reach a server through a proxy.
pub(crate) fn through(proxy: &Proxy) -> Settings {
    Settings::at("127.0.0.1", proxy.port).with_prefix("test")
}

/// One server, a node that reaches it through a proxy, and a node that reaches it directly.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) far: EdgeCache,
    pub(crate) near: EdgeCache,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::under(Rules::default()).await
    }

    /// The far node obeys only these rules.
    pub(crate) async fn under(rules: Rules) -> Self {
        let server = Server::start().await;
        let proxy = Proxy::to(&server).await;
        let far = cold_under(through(&proxy), rules);
        assert!(
            far.ready(PATIENCE).await,
            "a node over a healthy server becomes ready"
        );
        let near = warm(server.settings()).await;
        Self {
            server,
            proxy,
            far,
            near,
        }
    }

    /// Both nodes hold these keys in memory, with their numbers as values.
    pub(crate) async fn share(&self, ids: std::ops::Range<u64>) {
        for id in ids {
            self.near.put(&key(id), id).await.expect("put");
            assert_eq!(read(&self.near, id).await, Some(id));
            assert_eq!(read(&self.far, id).await, Some(id));
        }
    }

    pub(crate) async fn shutdown(self) {
        self.far.shutdown().await;
        self.near.shutdown().await;
    }
}

/// What a node answers without a loader; `None` for nothing, and for no answer.
pub(crate) async fn read(node: &EdgeCache, id: u64) -> Option<u64> {
    node.get(&key(id)).await.ok().flatten().map(|fetched| *fetched)
}

/// Keys of `ids` that a node answers with less than `least`.
pub(crate) async fn stale(
    node: &EdgeCache,
    ids: std::ops::Range<u64>,
    least: impl Fn(u64) -> u64,
) -> Vec<u64> {
    let mut stale = Vec::new();
    for id in ids {
        if read(node, id).await.is_some_and(|value| value < least(id)) {
            stale.push(id);
        }
    }
    stale
}

/// Waits until something holds.
///
/// # Panics
/// When it does not within the limit.
pub(crate) async fn eventually(what: &str, limit: Duration, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Lets a promise's bound pass: the one wait that is for time itself, since what must not be there any more is only
/// promised to be gone by then.
pub(crate) async fn bound_passes() {
    sleep(LEASE + Duration::from_millis(150)).await;
}
