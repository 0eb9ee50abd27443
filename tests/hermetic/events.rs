//! Events for people and services: who hears of what, and what is already true when they hear it.
//!
//! How events survive a bad network is simulated elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{
    AffectedKey, CacheEvent, EventKind, EventPriority, Lane, Namespace, Permille, Policy, Seq, Tag,
};
use cache_memory::Faults;
use edge_cache::{CacheError, Delivery, EventStream, Filter, Put};
use futures_util::{FutureExt as _, StreamExt as _};
use tests::{Fleet, FleetOptions};
use tokio::time::sleep;

use crate::doubles::Watch;

const POLICY: Policy = Policy::event_driven(Duration::from_secs(30));
const NUMBERS: Namespace<u64> = Namespace::new("numbers", POLICY);
const OTHERS: Namespace<u64> = Namespace::new("others", POLICY.with_lane(Lane::Critical));

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NUMBERS).namespace(&OTHERS)
    })
    .await
}

/// What has come so far, without waiting: resources of events, and how many were missed.
fn arrived(stream: &mut EventStream) -> Vec<Result<String, Option<u64>>> {
    let mut arrived = Vec::new();
    while let Some(Some(delivery)) = stream.next().now_or_never() {
        arrived.push(match delivery {
            Delivery::Event(event) => Ok(event.resource.to_string()),
            Delivery::Missed { events } => Err(events),
        });
    }
    arrived
}

fn resources(names: &[&str]) -> Vec<Result<String, Option<u64>>> {
    names.iter().map(|name| Ok((*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_reaches_every_node_once_with_its_details_and_its_origin() {
    let fleet = fleet().await;
    let mut streams: Vec<_> = fleet
        .nodes
        .iter()
        .map(|node| node.events(Filter::all()))
        .collect();
    let event = CacheEvent::new(EventKind::PricingUpdated, "us-east/H100")
        .with_data(&265)
        .expect("json");
    fleet.nodes[0].publish(event).await.expect("published");
    sleep(Duration::from_millis(1)).await;
    for stream in &mut streams {
        let Some(Some(Delivery::Event(event))) = stream.next().now_or_never() else {
            panic!("nothing came");
        };
        assert_eq!(
            (&event.kind, event.data::<u32>().ok()),
            (&EventKind::PricingUpdated, Some(265))
        );
        assert_eq!((event.node.as_str(), &*event.region), ("node-0", "test"));
        assert!(event.at_millis >= 1_700_000_000_000);
        assert!(arrived(stream).is_empty());
    }
    assert_eq!(
        (fleet.nodes[0].stats().published, fleet.nodes[1].stats().published),
        (1, 0)
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_filter_selects_by_kind_by_resource_or_both_and_custom_kinds_are_kinds() {
    let fleet = fleet().await;
    let custom = EventKind::Custom("gpu_teleported".into());
    let node = &fleet.nodes[1];
    let mut prices = node.events(Filter::kind(EventKind::PricingUpdated));
    let mut one = node.events(Filter::resource("a"));
    let mut both = node.events(
        Filter::kind(custom.clone())
            .or_kind(EventKind::BookingCreated)
            .and_resource("b"),
    );
    for (kind, resource) in [
        (EventKind::PricingUpdated, "a"),
        (EventKind::PricingUpdated, "b"),
        (custom.clone(), "a"),
        (custom, "b"),
        (EventKind::BookingCreated, "b"),
        (EventKind::BookingCancelled, "b"),
    ] {
        fleet.nodes[0]
            .publish(CacheEvent::new(kind, resource))
            .await
            .expect("published");
    }
    sleep(Duration::from_millis(1)).await;
    // Order is promised for one resource only.
    let mut of_prices = arrived(&mut prices);
    of_prices.sort();
    assert_eq!(of_prices, resources(&["a", "b"]));
    assert_eq!(arrived(&mut one), resources(&["a", "a"]));
    assert_eq!(arrived(&mut both), resources(&["b", "b"]));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn events_about_one_resource_come_in_order() {
    let fleet = fleet().await;
    let mut stream = fleet.nodes[1].events(Filter::resource("gpu"));
    for number in 0..100 {
        let event = CacheEvent::new(EventKind::GpuAvailabilityChanged, "gpu")
            .with_data(&number)
            .expect("json");
        fleet.nodes[number % 2].publish(event).await.expect("published");
    }
    sleep(Duration::from_millis(1)).await;
    for number in 0..100 {
        let Some(Some(Delivery::Event(event))) = stream.next().now_or_never() else {
            panic!("event {number} is missing");
        };
        assert_eq!(event.data::<usize>().ok(), Some(number));
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_how_many_events_it_missed_and_goes_on_with_the_next() {
    let fleet = fleet().await;
    let mut slow = fleet.nodes[1].events(Filter::all());
    for _ in 0..1_100 {
        fleet.nodes[0]
            .publish(CacheEvent::new(EventKind::OrderBookUpdated, "book"))
            .await
            .expect("published");
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
    let arrived = arrived(&mut slow);
    let missed = arrived[0].as_ref().expect_err("told first").expect("counted");
    assert!(missed >= 1_024, "{missed}");
    assert_eq!(arrived.len() as u64 - 1 + missed, 1_100);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_stays_subscribed_and_one_that_is_dropped_hears_no_more() {
    let fleet = fleet().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let subscription = fleet.nodes[1].on(Filter::all(), move |delivery| {
        let sink = Arc::clone(&sink);
        async move {
            let Delivery::Event(event) = delivery else { return };
            sink.lock().expect("heard").push(event.resource.to_string());
            assert_ne!(
                &*event.resource, "bad",
                "the handler panics, as the test told it to"
            );
        }
    });
    for resource in ["good", "bad", "good"] {
        fleet.nodes[0]
            .publish(CacheEvent::new(EventKind::BookingCreated, resource))
            .await
            .expect("published");
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*heard.lock().expect("heard"), ["good", "bad", "good"]);
    drop(subscription);
    fleet.nodes[0]
        .publish(CacheEvent::new(EventKind::BookingCreated, "late"))
        .await
        .expect("published");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(heard.lock().expect("heard").len(), 3);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_of_an_event_finds_what_it_touches_already_gone() {
    let fleet = fleet().await;
    let (by_key, by_tag, other) = (
        NUMBERS.key(&[("k", &1)]),
        NUMBERS.key(&[("t", &1)]),
        OTHERS.key(&[("o", &1)]),
    );
    let current = NUMBERS.key(&[("current", &1)]);
    fleet.nodes[0].put(&by_key, 1).await.expect("put");
    fleet.nodes[0]
        .put(&by_tag, Put::new(1).with_tag("vast"))
        .await
        .expect("put");
    fleet.nodes[0].put(&other, 1).await.expect("put");
    let receipt = fleet.nodes[0].put(&current, 1).await.expect("put");
    for key in [&by_key, &by_tag, &other, &current] {
        fleet.nodes[1].get(key).await.expect("get").expect("in memory");
    }
    let found = Arc::new(Mutex::new(Vec::new()));
    let (sink, node) = (Arc::clone(&found), fleet.nodes[1].clone());
    let keys = [by_key.clone(), by_tag, other, current.clone()];
    let _subscription = fleet.nodes[1].on(Filter::all(), move |delivery| {
        let (sink, node, keys) = (Arc::clone(&sink), node.clone(), keys.clone());
        async move {
            let Delivery::Event(event) = delivery else { return };
            assert!(event.keys.iter().all(|affected| affected.version > Seq::ZERO));
            let there = keys
                .iter()
                .map(|key| node.peek(key).expect("registered").is_some());
            sink.lock().expect("found").extend(there);
        }
    });
    let at = receipt.version().expect("published").seq;
    let event = CacheEvent::new(EventKind::ProviderStatusChanged, "vast")
        .with_priority(EventPriority::Critical)
        .touching_key(by_key.raw().clone())
        .touching_key_at(current.raw().clone(), at)
        .touching_tag(Tag::new("vast"))
        .touching_namespace("others");
    fleet.nodes[0].publish(event).await.expect("published");
    sleep(Duration::from_millis(1)).await;
    // What was changed already, at a version that the event names, is not invalidated once more.
    assert_eq!(*found.lock().expect("found"), [false, false, false, true]);
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_touches_an_unregistered_namespace_is_refused_and_nothing_is_done() {
    const UNKNOWN: Namespace<u64> = Namespace::new("unknown", POLICY);
    let fleet = fleet().await;
    let (key, mut stream) = (NUMBERS.key(&[("id", &1)]), fleet.nodes[0].events(Filter::all()));
    fleet.nodes[0].put(&key, 1).await.expect("put");
    let event = || CacheEvent::new(EventKind::ManualInvalidation, "x").touching_key(key.raw().clone());
    for event in [
        event().touching_namespace("unknown"),
        event().touching_key(UNKNOWN.key(&[("id", &1)]).raw().clone()),
    ] {
        let answer = fleet.nodes[0].publish(event).await;
        assert!(
            matches!(&answer, Err(CacheError::Rejected(why)) if why.contains("unknown")),
            "{answer:?}"
        );
    }
    assert!(fleet.nodes[0].get(&key).await.expect("get").is_some());
    assert!(arrived(&mut stream).is_empty());
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_node_after_what_was_queued() {
    let fleet = fleet().await;
    let mut stream = fleet.nodes[1].events(Filter::all());
    fleet.nodes[0]
        .publish(CacheEvent::new(EventKind::MarketStatsUpdated, "eu"))
        .await
        .expect("published");
    sleep(Duration::from_millis(1)).await;
    fleet.shutdown().await;
    assert!(matches!(stream.next().await, Some(Delivery::Event(_))));
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_is_not_announced_while_an_invalidation_that_it_depends_on_is_only_queued() {
    let watch = Watch::default();
    let options = FleetOptions {
        shared: watch.wrap(),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await;
    let (here, there, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    here.put(&key, 1).await.expect("published");
    let mut heard = there.events(Filter::all());
    watch.refuse_changes();
    let mut event = CacheEvent::new(EventKind::PricingUpdated, "a");
    event.keys.push(AffectedKey {
        key: key.raw().clone(),
        version: Seq::ZERO,
    });
    let answer = here.publish(event).await;
    assert!(matches!(answer, Err(CacheError::Unavailable(_))), "{answer:?}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(arrived(&mut heard), []);
    assert!(
        here.peek(&key).expect("registered").is_none(),
        "it is invalidated here at once"
    );
    assert_eq!(here.stats().owed, 1, "and everywhere later");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_of_an_event_finds_its_keys_changed_whatever_lane_they_are_in_and_whatever_was_lost() {
    for (seed, loss) in (0..20).map(|seed| (seed, Permille(seed as u16 % 2 * 300))) {
        let options = FleetOptions {
            seed,
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS).namespace(&OTHERS)).await;
        let (here, there) = (&fleet.nodes[0], &fleet.nodes[1]);
        for key in [NUMBERS.key(&[("id", &1)]), OTHERS.key(&[("id", &1)])] {
            here.put(&key, 1).await.expect("published");
            sleep(Duration::from_secs(2)).await;
            there.get(&key).await.expect("read").expect("there");
            fleet.hub.set_faults(Faults {
                event_loss: loss,
                event_delay: Duration::ZERO..=Duration::from_millis(20),
                ..Faults::NONE
            });
            let mut heard = there.events(Filter::all());
            let event = CacheEvent::new(EventKind::PricingUpdated, "a")
                .with_priority(EventPriority::Critical)
                .touching_key(key.raw().clone());
            here.publish(event).await.expect("published");
            heard.next().await.expect("it comes, or its loss is noticed");
            assert!(there.peek(&key).expect("registered").is_none(), "seed {seed}");
            fleet.hub.set_faults(Faults::NONE);
        }
        fleet.shutdown().await;
    }
}
