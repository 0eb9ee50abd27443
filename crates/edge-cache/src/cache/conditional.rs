//! Writes that depend on what stands there: at a version that was read, or as a change of it.
//!
//! Thin, as the rest of the cache: what stands there is found out by the engine.

use std::sync::Arc;

use cache_core::{Key, Seq};

use super::EdgeCache;
use crate::standing::Change;
use crate::value::Erased;
use crate::{CacheError, CacheValue, Options, Put, Receipt};

impl EdgeCache {
    /// Writes a value only if this version stands there; [`Seq::ZERO`] for none.
    ///
    /// "None" is what a reader would be told: a remembered absence counts as none, and so does a value that has expired or
    /// that a tag has killed. It has no version: with [`Seq::ZERO`], an invalidation that came in between is not noticed.
    ///
    /// After a conflict, this node's memory no longer shows what was refused as outdated: the next read asks the shared
    /// store. [`EdgeCache::update`] is the loop of reading, changing and writing that this asks for.
    ///
    /// # Errors
    /// As [`EdgeCache::put`].
    pub async fn put_if<V: CacheValue>(
        &self,
        key: &Key<V>,
        expected: Seq,
        value: V,
    ) -> Result<Receipt, CacheError> {
        self.put(key, Put::new(value).expecting(expected)).await
    }

    /// Changes a value: reads what the shared store holds, hands it to `change`, and writes what that returns unless somebody
    /// else has written meanwhile; then it starts over. No change of another writer is lost.
    ///
    /// `change` is given `None` where a reader would be told that there is no value, and may be called several times, so it
    /// should do nothing else. It returns the new value, or a [`Put`] with what is particular about it: the tags of what
    /// stood there are kept unless it names others, and an expectation is ignored. Memory is passed by, and holds the new
    /// value afterwards. A value that loaders write as well is theirs as much: a load has no place in this order.
    ///
    /// It takes one read and one write where nobody interferes. After a conflict it waits a moment, 50 ms at most, and gives up
    /// after 32 of them, or when the time for three fetches has passed. Dropping the future leaves a write that is under way
    /// with an unknown outcome, as with [`EdgeCache::put`]; nothing else is left behind.
    ///
    /// # Errors
    /// `Conflict` when others wrote each time, with the version found last; nothing was written. Otherwise as
    /// [`EdgeCache::put`]: after `Uncertain` the change may or may not have happened, and is not repeated.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), edge_cache::CacheError> {
    /// # use cache_core::{Namespace, Policy};
    /// # use cache_l1::MemoryStores;
    /// # use cache_memory::Hub;
    /// # use edge_cache::{EdgeCache, Ports};
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// const FREE: Namespace<u32> = Namespace::new("free_gpus", Policy::event_driven(Duration::from_secs(30)));
    /// # let hub = Hub::builder().build();
    /// # let [one, other] = ["one", "other"].map(|name| {
    /// #     let endpoint = Arc::new(hub.endpoint(name));
    /// #     let ports = Ports::new(Arc::new(MemoryStores), endpoint.clone(), endpoint);
    /// #     EdgeCache::builder(ports).node(name).namespace(&FREE).start().expect("the setup is sound")
    /// # });
    /// # assert!(one.ready(Duration::from_secs(5)).await && other.ready(Duration::from_secs(5)).await);
    ///
    /// let key = FREE.key(&[("host", &"h-1")]);
    /// one.put(&key, 8).await?;
    /// // Two nodes take one each, at the same time. Whoever is second starts over from what the first has left.
    /// let take = |free: Option<&u32>| free.copied().unwrap_or(0).saturating_sub(1);
    /// let (here, there) = tokio::join!(one.update(&key, take), other.update(&key, take));
    /// let (first, second) = (here?.version(), there?.version());
    /// let last = if first < second { &other } else { &one };
    /// assert_eq!(last.get(&key).await?.as_deref(), Some(&6));
    /// # one.shutdown().await;
    /// # other.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn update<V: CacheValue, P: Into<Put<V>>>(
        &self,
        key: &Key<V>,
        mut change: impl FnMut(Option<&V>) -> P,
    ) -> Result<Receipt, CacheError> {
        let call = self.call(key, Options::default(), None)?;
        let change = |old: Option<&Erased>| {
            let old = old.map(|value| {
                let value = value.downcast_ref::<V>();
                value.expect("a namespace's values have its type")
            });
            let put: Put<V> = change(old).into();
            Change {
                value: Arc::new(put.value),
                ttl: put.ttl,
                tags: put.tags.into(),
            }
        };
        self.engine.update(call, change).await
    }
}
