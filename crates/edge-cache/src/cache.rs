//! The cache as a service uses it.
//!
//! Thin: every decision is in the engine's modules. Calls about many keys are in `many`.

use std::any::TypeId;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{CacheEvent, Key, Namespace, Tag};
use event_bus::{Delivery, EventStream, Filter, Subscription};

use crate::engine::Engine;
use crate::handle::Handles;
use crate::limits::check_key;
use crate::load::{ErasedLoader, erase};
use crate::memory::NamespaceState;
use crate::reading::{Call, Look};
use crate::writing::ErasedPut;
use crate::{
    CacheError, CacheValue, CaughtUp, EdgeCacheBuilder, Fetched, Health, IntoLoad, LoadContext, Options,
    Ports, Put, Receipt, Stats,
};

mod conditional;
mod many;

/// A two-tier cache on one node. Cheap to clone; all clones are the same cache. With the last of them its tasks end and its
/// connections are closed, after two seconds at most for what it still owes; [`EdgeCache::shutdown`] waits for that. A
/// subscription or a stream does not keep it alive.
///
/// Reads that memory can answer do no I/O. Every other read is bounded by the policy's hard timeout, which is the load
/// deadline unless the policy says otherwise: by once that as a rule, by twice when the key changes faster than it can be
/// read, and by three times when the fetch that it waits for is given up. Writes are bounded by the load deadline, or by the hard
/// timeout where that is shorter. All futures may be dropped at any point: a dropped read frees its slot, a dropped invalidation is
/// still published, a dropped put has an unknown outcome.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), edge_cache::CacheError> {
/// use cache_core::{Namespace, Policy};
/// use cache_l1::MemoryStores;
/// use cache_memory::Hub;
/// use edge_cache::{EdgeCache, Ports, Tier};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// const NAMES: Namespace<String> = Namespace::new("names", Policy::event_driven(Duration::from_secs(30)));
///
/// // The embedded backend stands for a Redis server, and this process for two machines.
/// let hub = Hub::builder().build();
/// let start = |name| {
///     let endpoint = Arc::new(hub.endpoint(name));
///     let ports = Ports::new(Arc::new(MemoryStores), endpoint.clone(), endpoint);
///     EdgeCache::builder(ports).node(name).namespace(&NAMES).start()
/// };
/// let (here, there) = (start("us-east-1")?, start("eu-west-1")?);
/// assert!(here.ready(Duration::from_secs(5)).await && there.ready(Duration::from_secs(5)).await);
///
/// let key = NAMES.key(&[("id", &7)]);
/// let name = here.get_or_load(&key, |_| async { Ok::<_, std::io::Error>("seven".to_owned()) }).await?;
/// assert_eq!(name.as_deref().map(String::as_str), Some("seven"));
///
/// // The other machine finds it in the shared store, and from then on in its own memory.
/// assert_eq!(there.get(&key).await?.expect("there").tier(), Tier::L2);
/// assert_eq!(there.get(&key).await?.expect("there").tier(), Tier::L1);
///
/// here.invalidate(&key).await?;
/// assert!(here.get(&key).await?.is_none());
/// # here.shutdown().await;
/// # there.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EdgeCache {
    engine: Arc<Engine>,
    _handles: Arc<Handles>,
}

impl EdgeCache {
    /// Starts with these ports and the defaults.
    pub fn builder(ports: Ports) -> EdgeCacheBuilder {
        EdgeCacheBuilder::new(ports)
    }

    pub(crate) fn over(engine: Arc<Engine>) -> Self {
        Self {
            _handles: Arc::new(Handles(Arc::clone(&engine))),
            engine,
        }
    }

    /// Waits until memory may answer, or `limit` has passed; tells which it was: every shard is followed and under a lease, and
    /// nothing that this node owes the shared store keeps a key out of memory. True at once where that is so already.
    /// Reads work before that, from their loaders.
    pub async fn ready(&self, limit: Duration) -> bool {
        let [critical, bulk] = &self.engine.lanes;
        let ready = async {
            futures_util::future::join(critical.ready(limit), bulk.ready(limit)).await == (true, true)
                && self.engine.paid_up(limit).await
        };
        tokio::time::timeout(limit, ready).await.unwrap_or(false)
    }

    /// The value, if memory can answer: no I/O, never waits.
    ///
    /// # Errors
    /// `Rejected` when the key's namespace is not registered, or the key could not be written
    /// ([`CacheKey::unwritable`](cache_core::CacheKey::unwritable)); every other call answers so too.
    #[inline(always)]
    pub fn peek<V: CacheValue>(&self, key: &Key<V>) -> Result<Option<Fetched<V>>, CacheError> {
        let namespace = self.namespace(key)?;
        Ok(
            match self
                .engine
                .look(namespace, key.raw(), key.shard(self.engine.shards))
            {
                Look::Hit(answer) => answer.fetched(),
                // Taken apart in every arm, or the answer would be kept in memory to be dropped as a whole.
                Look::Stale(_expired) => None,
                Look::Miss => {
                    check_key(key.raw())?;
                    None
                }
            },
        )
    }

    /// The value from memory or the shared store; `None` when neither has it.
    ///
    /// # Errors
    /// `Unavailable` when the shared store would have to answer and cannot: that is not the same as having no value.
    #[inline]
    pub async fn get<V: CacheValue>(&self, key: &Key<V>) -> Result<Option<Fetched<V>>, CacheError> {
        self.get_with(key, Options::default()).await
    }

    /// As [`EdgeCache::get`], under the call's own options.
    ///
    /// # Errors
    /// As [`EdgeCache::get`].
    #[inline]
    pub async fn get_with<V: CacheValue>(
        &self,
        key: &Key<V>,
        options: Options,
    ) -> Result<Option<Fetched<V>>, CacheError> {
        self.read(key, options, None::<fn() -> ErasedLoader>).await
    }

    /// The value from memory, the shared store, or the loader. One load at a time for all readers of all nodes that
    /// want the key; `None` when the loader says that there is no value.
    ///
    /// The loader may be called again when an invalidation wins against its first answer.
    ///
    /// # Errors
    /// `Load` when the loader fails, panics or takes longer than the hard timeout, and no stale value may stand in.
    #[inline]
    pub async fn get_or_load<V, T, E, F, L>(
        &self,
        key: &Key<V>,
        loader: L,
    ) -> Result<Option<Fetched<V>>, CacheError>
    where
        V: CacheValue,
        T: IntoLoad<V>,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<T, E>> + Send + 'static,
        L: Fn(LoadContext<V>) -> F + Send + Sync + 'static,
    {
        self.get_or_load_with(key, Options::default(), loader).await
    }

    /// As [`EdgeCache::get_or_load`], under the call's own options.
    ///
    /// # Errors
    /// As [`EdgeCache::get_or_load`].
    #[inline]
    pub async fn get_or_load_with<V, T, E, F, L>(
        &self,
        key: &Key<V>,
        options: Options,
        loader: L,
    ) -> Result<Option<Fetched<V>>, CacheError>
    where
        V: CacheValue,
        T: IntoLoad<V>,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<T, E>> + Send + 'static,
        L: Fn(LoadContext<V>) -> F + Send + Sync + 'static,
    {
        self.read(key, options, Some(|| erase(loader))).await
    }

    /// Writes a value: to the shared store, then to this node's memory; every other node is told.
    ///
    /// # Errors
    /// `Unavailable` when nothing happened, `Uncertain` when it is not known, `Conflict` when another version stands there.
    /// An uncertain write may still arrive, even after a later one that was acknowledged: read the source of truth, or write
    /// with [`EdgeCache::put_if`], which a late arrival cannot overtake.
    pub async fn put<V: CacheValue>(
        &self,
        key: &Key<V>,
        put: impl Into<Put<V>>,
    ) -> Result<Receipt, CacheError> {
        self.put_with(key, put, Options::default()).await
    }

    /// As [`EdgeCache::put`], under the call's own options.
    ///
    /// # Errors
    /// As [`EdgeCache::put`].
    pub async fn put_with<V: CacheValue>(
        &self,
        key: &Key<V>,
        put: impl Into<Put<V>>,
        options: Options,
    ) -> Result<Receipt, CacheError> {
        let put = self.erased_put(key, put.into(), options)?;
        self.engine.put(put).await
    }

    /// Drops a value everywhere. Never lost: what cannot be published now is published as soon as possible, and until
    /// then this node behaves as if it had been.
    ///
    /// # Errors
    /// `Rejected` when the shared store refuses the request as such.
    pub async fn invalidate<V: CacheValue>(&self, key: &Key<V>) -> Result<Receipt, CacheError> {
        self.namespace(key)?;
        check_key(key.raw())?;
        let shard = key.shard(self.engine.shards);
        self.engine.invalidate(shard, vec![key.raw().clone()]).await
    }

    /// Drops every value that carries the tag, in constant time.
    ///
    /// # Errors
    /// As [`EdgeCache::invalidate`].
    pub async fn invalidate_tag(&self, tag: impl AsRef<str>) -> Result<Receipt, CacheError> {
        self.engine.invalidate_tag(Tag::new(tag)).await
    }

    /// Drops every value of a namespace, in constant time.
    ///
    /// # Errors
    /// As [`EdgeCache::invalidate`].
    pub async fn clear<V: CacheValue>(&self, namespace: &Namespace<V>) -> Result<Receipt, CacheError> {
        let namespace = self.registered(namespace.name(), TypeId::of::<V>())?;
        self.engine.clear_namespace(namespace).await
    }

    /// Drops every value of every namespace, in constant time.
    ///
    /// # Errors
    /// As [`EdgeCache::invalidate`].
    pub async fn clear_all(&self) -> Result<Receipt, CacheError> {
        self.engine.clear_all().await
    }

    /// Ends a value's freshness everywhere, and keeps it as a stand-in for when it cannot be loaded. Where none is stored, the
    /// key is invalidated, so that a load that is under way leaves nothing older behind.
    ///
    /// # Errors
    /// As [`EdgeCache::put`].
    pub async fn expire<V: CacheValue>(&self, key: &Key<V>) -> Result<Receipt, CacheError> {
        let call = self.call(key, Options::default(), None)?;
        self.engine.expire(call).await
    }

    /// Loads a value anew and publishes it. What stands there afterwards is never older than the source was when this
    /// call began, whoever else writes; that is what a service calls after it changed the source.
    ///
    /// # Errors
    /// `Load` when the loader fails; otherwise as [`EdgeCache::put`].
    pub async fn refresh<V, T, E, F, L>(&self, key: &Key<V>, loader: L) -> Result<Receipt, CacheError>
    where
        V: CacheValue,
        T: IntoLoad<V>,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<T, E>> + Send + 'static,
        L: Fn(LoadContext<V>) -> F + Send + Sync + 'static,
    {
        let call = self.call(key, Options::default(), None)?;
        self.engine.refresh(call, erase(loader)).await
    }

    /// Publishes an event: what it touches is invalidated, then every subscriber on every node is told. Who is told finds the
    /// event's keys and namespaces changed. What carries its tags, and keys whose values travel with their events
    /// ([`Propagation::Value`](cache_core::Propagation::Value)), may change a moment later, within the stated bound: the
    /// versions in the event tell what to wait for.
    ///
    /// # Errors
    /// As [`EdgeCache::put`]. The invalidations are never lost; the announcement is, when this fails.
    pub async fn publish(&self, event: CacheEvent) -> Result<Receipt, CacheError> {
        self.engine.publish(event).await
    }

    /// Calls `handler` for each event that matches, from whatever node, until the subscription is dropped.
    #[must_use = "dropping the subscription ends it"]
    pub fn on<H, F>(&self, filter: Filter, handler: H) -> Subscription
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.engine.dispatcher.on(filter, handler)
    }

    /// A stream of the events that match, from whatever node.
    pub fn events(&self, filter: Filter) -> EventStream {
        self.engine.dispatcher.events(filter)
    }

    /// Waits until this node has applied everything up to a write of whatever node, or `limit` has passed. Then what it reads is
    /// not older than that write: a test, or a client that moves from node to node, reads its own writes anywhere. The event of
    /// [`EdgeCache::publish`] counts for itself, not for what it touches.
    ///
    /// Nothing is believed because a receipt says so: its number is compared with what this node has applied, and its identity
    /// with those of the last 512 events of its shard. Cancel-safe.
    ///
    /// ```
    /// # use cache_core::Key;
    /// # use edge_cache::{CacheError, CaughtUp, EdgeCache};
    /// # use std::time::Duration;
    /// async fn move_over(here: &EdgeCache, there: &EdgeCache, key: &Key<u64>) -> Result<(), CacheError> {
    ///     let receipt = here.put(key, 2).await?;
    ///     if there.caught_up(&receipt, Duration::from_secs(2)).await? == CaughtUp::Applied {
    ///         assert_eq!(there.get(key).await?.as_deref(), Some(&2));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// `Rejected` for a receipt of a write that was only queued, `Closed` when this node shuts down.
    pub async fn caught_up(&self, receipt: &Receipt, limit: Duration) -> Result<CaughtUp, CacheError> {
        self.engine.caught_up(receipt, limit).await
    }

    /// What the cache did so far.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// How the cache is. Answers within 250 ms, also when the shared store hangs: then with what it said last, and its age.
    pub async fn health(&self) -> Health {
        self.engine.health().await
    }

    /// Tries to publish what is still owed, ends all tasks and waits for them. Calls after this fail with `Closed`, or
    /// answer from memory until its lease runs out.
    pub async fn shutdown(&self) {
        self.engine.shutdown().await;
    }

    async fn read<V: CacheValue>(
        &self,
        key: &Key<V>,
        options: Options,
        loader: Option<impl FnOnce() -> ErasedLoader>,
    ) -> Result<Option<Fetched<V>>, CacheError> {
        let namespace = self.namespace(key)?;
        let look = if options.l1.reads() {
            self.engine
                .look(namespace, key.raw(), key.shard(self.engine.shards))
        } else {
            Look::Miss
        };
        match look {
            Look::Hit(answer) => {
                if let Some(loader) =
                    loader.filter(|_| answer.entry.refresh_from != cache_core::Moment::FOREVER)
                {
                    let call = self.call(key, options, Some(loader()))?;
                    self.engine.refresh_early(|| call, &answer);
                }
                Ok(answer.fetched())
            }
            Look::Stale(answer) => self.fetch(key, options, loader, Some(answer)).await,
            Look::Miss => self.fetch(key, options, loader, None).await,
        }
    }

    async fn fetch<V: CacheValue>(
        &self,
        key: &Key<V>,
        options: Options,
        loader: Option<impl FnOnce() -> ErasedLoader>,
        stale: Option<crate::fetched::Answer>,
    ) -> Result<Option<Fetched<V>>, CacheError> {
        let call = self.call(key, options, loader.map(|loader| loader()))?;
        Ok(self
            .engine
            .fetch(call, stale)
            .await?
            .and_then(crate::fetched::Answer::fetched))
    }

    fn call<V: CacheValue>(
        &self,
        key: &Key<V>,
        options: Options,
        loader: Option<ErasedLoader>,
    ) -> Result<Call, CacheError> {
        let namespace = self.namespace(key)?;
        check_key(key.raw())?;
        let index = self
            .engine
            .memory
            .namespaces
            .iter()
            .position(|other| std::ptr::eq(other, namespace));
        let mut policy = options.policy.unwrap_or(namespace.policy);
        // What all nodes and all calls must agree on.
        (policy.lane, policy.coherence) = (namespace.policy.lane, namespace.policy.coherence);
        policy.outage_reads = namespace.policy.outage_reads;
        Ok(Call {
            namespace: index.unwrap_or_default(),
            key: key.raw().clone(),
            shard: key.shard(self.engine.shards),
            policy,
            options,
            loader,
        })
    }

    fn erased_put<V: CacheValue>(
        &self,
        key: &Key<V>,
        put: Put<V>,
        options: Options,
    ) -> Result<ErasedPut, CacheError> {
        Ok(ErasedPut {
            call: self.call(key, options, None)?,
            value: Some(Arc::new(put.value)),
            ttl: put.ttl,
            loaded: None,
            tags: put.tags.into(),
            expect: put.expect,
        })
    }

    #[inline]
    fn namespace<V: CacheValue>(&self, key: &Key<V>) -> Result<&NamespaceState, CacheError> {
        self.registered(key.namespace(), TypeId::of::<V>())
    }

    #[inline]
    fn registered(&self, name: &str, value: TypeId) -> Result<&NamespaceState, CacheError> {
        self.engine
            .memory
            .find_typed(name, value)
            .ok_or_else(|| unregistered(name))
    }
}

#[cold]
fn unregistered(name: &str) -> CacheError {
    CacheError::rejected(format!(
        "namespace {name:?} is not registered with this type of value; add it to the builder"
    ))
}

impl<V> From<V> for Put<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

impl std::fmt::Debug for EdgeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeCache")
            .field("node", &self.engine.node)
            .finish_non_exhaustive()
    }
}
