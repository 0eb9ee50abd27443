//! A node's memory that is watched: when an event takes an old value out, it is noted how long after its publication.
//!
//! It changes nothing about the memory. Measured are removals and replacements by events, at the instant they take
//! effect; not the node's own writes, which it replaces itself, nor entries that nobody held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::{
    Begun, CacheKey, Clock, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage,
    Moment, Replacement, Seq, SystemClock, Ticket,
};

use super::spans::Spans;
use super::truth::Truth;

/// Opens watched memories of one node.
pub struct WatchedStores {
    inner: Arc<dyn LocalStores>,
    watch: Watch,
}

#[derive(Clone)]
struct Watch {
    truth: Arc<Truth>,
    clock: SystemClock,
    delays: Arc<Mutex<Spans>>,
    /// Effects of changes that were not heard of yet: an event may come before its writer has its answer.
    early: Arc<Mutex<Vec<(CacheKey, Seq, Moment)>>>,
}

struct WatchedStore {
    inner: Arc<dyn LocalStore>,
    watch: Watch,
}

impl WatchedStores {
    /// Watches `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn LocalStores>, truth: Arc<Truth>, clock: SystemClock) -> Self {
        let watch = Watch {
            truth,
            clock,
            delays: Arc::default(),
            early: Arc::default(),
        };
        Self { inner, watch }
    }

    /// The delays noted so far.
    #[must_use]
    pub fn delays(&self) -> Spans {
        let early = std::mem::take(&mut *locked(&self.watch.early));
        for (key, seq, at) in early {
            self.watch.note(&key, seq, at);
        }
        locked(&self.watch.delays).clone()
    }
}

impl Watch {
    /// Notes the delay of an effect, if its publication is known.
    fn note(&self, key: &CacheKey, seq: Seq, at: Moment) -> bool {
        let published = self.truth.publication_of(key, seq);
        if let Some(published) = published {
            locked(&self.delays).record(at.since(published));
        }
        published.is_some()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalStores for WatchedStores {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(WatchedStore {
            inner: self.inner.open(namespace, limits),
            watch: self.watch.clone(),
        })
    }
}

impl LocalStore for WatchedStore {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.inner.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.inner.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.inner.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        let event = matches!(replacement, Replacement::None | Replacement::IfResident(_));
        let superseded = self.inner.supersede(key, seq, replacement);
        if superseded && event {
            let now = self.watch.clock.now();
            if !self.watch.note(key, seq, now) {
                locked(&self.watch.early).push((key.clone(), seq, now));
            }
        }
        superseded
    }

    fn clear(&self) {
        self.inner.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.inner.usage()
    }
}
