//! The connections of one node to the servers, as they are now: cut, frozen, or fine.
//!
//! It carries nothing itself; requests and deliveries ask it whether they may pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cache_core::NodeId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::Cut;
use crate::identity::Told;
use crate::servers::locked;

/// The wire of one node.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) node: NodeId,
    /// Whether nothing at all can go wrong: then nothing else is looked at.
    calm: AtomicBool,
    condition: Mutex<Condition>,
    /// What its requests are judged by, and its subscriptions with them.
    pub(crate) told: Arc<Told>,
    /// Not a `watch` channel: that one wakes who waits in a random order, and a seed could not repeat a run.
    changed: Notify,
}

/// What a wire is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) cut: Option<Cut>,
    /// Until when everything towards the node stalls.
    pub(crate) frozen_until: Option<Instant>,
    /// Until when everything from the node stalls.
    pub(crate) stalled_until: Option<Instant>,
    /// Counts disconnections: who remembers another number holds an ended connection.
    pub(crate) connection: u64,
}

/// Why a wait on the bus ended without the bus: the connection is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Disconnected;

impl Wire {
    pub(crate) fn new(node: NodeId, calm: bool) -> Self {
        Self {
            node,
            calm: AtomicBool::new(calm),
            condition: Mutex::default(),
            told: Arc::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Acquire)
    }

    /// Changes the condition; `faultless` tells whether the network as a whole is.
    pub(crate) fn change(&self, faultless: bool, change: impl FnOnce(&mut Condition)) {
        let mut condition = locked(&self.condition);
        change(&mut condition);
        let now = Instant::now();
        condition.frozen_until = condition.frozen_until.filter(|until| *until > now);
        condition.stalled_until = condition.stalled_until.filter(|until| *until > now);
        let fine =
            condition.cut.is_none() && condition.frozen_until.is_none() && condition.stalled_until.is_none();
        self.calm.store(faultless && fine, Ordering::Release);
        drop(condition);
        self.changed.notify_waiters();
    }

    pub(crate) fn condition(&self) -> Condition {
        *locked(&self.condition)
    }

    pub(crate) fn is_bus_cut(&self) -> bool {
        self.condition().cut.is_some_and(Cut::cuts_bus)
    }

    pub(crate) fn is_data_cut(&self) -> bool {
        self.condition().cut.is_some_and(Cut::cuts_data)
    }

    /// When what arrives now is noticed by the node, if it is frozen.
    pub(crate) fn thaw(&self, now: Instant) -> Option<Instant> {
        self.condition().frozen_until.filter(|until| *until > now)
    }

    /// Waits until the node is no longer frozen.
    pub(crate) async fn thawed(&self) {
        while let Some(until) = self.thaw(Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Waits until what the node sends goes out.
    pub(crate) async fn sendable(&self) {
        while let Some(until) = self
            .condition()
            .stalled_until
            .filter(|until| *until > Instant::now())
        {
            sleep_until(until).await;
        }
    }

    /// Waits until the bus works, on this connection.
    pub(crate) async fn bus(&self, connection: u64) -> Result<(), Disconnected> {
        let passable = |condition: &Condition| {
            condition.connection != connection || !condition.cut.is_some_and(Cut::cuts_bus)
        };
        let now = self.wait_for(passable).await;
        if now.connection == connection {
            Ok(())
        } else {
            Err(Disconnected)
        }
    }

    /// Waits until a new connection to the bus can be made, and returns its number.
    pub(crate) async fn connect(&self) -> u64 {
        self.wait_for(|condition| !condition.cut.is_some_and(Cut::cuts_bus))
            .await
            .connection
    }

    async fn wait_for(&self, holds: impl Fn(&Condition) -> bool) -> Condition {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let condition = self.condition();
            if holds(&condition) {
                return condition;
            }
            changed.await;
        }
    }
}
