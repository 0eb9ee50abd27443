//! One subscriber on every node, who notes how long each event took to reach it.
//!
//! It does nothing about what it is told.

use std::sync::Arc;

use cache_core::{Clock, EventKind, SystemClock};
use edge_cache::{Delivery, EventStream, Filter};
use futures_util::StreamExt as _;
use marketplace::Marketplace;
use tokio_util::sync::CancellationToken;

use super::spans::Spans;
use super::truth::Truth;

/// Subscribes to everything that tells of a booking.
pub(super) fn subscribe(market: &Marketplace) -> EventStream {
    market
        .cache()
        .events(Filter::kind(EventKind::BookingCreated).or_kind(EventKind::BookingCancelled))
}

/// Listens until the node shuts down, or `stop`.
pub(super) async fn listen(
    mut events: EventStream,
    node: String,
    truth: Arc<Truth>,
    clock: SystemClock,
    stop: CancellationToken,
) -> Spans {
    let mut spans = Spans::new();
    loop {
        let delivery = tokio::select! {
            biased;
            delivery = events.next() => delivery,
            () = stop.cancelled() => None,
        };
        match delivery {
            Some(Delivery::Event(event)) => {
                let span = truth.announcements().travelled(&event, &node, clock.now());
                span.into_iter().for_each(|span| spans.record(span));
            }
            Some(Delivery::Missed { .. }) => {}
            None => return spans,
        }
    }
}
