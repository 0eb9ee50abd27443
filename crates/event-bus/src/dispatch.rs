//! From events to subscribers: each with a bounded queue and a task of its own, the critical lane first.
//!
//! A subscriber that is slow or panics delays nobody: not invalidation, not the others. It decides nothing about caching.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use cache_core::{CacheEvent, Lane};
use futures_core::Stream;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Filter;

/// Events a subscriber may be behind. More, and its queue is emptied and it is told how many it missed.
pub const SUBSCRIBER_QUEUE: usize = 1_024;
/// After this many critical events in a row, a waiting bulk event is handed out.
const FAIRNESS: u32 = 16;

/// What a subscriber receives.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// An event that matches its filter.
    Event(Arc<CacheEvent>),
    /// Events were missed and will not come: read anew what they may have told.
    Missed {
        /// How many, where known: a node that was cut off longer than the log reaches cannot count them.
        events: Option<u64>,
    },
}

/// The subscribers of one node.
#[derive(Debug)]
pub struct Dispatcher {
    subscribers: Mutex<Vec<Weak<Mailbox>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher whose handlers end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            subscribers: Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// A stream of the events that match.
    ///
    /// Dropping it unsubscribes. It ends when the node shuts down, after what was queued.
    pub fn events(&self, filter: Filter) -> EventStream {
        let mailbox = Arc::new(Mailbox {
            filter,
            state: Mutex::default(),
        });
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&mailbox));
        drop(subscribers);
        // Asked only now: whoever shuts down meanwhile has either found this mailbox or is noticed here.
        if self.stop.is_cancelled() {
            mailbox.close();
        }
        EventStream { mailbox }
    }

    /// Calls `handler` for each matching event, one at a time and in order, until the returned guard is dropped.
    ///
    /// A panic in the handler is logged and ends only that call.
    #[must_use = "dropping the subscription ends it"]
    pub fn on<H, F>(&self, filter: Filter, handler: H) -> Subscription
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut events = self.events(filter);
        let stop = self.stop.child_token();
        let ended = stop.clone();
        self.tasks.spawn(async move {
            loop {
                let delivery = tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    delivery = events.next() => delivery,
                };
                let Some(delivery) = delivery else { return };
                let call = std::panic::AssertUnwindSafe(async { handler(delivery).await }).catch_unwind();
                tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    outcome = call => if outcome.is_err() {
                        tracing::error!("an event handler panicked; it stays subscribed");
                    },
                }
            }
        });
        Subscription { stop }
    }

    /// Hands an event to everyone who wants it. Never waits.
    pub fn publish(&self, event: &Arc<CacheEvent>) {
        self.each(|mailbox| {
            if mailbox.filter.matches(event) {
                mailbox.push(event);
            }
        });
    }

    /// Tells everyone that events were missed.
    pub fn missed(&self) {
        self.each(|mailbox| mailbox.lose(None));
    }

    /// Events waiting in the fullest queue.
    pub fn backlog(&self) -> usize {
        let mut most = 0;
        self.each(|mailbox| most = most.max(mailbox.len()));
        most
    }

    /// Ends every stream and waits for the handlers' tasks.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.each(Mailbox::close);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn each(&self, mut act: impl FnMut(&Mailbox)) {
        let subscribers: Vec<Arc<Mailbox>> = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for mailbox in subscribers {
            act(&mailbox);
        }
    }
}

/// Keeps a handler subscribed; dropping it ends the subscription and drops a call under way.
#[derive(Debug)]
pub struct Subscription {
    stop: CancellationToken,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A stream of [`Delivery`]s.
#[derive(Debug)]
pub struct EventStream {
    mailbox: Arc<Mailbox>,
}

impl Stream for EventStream {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.mailbox.poll(context)
    }
}

#[derive(Debug)]
struct Mailbox {
    filter: Filter,
    state: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    lanes: [VecDeque<Arc<CacheEvent>>; 2],
    critical_in_a_row: u32,
    missed: Option<Option<u64>>,
    closed: bool,
    reader: Option<Waker>,
}

impl Mailbox {
    fn push(&self, event: &Arc<CacheEvent>) {
        let full = self.len() >= SUBSCRIBER_QUEUE;
        if full {
            self.lose(Some(1));
            return;
        }
        self.change(|queue| queue.lanes[event.priority.lane().index()].push_back(Arc::clone(event)));
    }

    fn lose(&self, more: Option<u64>) {
        self.change(|queue| {
            let dropped = queue
                .lanes
                .iter_mut()
                .map(|lane| std::mem::take(lane).len() as u64)
                .sum::<u64>();
            queue.missed = Some(match (queue.missed, more) {
                (None, Some(more)) => Some(dropped + more),
                (Some(Some(before)), Some(more)) => Some(before + dropped + more),
                _unknown => None,
            });
        });
    }

    fn close(&self) {
        self.change(|queue| queue.closed = true);
    }

    fn len(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lanes
            .iter()
            .map(VecDeque::len)
            .sum()
    }

    fn change(&self, act: impl FnOnce(&mut Queue)) {
        let mut queue = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut queue);
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let mut queue = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = queue.missed.take() {
            return Poll::Ready(Some(Delivery::Missed { events }));
        }
        if let Some(event) = queue.take() {
            return Poll::Ready(Some(Delivery::Event(event)));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Queue {
    fn take(&mut self) -> Option<Arc<CacheEvent>> {
        let [critical, bulk] = &mut self.lanes;
        let bulk_is_due = self.critical_in_a_row >= FAIRNESS && !bulk.is_empty();
        if !bulk_is_due && let Some(event) = critical.pop_front() {
            self.critical_in_a_row += 1;
            return Some(event);
        }
        self.critical_in_a_row = 0;
        bulk.pop_front()
    }
}

const _: () = assert!(
    Lane::Critical.index() == 0,
    "the first queue is the critical lane's"
);

#[cfg(test)]
mod tests;
