//! Subscribers: lanes, overflow, slow and panicking handlers, and how they end.
//!
//! Nothing sleeps; a stream is asked for what it has now.

use std::sync::atomic::{AtomicUsize, Ordering};

use cache_core::{EventKind, EventPriority};
use tokio::sync::{Semaphore, mpsc};

use super::*;

fn dispatcher() -> Dispatcher {
    Dispatcher::new(CancellationToken::new())
}

fn event(priority: EventPriority, resource: &str) -> Arc<CacheEvent> {
    Arc::new(CacheEvent::new(EventKind::PricingUpdated, resource).with_priority(priority))
}

fn normal(resource: &str) -> Arc<CacheEvent> {
    event(EventPriority::Normal, resource)
}

/// What the stream has now: resources, and what was missed.
fn waiting(stream: &mut EventStream) -> Vec<String> {
    std::iter::from_fn(|| match stream.next().now_or_never()?? {
        Delivery::Event(event) => Some(event.resource.to_string()),
        Delivery::Missed { events: Some(events) } => Some(format!("missed {events}")),
        Delivery::Missed { events: None } => Some("missed some".to_owned()),
    })
    .collect()
}

#[test]
fn a_subscriber_hears_what_its_filter_selects_and_nothing_else() {
    let dispatcher = dispatcher();
    let mut one = dispatcher.events(Filter::kind(EventKind::PricingUpdated).and_resource("a"));
    let mut either =
        dispatcher.events(Filter::kind(EventKind::BookingCreated).or_kind(EventKind::PricingUpdated));
    let mut other = dispatcher.events(Filter::kind(EventKind::BookingCreated));
    let mut all = dispatcher.events(Filter::all());
    dispatcher.publish(&normal("a"));
    dispatcher.publish(&normal("b"));
    assert_eq!(waiting(&mut one), ["a"]);
    assert_eq!(waiting(&mut either), ["a", "b"]);
    assert!(waiting(&mut other).is_empty());
    assert_eq!(waiting(&mut all), ["a", "b"]);
}

#[test]
fn a_filter_without_kinds_selects_by_resource_alone() {
    let wanted = Filter::resource("a");
    assert!(wanted.matches(&normal("a")) && !wanted.matches(&normal("b")));
}

#[test]
fn critical_events_come_first_and_each_lane_keeps_its_order() {
    let dispatcher = dispatcher();
    let mut stream = dispatcher.events(Filter::all());
    for (priority, name) in [
        (EventPriority::Normal, "n1"),
        (EventPriority::Critical, "c1"),
        (EventPriority::Normal, "n2"),
        (EventPriority::Critical, "c2"),
    ] {
        dispatcher.publish(&event(priority, name));
    }
    assert_eq!(waiting(&mut stream), ["c1", "c2", "n1", "n2"]);
}

#[test]
fn after_sixteen_critical_events_a_bulk_event_has_its_turn() {
    let dispatcher = dispatcher();
    let mut stream = dispatcher.events(Filter::all());
    for _ in 0..40 {
        dispatcher.publish(&event(EventPriority::Critical, "c"));
    }
    dispatcher.publish(&normal("n1"));
    dispatcher.publish(&normal("n2"));
    let order = waiting(&mut stream);
    let turns: Vec<_> = (0..order.len()).filter(|index| order[*index] != "c").collect();
    assert_eq!(turns, [16, 33]);
    assert_eq!(order.len(), 42);
}

#[test]
fn a_queue_that_overflows_is_emptied_and_the_subscriber_is_told_how_many_it_missed() {
    let dispatcher = dispatcher();
    let mut slow = dispatcher.events(Filter::all());
    for _ in 0..SUBSCRIBER_QUEUE + 1 {
        dispatcher.publish(&normal("lost"));
    }
    dispatcher.publish(&normal("next"));
    assert_eq!(dispatcher.backlog(), 1);
    assert_eq!(
        waiting(&mut slow),
        [format!("missed {}", SUBSCRIBER_QUEUE + 1), "next".to_owned()]
    );
}

#[test]
fn a_second_overflow_before_the_first_was_told_adds_up() {
    let dispatcher = dispatcher();
    let mut slow = dispatcher.events(Filter::all());
    for _ in 0..2 * (SUBSCRIBER_QUEUE + 1) {
        dispatcher.publish(&normal("lost"));
    }
    assert_eq!(
        waiting(&mut slow),
        [format!("missed {}", 2 * (SUBSCRIBER_QUEUE + 1))]
    );
}

#[test]
fn what_the_log_no_longer_has_is_missed_without_a_number_whatever_was_counted() {
    let dispatcher = dispatcher();
    let mut stream = dispatcher.events(Filter::all());
    for _ in 0..SUBSCRIBER_QUEUE + 1 {
        dispatcher.publish(&normal("lost"));
    }
    dispatcher.missed();
    assert_eq!(waiting(&mut stream), ["missed some"]);
}

#[test]
fn a_slow_subscriber_takes_nothing_from_the_others() {
    let dispatcher = dispatcher();
    let _slow = dispatcher.events(Filter::all());
    let mut quick = dispatcher.events(Filter::all());
    for index in 0..3 * SUBSCRIBER_QUEUE {
        dispatcher.publish(&normal(&index.to_string()));
        assert_eq!(waiting(&mut quick), [index.to_string()]);
    }
}

#[test]
fn dropping_a_stream_unsubscribes() {
    let dispatcher = dispatcher();
    drop(dispatcher.events(Filter::all()));
    let _other = dispatcher.events(Filter::resource("nothing"));
    dispatcher.publish(&normal("a"));
    assert_eq!(dispatcher.backlog(), 0);
    assert_eq!(
        dispatcher
            .subscribers
            .lock()
            .map(|held| held.len())
            .unwrap_or_default(),
        1
    );
}

#[tokio::test]
async fn a_waiting_stream_is_woken() {
    let dispatcher = Arc::new(dispatcher());
    let mut stream = dispatcher.events(Filter::all());
    let publisher = Arc::clone(&dispatcher);
    let (delivery, ()) = tokio::join!(stream.next(), async move { publisher.publish(&normal("a")) });
    assert!(matches!(delivery, Some(Delivery::Event(_))));
}

#[tokio::test]
async fn a_handler_is_called_for_one_event_at_a_time_in_order() {
    let dispatcher = dispatcher();
    let (sent, mut heard) = mpsc::unbounded_channel();
    let running = Arc::new(AtomicUsize::new(0));
    let _subscription = dispatcher.on(Filter::all(), move |delivery| {
        let (sent, running) = (sent.clone(), Arc::clone(&running));
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            if let Delivery::Event(event) = delivery {
                sent.send(event.resource.to_string()).expect("the test listens");
            }
        }
    });
    for name in ["a", "b", "c"] {
        dispatcher.publish(&normal(name));
    }
    for name in ["a", "b", "c"] {
        assert_eq!(heard.recv().await.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn a_handler_that_hangs_delays_nobody() {
    let dispatcher = dispatcher();
    let _stuck = dispatcher.on(Filter::all(), |_| std::future::pending());
    let (sent, mut heard) = mpsc::unbounded_channel();
    let _other = dispatcher.on(Filter::all(), move |_| {
        let sent = sent.clone();
        async move { sent.send(()).expect("the test listens") }
    });
    for _ in 0..3 {
        dispatcher.publish(&normal("a"));
        heard.recv().await.expect("the other handler goes on");
    }
}

#[tokio::test]
async fn a_handler_that_panics_stays_subscribed() {
    let dispatcher = dispatcher();
    let (sent, mut heard) = mpsc::unbounded_channel();
    let _subscription = dispatcher.on(Filter::all(), move |delivery| {
        let Delivery::Event(event) = delivery else {
            unreachable!("nothing was missed")
        };
        assert_ne!(&*event.resource, "before its future", "a panic on demand");
        let sent = sent.clone();
        async move {
            assert_ne!(&*event.resource, "in its future", "a panic on demand");
            sent.send(event.resource.to_string()).expect("the test listens");
        }
    });
    for name in ["before its future", "in its future", "fine"] {
        dispatcher.publish(&normal(name));
    }
    assert_eq!(heard.recv().await.as_deref(), Some("fine"));
}

/// Tells when it is dropped.
struct Canary(mpsc::UnboundedSender<()>);

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn dropping_a_subscription_drops_the_call_under_way() {
    let dispatcher = dispatcher();
    let (dropped, mut gone) = mpsc::unbounded_channel();
    let entered = Arc::new(Semaphore::new(0));
    let called = Arc::clone(&entered);
    let subscription = dispatcher.on(Filter::all(), move |_| {
        let (canary, called) = (Canary(dropped.clone()), Arc::clone(&called));
        async move {
            let _canary = canary;
            called.add_permits(1);
            std::future::pending::<()>().await;
        }
    });
    dispatcher.publish(&normal("a"));
    entered.acquire().await.expect("it is open").forget();
    drop(subscription);
    gone.recv().await.expect("the call is dropped");
    dispatcher.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_the_handlers_tasks_and_then_the_streams_after_what_was_queued() {
    let dispatcher = dispatcher();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let _stuck = dispatcher.on(Filter::all(), move |_| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    });
    let mut stream = dispatcher.events(Filter::all());
    dispatcher.publish(&normal("last"));
    tokio::task::yield_now().await;
    dispatcher.shutdown().await;
    assert_eq!(Arc::strong_count(&alive), 1, "no task outlives the shutdown");
    assert!(matches!(stream.next().await, Some(Delivery::Event(_))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn whoever_subscribes_after_the_shutdown_is_told_at_once_that_it_is_over() {
    let dispatcher = dispatcher();
    dispatcher.shutdown().await;
    assert!(dispatcher.events(Filter::all()).next().await.is_none());
}
