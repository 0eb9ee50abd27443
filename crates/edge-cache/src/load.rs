//! What a loader is given and what it may answer.
//!
//! A loader reads the source of truth; it never writes to the cache itself.

use std::error::Error;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Entry, EntryValue, Tag, Version};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::bulk::Seat;
use crate::engine::Engine;
use crate::reading::Call;
use crate::stats::Count;
use crate::value::Erased;
use crate::{CacheValue, LoadError};

/// A loader's answer: a value or its absence, with what is particular about it.
///
/// A plain `V` or `Option<V>` converts into it.
///
/// ```
/// use edge_cache::Load;
/// use std::time::Duration;
/// let load = Load::value("42").with_ttl(Duration::from_secs(5)).with_tag("provider:vast");
/// # let _: Load<&str> = load;
/// ```
#[derive(Debug)]
pub struct Load<V> {
    outcome: Outcome<V>,
    ttl: Option<Duration>,
    tags: Vec<Tag>,
}

#[derive(Debug)]
enum Outcome<V> {
    Value(V),
    Absent,
    NotModified,
}

impl<V> Load<V> {
    /// This value.
    pub const fn value(value: V) -> Self {
        Self {
            outcome: Outcome::Value(value),
            ttl: None,
            tags: Vec::new(),
        }
    }

    /// There is no such thing. Remembered for the policy's negative TTL.
    pub const fn absent() -> Self {
        Self {
            outcome: Outcome::Absent,
            ttl: None,
            tags: Vec::new(),
        }
    }

    /// The value in [`LoadContext::previous`] is still right: it gets a new life without being transferred.
    pub const fn not_modified() -> Self {
        Self {
            outcome: Outcome::NotModified,
            ttl: None,
            tags: Vec::new(),
        }
    }

    /// Lets the value live this long in both tiers, instead of the policy's TTL.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(Tag::new(tag));
        self
    }
}

/// What can be a loader's answer.
pub trait IntoLoad<V>: Send {
    /// The answer.
    fn into_load(self) -> Load<V>;
}

impl<V: CacheValue> IntoLoad<V> for V {
    fn into_load(self) -> Load<V> {
        Load::value(self)
    }
}

impl<V: CacheValue> IntoLoad<V> for Option<V> {
    fn into_load(self) -> Load<V> {
        self.map_or_else(Load::absent, Load::value)
    }
}

impl<V: CacheValue> IntoLoad<V> for Load<V> {
    fn into_load(self) -> Self {
        self
    }
}

/// What a loader may want to know.
///
/// ```
/// use edge_cache::{Load, LoadContext};
///
/// /// Asks for a document only if it has another revision than the one at hand.
/// async fn load(context: LoadContext<(u64, String)>) -> Result<Load<(u64, String)>, std::io::Error> {
///     let newest_revision = 7;
///     if context.previous().is_some_and(|(revision, _)| *revision == newest_revision) {
///         return Ok(Load::not_modified());
///     }
///     Ok(Load::value((newest_revision, "text".to_owned())))
/// }
/// ```
#[derive(Debug)]
pub struct LoadContext<V> {
    previous: Option<Arc<Entry>>,
    value: PhantomData<fn() -> V>,
}

impl<V: CacheValue> LoadContext<V> {
    /// The expired value, where one is still at hand: for a conditional request.
    pub fn previous(&self) -> Option<&V> {
        self.previous.as_ref()?.value.as_ref()?.downcast_ref()
    }

    /// The version of the expired value.
    pub fn previous_version(&self) -> Option<Version> {
        self.previous.as_ref().map(|entry| entry.version)
    }
}

/// A loader's answer without its type.
pub(crate) struct ErasedLoad {
    pub(crate) outcome: ErasedOutcome,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Arc<[Tag]>,
}

pub(crate) enum ErasedOutcome {
    Value(Erased),
    Absent,
    NotModified,
}

impl ErasedOutcome {
    /// The value that it stands for, which is the previous one where nothing has changed.
    pub(crate) fn value(self, previous: Option<&Arc<Entry>>) -> Result<EntryValue, LoadError> {
        match self {
            Self::Value(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::NotModified => match previous.and_then(|entry| entry.value.clone()) {
                Some(value) => Ok(Some(value)),
                None => Err(LoadError::NothingToKeep),
            },
        }
    }
}

impl Engine {
    /// Asks the source of truth, for at most `limit`. A panic is this load's error, also one that comes before the
    /// loader has made its future: whoever waits would start the load over, for ever.
    pub(crate) async fn ask_source(
        &self,
        call: &Call,
        loader: &ErasedLoader,
        previous: Option<Arc<Entry>>,
        limit: Duration,
    ) -> Result<ErasedLoad, LoadError> {
        let counters = &self.memory.namespaces[call.namespace].counters;
        counters.add(Count::Load);
        let loading = AssertUnwindSafe(async { (loader.load)(previous).await }).catch_unwind();
        let answer = match tokio::time::timeout(limit, loading).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(LoadError::Panicked),
            Err(_elapsed) => Err(LoadError::TimedOut),
        };
        if answer.is_err() {
            counters.add(Count::LoadFailure);
        }
        answer
    }
}

/// A loader without its type. It may be called more than once: when an invalidation wins against its first answer.
#[derive(Clone)]
pub(crate) struct ErasedLoader {
    load: Arc<Loading>,
    /// Its place among keys that are loaded together.
    seat: Option<Arc<Seat>>,
}

type Loading = dyn Fn(Option<Arc<Entry>>) -> BoxFuture<'static, Result<ErasedLoad, LoadError>> + Send + Sync;

impl ErasedLoader {
    /// A loader of one of many keys.
    pub(crate) fn seated(
        seat: Arc<Seat>,
        load: impl Fn(Option<Arc<Entry>>) -> BoxFuture<'static, Result<ErasedLoad, LoadError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            load: Arc::new(load),
            seat: Some(seat),
        }
    }

    /// Another node is loading the key: whoever loads other keys together with it need not wait for it.
    pub(crate) fn waits(&self) {
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }
}

pub(crate) fn erase<V, T, E, F, L>(loader: L) -> ErasedLoader
where
    V: CacheValue,
    T: IntoLoad<V>,
    E: Into<Box<dyn Error + Send + Sync>>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    L: Fn(LoadContext<V>) -> F + Send + Sync + 'static,
{
    let load = move |previous| {
        let load = loader(LoadContext {
            previous,
            value: PhantomData,
        });
        async move {
            let load = load
                .await
                .map_err(|error| LoadError::Failed(error.into()))?
                .into_load();
            let outcome = match load.outcome {
                Outcome::Value(value) => ErasedOutcome::Value(Arc::new(value)),
                Outcome::Absent => ErasedOutcome::Absent,
                Outcome::NotModified => ErasedOutcome::NotModified,
            };
            Ok(ErasedLoad {
                outcome,
                ttl: load.ttl,
                tags: load.tags.into(),
            })
        }
        .boxed()
    };
    ErasedLoader {
        load: Arc::new(load),
        seat: None,
    }
}
