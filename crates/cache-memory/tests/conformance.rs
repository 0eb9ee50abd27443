//! The embedded backend obeys every rule of the ports it implements.
//!
//! The rules are the ports' own, in `testkit`; what is special to this backend is tested beside it.

use std::sync::Arc;

use cache_memory::{Endpoint, Hub};
use testkit::VirtualClock;
use testkit::conformance::{self, Advance, BusFixture, StoreFixture};

#[tokio::test(start_paused = true)]
async fn it_is_a_shared_store() {
    conformance::shared_store::all(async || {
        let (_, store) = fresh();
        let advance: Advance = Box::new(|span| Box::pin(tokio::time::advance(span)));
        StoreFixture {
            store: Arc::new(store),
            advance,
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_is_an_event_bus() {
    conformance::event_bus::all(async || {
        let (hub, node) = fresh();
        BusFixture {
            store: Arc::new(node.clone()),
            bus: Arc::new(node),
            trim: Some(Box::new(move |shard, before| {
                hub.trim_log(shard, before);
                Box::pin(async {})
            })),
        }
    })
    .await;
}

fn fresh() -> (Hub, Endpoint) {
    let hub = Hub::builder().clock(Arc::new(VirtualClock::new())).build();
    let node = hub.endpoint("node");
    (hub, node)
}
