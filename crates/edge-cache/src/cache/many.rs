//! Calls about many keys: however many there are, they go in pieces, each with a deadline of its own.
//!
//! What a piece does for each of its keys is what a call about one key does.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;

use cache_core::{CacheKey, Key, Moment, Shard};
use futures_util::future::{join, join_all, try_join_all};

use crate::bulk::{BulkLoader, Failure, Gathering};
use crate::fetched::Answer;
use crate::limits::check_key;
use crate::load::ErasedLoader;
use crate::reading::Look;
use crate::value::Erased;
use crate::writing::ErasedPut;
use crate::{CacheError, CacheValue, EdgeCache, Fetched, Options, Put, Receipt};

/// Keys that are looked up in the shared store together, and loaded by one call of a loader. A thousand are a fraction of the
/// deadline for any server, and a statement that every database takes.
const READ: usize = 1_024;
/// Values that are on their way to the shared store at once.
const PUT: usize = 256;
/// Keys that one write invalidates: one script of the store must stay short.
const INVALIDATED: usize = 128;
/// Such writes at once.
const WRITES: usize = 16;

impl EdgeCache {
    /// Many values at once, in the order asked. What memory lacks is looked up 1,024 keys at a time.
    ///
    /// # Errors
    /// As [`EdgeCache::get`], for the first key that fails.
    pub async fn get_many<V: CacheValue>(
        &self,
        keys: &[Key<V>],
    ) -> Result<Vec<Option<Fetched<V>>>, CacheError> {
        self.read_many(keys, None).await
    }

    /// Many values at once, in the order asked, with one call of the loader for each 1,024 keys that memory has not; it is
    /// asked for those of them that the shared store has not either. Keys that it leaves out count as absent.
    ///
    /// The calls come one after the other, each with the time of a fetch of its own. One more may follow for keys that another
    /// node was loading.
    ///
    /// # Errors
    /// As [`EdgeCache::get_or_load`], for the first key that fails.
    pub async fn get_or_load_many<V, E, F, L>(
        &self,
        keys: &[Key<V>],
        loader: L,
    ) -> Result<Vec<Option<Fetched<V>>>, CacheError>
    where
        V: CacheValue,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<HashMap<Key<V>, V>, E>> + Send + 'static,
        L: Fn(Vec<Key<V>>) -> F + Send + Sync + 'static,
    {
        self.read_many(keys, Some(erase(keys, loader))).await
    }

    /// Loads keys into memory, for the start of a service, 1,024 at a time; tells how many of them memory holds at the end. That
    /// is less than were loaded where the namespace's limits do not hold them all.
    ///
    /// # Errors
    /// As [`EdgeCache::get_or_load_many`].
    pub async fn warm<V, E, F, L>(&self, keys: &[Key<V>], loader: L) -> Result<usize, CacheError>
    where
        V: CacheValue,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<HashMap<Key<V>, V>, E>> + Send + 'static,
        L: Fn(Vec<Key<V>>) -> F + Send + Sync + 'static,
    {
        let loader = erase(keys, loader);
        for piece in keys.chunks(READ) {
            // Answers are let go piece by piece: more may be loaded than memory holds.
            drop(self.read_many(piece, Some(Arc::clone(&loader))).await?);
        }
        let mut resident = 0;
        for key in keys {
            let namespace = self.namespace(key)?;
            resident += usize::from(
                self.engine
                    .holds(namespace, key.raw(), key.shard(self.engine.shards)),
            );
        }
        Ok(resident)
    }

    /// Writes many values, 256 at a time; each succeeds or fails alone, in the order given, and has a deadline of its own. Once
    /// none of 256 was answered by the shared store, the rest is not tried: those are `Unavailable`, or queued where the policy
    /// says so.
    ///
    /// # Errors
    /// Only when the namespace is not registered; the rest is in the list.
    pub async fn put_many<V: CacheValue>(
        &self,
        puts: Vec<(Key<V>, Put<V>)>,
    ) -> Result<Vec<Result<Receipt, CacheError>>, CacheError> {
        let puts = puts
            .into_iter()
            .map(|(key, put)| self.erased_put(&key, put, Options::default()));
        let mut puts = puts
            .collect::<Result<Vec<ErasedPut>, _>>()?
            .into_iter()
            .peekable();
        let mut outcomes = Vec::with_capacity(puts.len());
        let mut away = false;
        while puts.peek().is_some() {
            let piece = puts.by_ref().take(PUT);
            if away {
                outcomes.extend(piece.map(|put| {
                    let error = CacheError::unavailable(
                        "not tried: the shared store answered none of 256 puts before it",
                    );
                    self.engine.offline(&put.call, put.expect, error)
                }));
                continue;
            }
            let answers = join_all(piece.map(|put| self.engine.put(put))).await;
            away = answers.iter().all(is_unanswered);
            outcomes.extend(answers);
        }
        Ok(outcomes)
    }

    /// Drops many values everywhere, with one write for each shard and each 128 of its keys, 16 writes at a time; the receipts are
    /// in the order of the keys. Once none of 16 writes could be published, the rest is queued at once.
    ///
    /// # Errors
    /// As [`EdgeCache::invalidate`].
    pub async fn invalidate_many<V: CacheValue>(&self, keys: &[Key<V>]) -> Result<Vec<Receipt>, CacheError> {
        let mut by_shard = BTreeMap::<Shard, Vec<usize>>::new();
        for (index, key) in keys.iter().enumerate() {
            self.namespace(key)?;
            check_key(key.raw())?;
            by_shard
                .entry(key.shard(self.engine.shards))
                .or_default()
                .push(index);
        }
        let writes: Vec<(Shard, &[usize])> = by_shard
            .iter()
            .flat_map(|(shard, indices)| indices.chunks(INVALIDATED).map(|indices| (*shard, indices)))
            .collect();
        let mut receipts = vec![Receipt::Queued; keys.len()];
        let mut away = false;
        for round in writes.chunks(WRITES) {
            let raw = |indices: &[usize]| indices.iter().map(|index| keys[*index].raw().clone()).collect();
            if away {
                for (shard, indices) in round {
                    self.engine.owe_keys(*shard, raw(indices));
                    self.engine.queued()?;
                }
                continue;
            }
            let published = round
                .iter()
                .map(|(shard, indices)| self.engine.invalidate(*shard, raw(indices)));
            let published = try_join_all(published).await?;
            away = published.iter().all(|receipt| *receipt == Receipt::Queued);
            for ((_, indices), receipt) in round.iter().zip(published) {
                indices.iter().for_each(|index| receipts[*index] = receipt);
            }
        }
        Ok(receipts)
    }

    async fn read_many<V: CacheValue>(
        &self,
        keys: &[Key<V>],
        bulk: Option<BulkLoader>,
    ) -> Result<Vec<Option<Fetched<V>>>, CacheError> {
        let engine = &self.engine;
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        let gathering = bulk.clone().map(Gathering::new);
        for (index, key) in keys.iter().enumerate() {
            answers.push(
                match engine.look(self.namespace(key)?, key.raw(), key.shard(engine.shards)) {
                    Look::Hit(answer) => {
                        if answer.entry.refresh_from != Moment::FOREVER
                            && let Some(gathering) = &gathering
                        {
                            let call =
                                self.call(key, Options::default(), Some(gathering.loader_of(key.raw())))?;
                            engine.refresh_early(|| call, &answer);
                        }
                        Some(answer)
                    }
                    Look::Stale(answer) => {
                        missing.push((index, Some(answer)));
                        None
                    }
                    Look::Miss => {
                        missing.push((index, None));
                        None
                    }
                },
            );
        }
        let mut missing = missing.into_iter().peekable();
        while missing.peek().is_some() {
            let gathering = bulk.clone().map(Gathering::new);
            let loader = |key: &CacheKey| gathering.as_ref().map(|gathering| gathering.loader_of(key));
            self.read_piece(keys, missing.by_ref().take(READ), loader, &mut answers)
                .await?;
        }
        // The first answers have become older while the last ones were fetched.
        let at = engine.ports.clock.now();
        let told = |answer: Answer| Answer { at, ..answer }.fetched();
        Ok(answers.into_iter().map(|answer| answer.and_then(told)).collect())
    }

    async fn read_piece<V: CacheValue>(
        &self,
        keys: &[Key<V>],
        piece: impl Iterator<Item = (usize, Option<Answer>)>,
        loader: impl Fn(&CacheKey) -> Option<ErasedLoader>,
        answers: &mut [Option<Answer>],
    ) -> Result<(), CacheError> {
        let engine = &self.engine;
        let (mut missing, mut missed, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        for (index, answer) in piece {
            let key = &keys[index];
            let call = |loader| self.call(key, Options::default(), loader);
            if answer.is_some() {
                let call = call(loader(key.raw()))?;
                stale.push(async move { (index, engine.fetch(call, answer).await) });
            } else {
                missing.push(index);
                missed.push(call(None)?);
            }
        }
        let (fetched, refetched) = join(engine.fetch_many(missed, loader), join_all(stale)).await;
        for (index, answer) in missing.into_iter().zip(fetched).chain(refetched) {
            answers[index] = answer?;
        }
        Ok(())
    }
}

/// The loader of many keys without their type.
fn erase<V, E, F, L>(keys: &[Key<V>], loader: L) -> BulkLoader
where
    V: CacheValue,
    E: Into<Box<dyn Error + Send + Sync>>,
    F: Future<Output = Result<HashMap<Key<V>, V>, E>> + Send + 'static,
    L: Fn(Vec<Key<V>>) -> F + Send + Sync + 'static,
{
    let by_raw: HashMap<CacheKey, Key<V>> = keys.iter().map(|key| (key.raw().clone(), key.clone())).collect();
    Arc::new(move |wanted| {
        let typed = wanted.iter().filter_map(|raw| by_raw.get(raw).cloned()).collect();
        let loading = loader(typed);
        Box::pin(async move {
            let values = loading
                .await
                .map_err(|error| Failure::Failed(Arc::from(error.into())))?;
            Ok(values
                .into_iter()
                .map(|(key, value)| (key.raw().clone(), Arc::new(value) as Erased))
                .collect())
        })
    })
}

/// Whether the shared store said nothing to this put.
const fn is_unanswered(outcome: &Result<Receipt, CacheError>) -> bool {
    matches!(
        outcome,
        Ok(Receipt::Queued) | Err(CacheError::Unavailable(_) | CacheError::Uncertain(_))
    )
}
