//! A hit as a service sees it: through the typed API of `edge-cache`, over this crate and the embedded backend.
//!
//! Lease, barriers, generation, debts, expiry and statistics are all in it. Only hits are measured.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Key, Namespace, Permille, Policy};
use cache_l1::MemoryStores;
use cache_memory::Hub;
use edge_cache::{EdgeCache, Ports, Put};
use tokio::runtime::Runtime;

use crate::contender::{Contender, Scope, VALUE};

const VALUES: Namespace<Block> = Namespace::new(
    "bench",
    Policy::event_driven(Duration::from_secs(3_600))
        .with_jitter(Permille(0))
        .with_memory(1 << 40, 1 << 30),
);

/// 256 bytes in one piece, in a form that serde can carry.
#[derive(serde::Serialize, serde::Deserialize)]
struct Block([[u8; 32]; VALUE / 32]);

/// One node, whose lease is kept up by a runtime in the background. It reads what another node has written, so that its
/// memory holds entries side by side, and not among the records of the embedded shared store.
pub(crate) struct TypedApi {
    cache: EdgeCache,
    keys: Vec<Key<Block>>,
    /// Runs the nodes' tasks; reads of the shared store are waited for on it.
    runtime: Runtime,
}

impl Contender for TypedApi {
    const NAME: &'static str = "edge-cache (typed API)";
    const SCOPE: Scope = Scope::HitTimes;

    fn new(keys: usize, _capacity: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime without I/O can always be built");
        let hub = Hub::builder().build();
        let cache = runtime.block_on(async {
            let writer = node(&hub, "writer").await;
            for id in 0..keys {
                let value = Block([[id.to_le_bytes()[0]; 32]; VALUE / 32]);
                let receipt = writer.put(&key(id), Put::new(value)).await;
                assert!(receipt.is_ok(), "the embedded backend takes every write");
            }
            writer.shutdown().await;
            node(&hub, "reader").await
        });
        Self {
            cache,
            keys: (0..keys).map(key).collect(),
            runtime,
        }
    }

    fn hit(&self, key: usize) -> Option<u8> {
        let value = self.cache.peek(&self.keys[key]).expect("registered")?;
        Some(value.0[0][0])
    }

    fn fill(&self, id: usize) {
        // The key is built anew, so that a later look-up has to compare texts.
        let found = self.runtime.block_on(self.cache.get(&key(id)));
        assert!(found.is_ok_and(|found| found.is_some()), "it was written");
    }
}

async fn node(hub: &Hub, name: &str) -> EdgeCache {
    let endpoint = Arc::new(hub.endpoint(name));
    let ports = Ports::new(Arc::new(MemoryStores), endpoint.clone(), endpoint);
    let cache = EdgeCache::builder(ports)
        .namespace(&VALUES)
        .start()
        .expect("a right setup");
    let ready = cache.ready(Duration::from_secs(60)).await;
    assert!(ready, "the node does not become ready");
    cache
}

fn key(id: usize) -> Key<Block> {
    VALUES.key(&[("id", &id)])
}
