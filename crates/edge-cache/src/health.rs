//! How the cache is: one struct for a health page.
//!
//! It reports; thresholds and alerts are for whoever operates it.

use std::time::Duration;

use cache_core::StoreDescription;

use crate::engine::Engine;
use crate::stats::Stats;

/// The short answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Both lanes are followed and nothing is owed.
    Healthy,
    /// Answers are right, but slower: a lane is not connected, or invalidations are owed.
    Degraded,
    /// The shared store cannot be reached.
    Down,
}

/// How the cache is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The short answer.
    pub status: Status,
    /// What the shared store says about itself.
    pub store: StoreDescription,
    /// Whether both lanes are subscribed.
    pub bus_active: bool,
    /// Events that wait to be applied, and events that the slowest subscriber has not taken.
    pub event_queue: usize,
    /// Time since the last event; `None` before the first.
    pub last_event_age: Option<Duration>,
    /// Everything that is counted.
    pub stats: Stats,
}

impl Engine {
    pub(crate) async fn health(&self) -> Health {
        let store = self.ports.shared.describe().await;
        let stats = self.stats();
        let bus_active = self.lanes.iter().all(|lane| lane.connected());
        let now = self.ports.clock.now();
        let last = self.lanes.iter().filter_map(|lane| lane.last_event()).max();
        let status = match (store.connected, bus_active && stats.owed == 0) {
            (false, _) => Status::Down,
            (true, true) => Status::Healthy,
            (true, false) => Status::Degraded,
        };
        let event_queue =
            self.lanes.iter().map(|lane| lane.queued()).sum::<usize>() + self.dispatcher.backlog();
        Health {
            status,
            store,
            bus_active,
            event_queue,
            last_event_age: last.map(|last| now.since(last)),
            stats,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let outbox = self.outbox();
        let (owed, collapses) = (outbox.len(), outbox.collapses());
        drop(outbox);
        let mut spot_checks = self.lanes[0].spot_check_tally();
        spot_checks.add(&self.lanes[1].spot_check_tally());
        Stats {
            namespaces: self
                .memory
                .namespaces
                .iter()
                .map(|namespace| {
                    (
                        namespace.name,
                        namespace.counters.snapshot(namespace.local.usage()),
                    )
                })
                .collect(),
            events: [self.lanes[0].tally(), self.lanes[1].tally()],
            published: self.published.load(std::sync::atomic::Ordering::Relaxed),
            owed,
            collapses,
            spot_checks,
            canary_age: self.lanes.iter().filter_map(|lane| lane.canary_age()).max(),
        }
    }
}
