//! What a memory's limit means for the process: measured from outside, in a process that does nothing else.
//!
//! Linux only: elsewhere nothing is measured, and nothing claimed.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Namespace, Policy};
use cache_l1::MemoryStores;
use edge_cache::{EdgeCache, Ports};

const LIMIT: u64 = 16 << 20;
const LISTS: Namespace<Vec<String>> = Namespace::new(
    "lists",
    Policy::event_driven(Duration::from_secs(600)).with_memory(LIMIT, 10_000),
);

/// The process may grow by this many times the limit: the estimate is good for a factor of two, and the allocator keeps some.
const FACTOR: u64 = 2;

#[tokio::test]
async fn a_process_grows_by_no_more_than_twice_the_limit_however_small_the_parts_of_its_values() {
    let hub = cache_memory::Hub::builder().build();
    let [writer, reader] = ["writer", "reader"].map(|name| {
        let endpoint = Arc::new(hub.endpoint(name));
        let ports = Ports::new(Arc::new(MemoryStores), endpoint.clone(), endpoint);
        EdgeCache::builder(ports)
            .node(name)
            .namespace(&LISTS)
            .start()
            .expect("a right setup")
    });
    for node in [&writer, &reader] {
        assert!(node.ready(Duration::from_secs(60)).await);
    }
    let value = || vec![String::new(); 20_000];
    // What is needed once, by the first value or any, is not what this is about.
    let first = LISTS.key(&[("id", &0)]);
    writer.put(&first, value()).await.expect("put");
    reader.get(&first).await.expect("read").expect("stored");
    writer.clear(&LISTS).await.expect("cleared");
    let Some(before) = resident_bytes() else { return };
    for id in 0..300 {
        let key = LISTS.key(&[("id", &id)]);
        writer.put(&key, value()).await.expect("put");
        reader.get(&key).await.expect("read").expect("stored");
    }
    let after = resident_bytes().expect("it could be read before");
    // Two nodes have a memory each in this process.
    let grown = after.saturating_sub(before);
    assert!(grown <= 2 * FACTOR * LIMIT, "{} MiB", grown >> 20);
    for node in [writer, reader] {
        let memory = node.stats().total().memory;
        assert!(
            memory.entries > 10 && memory.bytes > LIMIT / 2,
            "it is full: {memory:?}"
        );
        node.shutdown().await;
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
