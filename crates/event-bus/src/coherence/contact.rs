//! Whether the lane's bus answers, since when it does not, and why.
//!
//! It decides nothing: leases alone tell what may be served as current.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache_core::Moment;

use super::Coherence;

/// An error that many may be told.
type Cause = Arc<dyn Error + Send + Sync>;

/// What is known of the connection.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// When the question was sent that was answered last.
    answered: AtomicU64,
    cause: Mutex<Option<Cause>>,
}

/// Shards of a lane that have no lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unleased {
    /// How many.
    pub shards: usize,
    /// When the first of these leases ended; [`Moment::NEVER`] for one that was never given, or that was taken away.
    pub since: Moment,
}

impl Coherence {
    /// Whether the bus has answered nothing that was asked within the last lease: the shared store is away, as far as this node
    /// can tell. False while a hole is being filled: then events are known to be missing, and the store can be asked.
    pub fn is_away(&self) -> bool {
        let until = Moment::from_nanos(self.contact.answered.load(Ordering::Acquire)) + self.timing.lease;
        self.clock.ceiling(until) >= until
    }

    /// Why the bus did not answer the last time, while it does not.
    pub fn cause(&self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.contact
            .cause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The shards that have no lease now; `None` when all have one.
    pub fn unleased(&self) -> Option<Unleased> {
        let now = self.clock.now();
        let ended = self
            .shards()
            .map(|shard| Moment::from_nanos(self.views[shard.index()].lease.load(Ordering::Acquire)))
            .filter(|lease| *lease <= now);
        ended.fold(None, |sum: Option<Unleased>, lease| {
            Some(Unleased {
                shards: sum.map_or(1, |sum| sum.shards + 1),
                since: sum.map_or(lease, |sum| sum.since.min(lease)),
            })
        })
    }

    /// A question that was sent at this moment was answered.
    pub(super) fn answered(&self, sent: Moment) {
        self.contact.answered.fetch_max(sent.as_nanos(), Ordering::AcqRel);
        let mut cause = self.contact.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let _ended = cause.take();
    }

    /// The bus could not be subscribed to, or did not answer.
    pub(crate) fn failed(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let mut cause = self.contact.cause.lock().unwrap_or_else(PoisonError::into_inner);
        *cause = Some(Arc::from(error.into()));
    }
}
