//! What identifies a value and what invalidates it is whole, or it is refused.
//!
//! How keys are written is tested where they are made.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use cache_core::{CacheEvent, EventKind, Namespace, Policy, Tag};
use edge_cache::{CacheError, Delivery, EdgeCache, Filter, Load, Ports, Put};
use futures_util::StreamExt as _;
use tests::{Fleet, FleetOptions};

use crate::doubles::Source;

const NUMBERS: Namespace<u64> = Namespace::new("numbers", Policy::event_driven(Duration::from_secs(60)));

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await
}

fn refused<T: fmt::Debug>(answer: Result<T, CacheError>) -> String {
    match answer {
        Err(CacheError::Rejected(why)) => why.to_string(),
        other => panic!("accepted: {other:?}"),
    }
}

/// A user whose name cannot be written to its end.
struct Nameless;

impl Display for Nameless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user-")?;
        Err(fmt::Error)
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_about_a_key_that_could_not_be_written_is_refused_with_the_parameter() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("user", &Nameless)]));
    let source = Source::of(7);
    for why in [
        refused(node.peek(&key)),
        refused(node.get(&key).await),
        refused(node.get_or_load(&key, source.loader()).await),
        refused(node.get_many(std::slice::from_ref(&key)).await),
        refused(node.put(&key, 1).await),
        refused(node.put_many(vec![(key.clone(), Put::new(1))]).await),
        refused(node.invalidate(&key).await),
        refused(node.invalidate_many(std::slice::from_ref(&key)).await),
        refused(node.expire(&key).await),
        refused(node.refresh(&key, source.loader()).await),
        refused(
            node.publish(CacheEvent::new(EventKind::ManualInvalidation, "x").touching_key(key.raw().clone()))
                .await,
        ),
    ] {
        assert!(why.contains("\"numbers\"") && why.contains("\"user\""), "{why}");
    }
    assert_eq!(source.calls(), 0);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_made_in_the_call_compiles_in_a_task_that_may_move_to_another_thread() {
    let fleet = fleet().await;
    let (cache, id) = (fleet.nodes[0].clone(), 7);
    let read = tokio::spawn(async move {
        cache.put(&NUMBERS.key(&[("id", &id)]), 1).await?;
        cache
            .get(&NUMBERS.key(&[("id", &id), ("of", &"x".to_owned())]))
            .await?;
        cache.get(&NUMBERS.key(&[("id", &id)])).await
    });
    let read = read.await.expect("no panic").expect("read");
    assert_eq!(read.as_deref(), Some(&1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_carried_whole_or_refused_wherever_it_comes_in() {
    let fleet = fleet().await;
    let node = &fleet.nodes[0];
    let (longest, longer) = ("t".repeat(Tag::MAX_LEN), "t".repeat(Tag::MAX_LEN + 1));
    let key = NUMBERS.key(&[("id", &1)]);
    node.put(&key, Put::new(1).with_tag(&longest))
        .await
        .expect("it fits");
    fleet.nodes[1].get(&key).await.expect("read").expect("stored");
    node.invalidate_tag(&longest).await.expect("published");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(fleet.nodes[1].get(&key).await.expect("read").is_none());
    let event = CacheEvent::new(EventKind::ManualInvalidation, "x").touching_tag(Tag::new(&longer));
    let loaded = longer.clone();
    for why in [
        refused(node.put(&key, Put::new(1).with_tag(&longer)).await),
        refused(
            node.get_or_load(&key, move |_| {
                let load = Load::value(1).with_tag(&loaded);
                async { Ok::<_, std::io::Error>(load) }
            })
            .await,
        ),
        refused(node.invalidate_tag(&longer).await),
        refused(node.publish(event).await),
    ] {
        assert!(why.contains("1025 bytes") && why.contains("1024"), "{why}");
    }
    let many = (0..1_025).fold(Put::new(1), |put, tag| put.with_tag(tag.to_string()));
    let why = refused(node.put(&key, many).await);
    assert!(why.contains("1024 tags") && why.contains("1025"), "{why}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn names_of_a_node_and_a_region_that_are_too_long_are_both_refused_at_the_start() {
    let node = Arc::new(cache_memory::Hub::builder().build().endpoint("node-1"));
    let mut ports = Ports::new(Arc::new(cache_l1::MemoryStores), node.clone(), node);
    ports.clock = Arc::new(testkit::VirtualClock::new());
    let long = "n".repeat(256);
    let refused = EdgeCache::builder(ports).node(&long).region(&long).start();
    let problems = refused.expect_err("both are too long").to_string();
    for what in ["node has 256 bytes", "region has 256 bytes"] {
        assert!(problems.contains(what), "{problems}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_is_refused_before_it_invalidates_anything() {
    let fleet = fleet().await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    node.put(&key, 1).await.expect("put");
    let mut stream = fleet.nodes[1].events(Filter::all());
    let event = |bytes: usize| {
        CacheEvent::new(EventKind::ManualInvalidation, "x")
            .with_data(&"d".repeat(bytes))
            .expect("a text")
            .touching_key(key.raw().clone())
    };
    let why = refused(node.publish(event(1 << 20)).await);
    assert!(why.contains("1048576"), "{why}");
    assert!(node.get(&key).await.expect("read").is_some());
    node.publish(event((1 << 20) - 1_000)).await.expect("it fits");
    let Some(Delivery::Event(delivered)) = stream.next().await else {
        panic!("not delivered");
    };
    assert_eq!(delivered.json.len(), (1 << 20) - 1_000 + 2);
    fleet.shutdown().await;
}
