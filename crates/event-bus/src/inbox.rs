//! The bounded queue between a bus and the task that follows a lane.
//!
//! It never blocks the bus and never drops in silence: what does not fit becomes "this shard lagged".

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use cache_core::{BusMessage, Inbox, Shard, WireEvent};
use tokio::sync::Notify;

use crate::rules::{Rule, Rules};

/// What waits for the lane's task.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Events in the order they came.
    pub(crate) events: VecDeque<WireEvent>,
    /// Shards of which events were dropped.
    pub(crate) lagged: BTreeSet<Shard>,
    /// Whether the subscription has ended.
    pub(crate) lost: bool,
}

/// A bounded [`Inbox`] that one task drains.
#[derive(Debug)]
pub(crate) struct LaneInbox {
    bound: usize,
    rules: Rules,
    waiting: Mutex<Batch>,
    arrived: Notify,
}

impl LaneInbox {
    pub(crate) fn new(bound: usize, rules: Rules) -> Self {
        Self {
            bound: bound.max(1),
            rules,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Waits until something has arrived. Cancel-safe.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything that waits.
    pub(crate) fn drain(&self) -> Batch {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Events that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .len()
    }
}

impl Inbox for LaneInbox {
    fn deliver(&self, message: BusMessage) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            BusMessage::Event(event) if waiting.events.len() < self.bound => waiting.events.push_back(event),
            BusMessage::Event(event) if self.rules.hold(Rule::OverflowFlushes) => {
                waiting.lagged.insert(event.shard);
            }
            BusMessage::Event(_dropped_by_a_mutant) => {}
            BusMessage::Lagged(shard) => {
                waiting.lagged.insert(shard);
            }
            BusMessage::Lost => waiting.lost = true,
        }
        drop(waiting);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::{EventId, EventOp, Lane, Lineage, Seq};

    #[test]
    fn what_does_not_fit_becomes_a_lagged_shard() {
        let inbox = LaneInbox::new(2, Rules::default());
        for seq in 1..=5 {
            inbox.deliver(BusMessage::Event(WireEvent {
                shard: Shard::barriers(Lane::Bulk),
                lineage: Lineage(1),
                seq: Seq(seq),
                id: EventId(seq),
                prev: EventId(seq - 1),
                origin: cache_core::RegionId::HERE,
                op: EventOp::Flushed,
            }));
        }
        let batch = inbox.drain();
        assert_eq!(batch.events.len(), 2);
        assert!(batch.lagged.contains(&Shard::barriers(Lane::Bulk)));
    }
}
