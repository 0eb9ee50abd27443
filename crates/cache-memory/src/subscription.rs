//! One node's subscription to a lane: events pass straight into its inbox, or through a queue while they are late.
//!
//! Without faults it has no queue and no task. The task that empties the queue starts with the first late message
//! and ends with the subscription.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use cache_core::{BusMessage, Inbox, Lane, WireEvent};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::dice::{Dice, Passage};
use crate::servers::locked;
use crate::wire::Wire;

/// A subscription.
pub(crate) struct Subscription {
    pub(crate) lane: Lane,
    pub(crate) wire: Arc<Wire>,
    /// The wire's connection it was made on.
    pub(crate) connection: u64,
    inbox: Arc<dyn Inbox>,
    ended: AtomicBool,
    /// Messages in the queue or just being taken out of it: while there are any, nothing may pass them.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    wake: Arc<Notify>,
    this: Weak<Self>,
}

/// Messages by the time of their arrival, and in the order in which they were sent.
#[derive(Debug, Default)]
struct Queue {
    messages: BTreeMap<(Instant, u64), BusMessage>,
    sent: u64,
    /// When the last one arrives that keeps its place in the order.
    in_order: Option<Instant>,
    pump: Option<AbortHandle>,
}

impl Subscription {
    pub(crate) fn new(lane: Lane, wire: Arc<Wire>, connection: u64, inbox: Arc<dyn Inbox>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            lane,
            wire,
            connection,
            inbox,
            ended: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            wake: Arc::default(),
            this: Weak::clone(this),
        })
    }

    /// Sends an event on its way. The caller holds the shard's lock.
    pub(crate) fn offer(&self, event: &WireEvent, dice: &Mutex<Dice>) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        if self.wire.is_calm() && self.waiting.load(Ordering::Acquire) == 0 {
            self.inbox.deliver(BusMessage::Event(event.clone()));
            return;
        }
        if self.wire.is_bus_cut() {
            return;
        }
        if let Some(passage) = locked(dice).passage() {
            self.send(BusMessage::Event(event.clone()), passage);
        }
    }

    /// Stops delivering, for those who still hold a snapshot of the listeners.
    pub(crate) fn close(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Ends it: what was on its way is gone, and the node is told as soon as it can notice.
    pub(crate) fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.lose_messages();
        self.send(BusMessage::Lost, Passage::AT_ONCE);
    }

    /// Loses the events that are on their way.
    pub(crate) fn lose_messages(&self) {
        let mut queue = locked(&self.queue);
        let before = queue.messages.len();
        queue.messages.retain(|_, message| *message == BusMessage::Lost);
        queue.in_order = None;
        let lost = before - queue.messages.len();
        self.waiting.fetch_sub(lost, Ordering::AcqRel);
    }

    fn send(&self, message: BusMessage, passage: Passage) {
        let now = Instant::now();
        let mut queue = locked(&self.queue);
        let arrives = queue.in_order.unwrap_or(now).max(now + passage.delay);
        if let Some(later) = passage.again {
            self.enqueue(&mut queue, arrives + later, message.clone());
        }
        if let Some(later) = passage.overtaken {
            self.enqueue(&mut queue, arrives + later, message);
            return;
        }
        let first = queue
            .messages
            .keys()
            .next()
            .is_none_or(|(first, _)| *first > arrives);
        if arrives <= now && first && self.wire.thaw(now).is_none() {
            self.inbox.deliver(message);
            return;
        }
        queue.in_order = Some(arrives);
        self.enqueue(&mut queue, arrives, message);
    }

    fn enqueue(&self, queue: &mut Queue, arrives: Instant, message: BusMessage) {
        queue.sent += 1;
        let place = (arrives, queue.sent);
        queue.messages.insert(place, message);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if queue.pump.is_none() {
            let pump = tokio::spawn(pump(Weak::clone(&self.this), Arc::clone(&self.wake)));
            queue.pump = Some(pump.abort_handle());
        }
        self.wake.notify_one();
    }

    /// Delivers what has arrived and returns when to look again; `None` when nothing is on its way.
    fn deliver_arrived(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut queue = locked(&self.queue);
        while let Some(entry) = queue.messages.first_entry() {
            let (arrives, _) = *entry.key();
            if let Some(thaw) = self.wire.thaw(now) {
                return Some(thaw.max(arrives));
            }
            if arrives > now {
                return Some(arrives);
            }
            // Under the queue's lock: a newer message must not pass this one.
            self.inbox.deliver(entry.remove());
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        None
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(pump) = locked(&self.queue).pump.take() {
            pump.abort();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("lane", &self.lane)
            .field("node", &self.wire.node)
            .finish_non_exhaustive()
    }
}

/// Moves late messages into the inbox until the subscription is gone.
async fn pump(subscription: Weak<Subscription>, wake: Arc<Notify>) {
    loop {
        let Some(subscription) = subscription.upgrade() else {
            return;
        };
        let next = subscription.deliver_arrived();
        drop(subscription);
        match next {
            None => wake.notified().await,
            Some(next) => {
                // Biased: which of the two is looked at first must not depend on the runtime's dice.
                tokio::select! {
                    biased;
                    () = sleep_until(next) => {}
                    () = wake.notified() => {}
                }
            }
        }
    }
}
