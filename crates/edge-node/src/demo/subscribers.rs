//! One subscriber on every node, who notes how long each event took to reach it.
//!
//! It does nothing about what it is told.

use std::sync::Arc;

use cache_core::{Clock, EventKind, SystemClock};
use edge_cache::{Delivery, EventStream, Filter};
use futures_util::StreamExt as _;
use marketplace::Marketplace;

use super::spans::Spans;
use super::truth::Truth;

/// Subscribes to everything that tells of a booking.
pub(super) fn subscribe(market: &Marketplace) -> EventStream {
    market
        .cache()
        .events(Filter::kind(EventKind::BookingCreated).or_kind(EventKind::BookingCancelled))
}

/// Listens until the node shuts down.
pub(super) async fn listen(
    mut events: EventStream,
    node: String,
    truth: Arc<Truth>,
    clock: SystemClock,
) -> Spans {
    let mut spans = Spans::new();
    while let Some(delivery) = events.next().await {
        if let Delivery::Event(event) = delivery
            && let Some(span) = truth.announcements().travelled(&event, &node, clock.now())
        {
            spans.record(span);
        }
    }
    spans
}
