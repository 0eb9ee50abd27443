//! One loader call for many missing keys.
//!
//! Each key keeps its own fetch, with all of its promises; only their loaders meet here.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::CacheKey;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::LoadError;
use crate::load::{ErasedLoad, ErasedLoader, ErasedOutcome};
use crate::value::Erased;

/// After the first key needs the loader, how long the others may take to say whether they need it too. They are asked for in
/// one go, so that only a slow store keeps them for so long; one that another node loads does not count.
const GATHER: Duration = Duration::from_millis(200);
/// How long keys are gathered that another node was loading and did not bring.
const GATHER_LATE: Duration = Duration::from_millis(5);

/// What a bulk loader found: keys that are missing here are absent.
pub(crate) type Found = Result<HashMap<CacheKey, Erased>, Failure>;
pub(crate) type BulkLoader = Arc<dyn Fn(Vec<CacheKey>) -> BoxFuture<'static, Found> + Send + Sync>;

/// Why a bulk loader found nothing.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Failed(Arc<dyn Error + Send + Sync>),
    Panicked,
}

/// One error of many keys, as it is.
#[derive(Debug)]
struct Shared(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Gathers the keys that need loading and loads them together.
pub(crate) struct Gathering {
    loader: BulkLoader,
    /// Keys that have not yet said whether they need the loader.
    undecided: AtomicUsize,
    all_decided: Notify,
    round: Mutex<Option<Arc<Round>>>,
}

/// A key's place in a gathering, until it is known whether the key needs the loader: taken by whoever asks the shared
/// store for it, and free again when the loader is called, or when that one is dropped without.
pub(crate) struct Seat {
    gathering: Arc<Gathering>,
    key: CacheKey,
    taken: AtomicBool,
}

impl Seat {
    /// Tells whether it was still taken.
    pub(crate) fn leave(&self) -> bool {
        let taken = self.taken.swap(false, Ordering::AcqRel);
        if taken && self.gathering.undecided.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gathering.all_decided.notify_waiters();
        }
        taken
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One call of the loader.
struct Round {
    keys: Mutex<Vec<CacheKey>>,
    result: tokio::sync::OnceCell<Found>,
}

impl Gathering {
    pub(crate) fn new(loader: BulkLoader) -> Arc<Self> {
        Arc::new(Self {
            loader,
            undecided: AtomicUsize::new(0),
            all_decided: Notify::new(),
            round: Mutex::default(),
        })
    }

    /// The loader of one key, which loads it together with the others.
    pub(crate) fn loader_of(self: &Arc<Self>, key: &CacheKey) -> ErasedLoader {
        self.undecided.fetch_add(1, Ordering::AcqRel);
        let seat = Arc::new(Seat {
            gathering: Arc::clone(self),
            key: key.clone(),
            taken: AtomicBool::new(true),
        });
        ErasedLoader::seated(Arc::clone(&seat), move |_previous| {
            let seat = Arc::clone(&seat);
            Box::pin(async move { seat.gathering.load(&seat).await })
        })
    }

    /// Cancel-safe: whoever stays finishes the round.
    async fn load(&self, seat: &Seat) -> Result<ErasedLoad, LoadError> {
        let (key, round) = (&seat.key, self.join(&seat.key));
        if seat.leave() {
            // Only gathering is limited in time.
            let _ = tokio::time::timeout(GATHER, self.all_decided()).await;
        } else {
            tokio::time::sleep(GATHER_LATE).await;
        }
        let found = round.result.get_or_init(|| self.run(&round)).await;
        let outcome = match found {
            Ok(values) => values.get(key).map_or(ErasedOutcome::Absent, |value| {
                ErasedOutcome::Value(Arc::clone(value))
            }),
            Err(Failure::Failed(error)) => {
                return Err(LoadError::Failed(Box::new(Shared(Arc::clone(error)))));
            }
            Err(Failure::Panicked) => return Err(LoadError::Panicked),
        };
        Ok(ErasedLoad {
            outcome,
            ttl: None,
            tags: Arc::from([]),
        })
    }

    async fn all_decided(&self) {
        let all = self.all_decided.notified();
        tokio::pin!(all);
        all.as_mut().enable();
        if self.undecided.load(Ordering::Acquire) > 0 {
            all.await;
        }
    }

    fn join(&self, key: &CacheKey) -> Arc<Round> {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        let round = round.get_or_insert_with(|| {
            Arc::new(Round {
                keys: Mutex::default(),
                result: tokio::sync::OnceCell::new(),
            })
        });
        round
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key.clone());
        Arc::clone(round)
    }

    async fn run(&self, round: &Arc<Round>) -> Found {
        // Whoever comes later needs a round of its own.
        self.round
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|open| Arc::ptr_eq(open, round));
        let keys = round.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Caught here, or every key of the round would call the loader once more.
        let loading = AssertUnwindSafe(async { (self.loader)(keys).await }).catch_unwind();
        loading.await.unwrap_or(Err(Failure::Panicked))
    }
}
