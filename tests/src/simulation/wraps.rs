//! Ports with one rule taken out, for the rules that are enforced outside the follower.
//!
//! Each is otherwise the real thing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Adopted, Adoption, Begun, CacheKey, Entry, FillBegun, FillCommitted, FillToken, Finished, Flight,
    Lineage, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment, NewRecord, ReadFrom, Record,
    Replacement, Reply, Seq, Shard, SharedStore, StoreDescription, StoreError, Ticket, Write, Written,
};

/// Memory that installs a fill although an event came in between.
pub(crate) struct WithoutInFlightFloor<T: ?Sized>(pub(crate) Arc<T>);

impl LocalStores for WithoutInFlightFloor<dyn LocalStores> {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(WithoutInFlightFloor(self.0.open(namespace, limits)))
    }
}

impl LocalStore for WithoutInFlightFloor<dyn LocalStore> {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.0.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.0.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        match self.0.finish(key, ticket, entry.clone()) {
            Finished::Superseded { floor } => {
                self.0
                    .finish(key, ticket, entry.map(|entry| Arc::new(as_of(&entry, floor))))
            }
            finished => finished,
        }
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.0.supersede(key, seq, replacement)
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.0.usage()
    }
}

/// Memory that lets a reader join a fetch however long ago it began.
pub(crate) struct WithoutJoinLimit<T: ?Sized>(pub(crate) Arc<T>);

impl LocalStores for WithoutJoinLimit<dyn LocalStores> {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(WithoutJoinLimit(self.0.open(namespace, limits)))
    }
}

impl LocalStore for WithoutJoinLimit<dyn LocalStore> {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.0.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        let flight = Flight {
            join_until: Moment::FOREVER,
            ..flight
        };
        self.0.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.0.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.0.supersede(key, seq, replacement)
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.0.usage()
    }
}

fn as_of(entry: &Entry, floor: Seq) -> Entry {
    Entry {
        value: entry.value.clone(),
        version: entry.version,
        as_of: floor,
        generation: entry.generation,
        born: entry.born,
        fresh_until: entry.fresh_until,
        usable_until: entry.usable_until,
        refresh_from: entry.refresh_from,
        tags: Arc::clone(&entry.tags),
        stamp: entry.stamp,
        checked_epoch: 0.into(),
        refreshing: false.into(),
        weight: entry.weight,
    }
}

/// A store that takes what was loaded although a write came in between.
pub(crate) struct WithoutFillLease(pub(crate) Arc<dyn SharedStore>);

#[async_trait]
impl SharedStore for WithoutFillLease {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        self.0.read(shard, keys, from).await
    }

    async fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Result<Reply<FillBegun>, StoreError> {
        self.0
            .begin_fill(shard, key, newer_than, lineage, token, lease)
            .await
    }

    async fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<NewRecord>,
    ) -> Result<Reply<FillCommitted>, StoreError> {
        let reply = self
            .0
            .commit_fill(shard, key, lineage, token, record.clone())
            .await?;
        if reply.answer != Some(FillCommitted::Rejected) {
            return Ok(reply);
        }
        self.0
            .begin_fill(shard, key, Seq(u64::MAX), lineage, token, Duration::from_secs(1))
            .await?;
        self.0.commit_fill(shard, key, lineage, token, record).await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        self.0.write(write).await
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        self.0.adopt(adoption).await
    }

    async fn describe(&self) -> StoreDescription {
        self.0.describe().await
    }
}
