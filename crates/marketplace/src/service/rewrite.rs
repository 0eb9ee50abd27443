//! One cached value is computed anew and written over the version it was computed against; what cannot be is dropped.
//!
//! It does not know what the value is. The version is known before the value is computed, so that a write by somebody
//! else in between is noticed, and nothing older ever replaces something newer.

use std::sync::Arc;

use cache_core::{CacheKey, Key, Seq, Version};
use edge_cache::{CacheError, CacheValue, Fetched, Options, Put, Receipt};

use super::load::past_memory;
use super::{Failure, Marketplace};

/// Times a rewrite starts over when somebody else writes in between. After that the key is dropped, which is right
/// in any order.
const ATTEMPTS: u32 = 16;

/// What is to stand under a key.
pub(super) enum Next<V> {
    /// This.
    Write(Put<V>),
    /// What stands there already: it is as new, or newer.
    Keep,
    /// Nothing.
    Drop,
}

/// Whether the other nodes know of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It stands at this version.
    At(Version),
    /// They will be told to drop the key once the shared store can be reached.
    Queued,
}

/// What became of a key.
#[derive(Debug, Clone)]
pub(super) struct Rewritten<V> {
    pub(super) key: CacheKey,
    pub(super) told: Told,
    /// What stands there now; `None` when it was dropped.
    pub(super) stands: Option<(Version, Arc<V>)>,
}

impl Marketplace {
    /// Writes what `next` makes of what stands there. It may be asked more than once.
    pub(super) async fn rewrite<V, F>(
        &self,
        key: &Key<V>,
        next: impl Fn(Option<Fetched<V>>) -> F,
    ) -> Rewritten<V>
    where
        V: CacheValue,
        F: Future<Output = Result<Next<V>, Failure>>,
    {
        let Ok(Some(version)) = self.try_rewrite(key, next).await else {
            return self.dropped(key).await;
        };
        // Memory has this node's own write by now, or a newer one.
        let stands = self.cache().get(key).await.ok().flatten();
        Rewritten {
            key: key.raw().clone(),
            told: Told::At(version),
            stands: stands.map(|fetched| (fetched.version(), fetched.into_arc())),
        }
    }

    /// Drops what stands under a key, now or as soon as the shared store can be reached.
    pub(super) async fn dropped<V: CacheValue>(&self, key: &Key<V>) -> Rewritten<V> {
        let told = match self.cache().invalidate(key).await {
            Ok(Receipt::Published { version, .. }) => Told::At(version),
            Ok(Receipt::Queued) | Err(_) => Told::Queued,
        };
        Rewritten {
            key: key.raw().clone(),
            told,
            stands: None,
        }
    }

    /// The version that stands in the end; `None` when nothing should, or others were faster too often.
    async fn try_rewrite<V, F>(
        &self,
        key: &Key<V>,
        next: impl Fn(Option<Fetched<V>>) -> F,
    ) -> Result<Option<Version>, Failure>
    where
        V: CacheValue,
        F: Future<Output = Result<Next<V>, Failure>>,
    {
        let mut options = Options::default();
        for _attempt in 0..ATTEMPTS {
            let known = self.cache().get_with(key, options).await?;
            let version = known.as_ref().map(Fetched::version);
            let put = match next(known).await? {
                Next::Write(put) => put.expecting(version.map_or(Seq::ZERO, |version| version.seq)),
                Next::Keep => return Ok(version),
                Next::Drop => return Ok(None),
            };
            match self.cache().put(key, put).await {
                Ok(receipt) => return Ok(receipt.version()),
                // What this node's memory has may be a moment behind: look past it.
                Err(CacheError::Conflict { .. }) => options = past_memory(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
