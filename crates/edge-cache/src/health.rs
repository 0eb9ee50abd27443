//! How the cache is: one struct for a health page.
//!
//! It reports; thresholds and alerts are for whoever operates it.

use std::sync::PoisonError;
use std::time::Duration;

use cache_core::{Shard, StoreDescription};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::stats::Stats;

/// The short answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Both lanes are followed and nothing is owed.
    Healthy,
    /// Answers are right, but slower: a lane is not connected, invalidations are owed, or the shared store does not say how it
    /// is although its heartbeats come.
    Degraded,
    /// The shared store cannot be reached: it says so itself, or it is silent and a lane has no lease.
    Down,
}

/// How the cache is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The short answer.
    pub status: Status,
    /// What the shared store says about itself, or said when it last answered; of one that never did, the backend is `unknown`.
    pub store: StoreDescription,
    /// How old that is: zero when it has just answered, `None` when it never has.
    pub store_age: Option<Duration>,
    /// Whether both lanes are subscribed.
    pub bus_active: bool,
    /// Events that wait to be applied, and events that the slowest subscriber has not taken.
    pub event_queue: usize,
    /// Time since the last event; `None` before the first.
    pub last_event_age: Option<Duration>,
    /// Everything that is counted.
    pub stats: Stats,
}

/// How long the shared store may take to say how it is: a health page must not hang with it, and one that works answers in a
/// hundredth of that.
const PATIENCE: Duration = Duration::from_millis(250);

/// Of a store that never answered.
const UNKNOWN: StoreDescription = StoreDescription {
    backend: "unknown",
    connected: false,
    used_bytes: None,
    max_bytes: None,
};

impl Engine {
    pub(crate) async fn health(&self) -> Health {
        let asked = self.ports.clock.now();
        let answer = timeout(PATIENCE, self.ports.shared.describe()).await.ok();
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = answer.clone() {
            *described = Some((store, asked));
        }
        let known = described.clone();
        drop(described);
        let now = self.ports.clock.now();
        let stats = self.stats();
        let bus_active = self.lanes.iter().all(|lane| lane.connected());
        let last = self.lanes.iter().filter_map(|lane| lane.last_event()).max();
        let status = match &answer {
            Some(store) if store.connected && bus_active && stats.owed == 0 => Status::Healthy,
            Some(store) if store.connected => Status::Degraded,
            // The lease of the barriers is part of every other one.
            None if self
                .lanes
                .iter()
                .all(|lane| lane.leased(Shard::barriers(lane.lane()))) =>
            {
                Status::Degraded
            }
            _unreachable => Status::Down,
        };
        let store_age = match (&answer, &known) {
            (Some(_), _) => Some(Duration::ZERO),
            (None, known) => known.as_ref().map(|(_, then)| now.since(*then)),
        };
        let store = known.map_or(UNKNOWN, |(store, _)| store);
        let event_queue =
            self.lanes.iter().map(|lane| lane.queued()).sum::<usize>() + self.dispatcher.backlog();
        Health {
            status,
            store,
            store_age,
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
