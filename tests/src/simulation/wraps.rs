//! Ports with one rule taken out, for the rules that are enforced outside the follower.
//!
//! Each is otherwise the real thing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Adopted, Adoption, Begun, CacheKey, Entry, FillBegun, FillCommitted, FillToken, Finished, Flight,
    Lineage, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment, NewRecord, Payload, ReadFrom, Record,
    Replacement, Reply, SchemaFingerprint, Seq, Shard, SharedStore, StoreDescription, StoreError, Ticket,
    Write, Written, open, seal,
};

/// A rule that memory lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MemoryRule {
    /// A fetch is not installed if an event came in between.
    InFlightFloor,
    /// A fetch is joined only while it is young.
    JoinLimit,
}

/// Memory without a rule.
pub(crate) struct MemoryWithout<T: ?Sized>(pub(crate) MemoryRule, pub(crate) Arc<T>);

impl LocalStores for MemoryWithout<dyn LocalStores> {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(MemoryWithout(self.0, self.1.open(namespace, limits)))
    }
}

impl LocalStore for MemoryWithout<dyn LocalStore> {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.1.read(key)
    }

    fn begin(&self, key: &CacheKey, now: Moment, mut flight: Flight) -> Begun {
        // What is for one caller alone stays so.
        let shared = flight.join_until != Moment::NEVER;
        if self.0 == MemoryRule::JoinLimit && shared {
            flight.join_until = Moment::FOREVER;
        }
        self.1.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        match self.1.finish(key, ticket, entry.clone()) {
            Finished::Superseded { floor } if self.0 == MemoryRule::InFlightFloor => {
                self.1
                    .finish(key, ticket, entry.map(|entry| Arc::new(as_of(&entry, floor))))
            }
            finished => finished,
        }
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.1.supersede(key, seq, replacement)
    }

    fn clear(&self) {
        self.1.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.1.usage()
    }
}

fn as_of(entry: &Entry, floor: Seq) -> Entry {
    Entry {
        value: entry.value.clone(),
        version: cache_core::Version {
            seq: floor,
            ..entry.version
        },
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
        encoded: entry.encoded,
    }
}

/// A rule that the way to the shared store lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoreRule {
    /// What was loaded is not stored if a write came in between.
    FillLease,
    /// What was loaded is stamped with the barriers that were known when its fill started.
    StampFromTheStart,
}

/// A store without a rule.
pub(crate) struct StoreWithout(pub(crate) StoreRule, pub(crate) Arc<dyn SharedStore>);

impl StoreWithout {
    /// The record as if its fill had started only now.
    async fn stamped_now(&self, shard: Shard, record: NewRecord) -> Result<NewRecord, StoreError> {
        let barriers = self
            .1
            .read(Shard::barriers(shard.lane()), &[], ReadFrom::Primary)
            .await?;
        let opened = open(&record.body, SchemaFingerprint::of::<u64>());
        let (Some(head), Ok((mut envelope, payload))) = (barriers.head, opened) else {
            return Ok(record);
        };
        envelope.stamp.seq = envelope.stamp.seq.max(head.seq);
        let payload = match &payload {
            Payload::Value(bytes) => Payload::Value(&bytes[..]),
            Payload::Absent => Payload::Absent,
        };
        Ok(NewRecord {
            body: seal(&envelope, &payload),
            ..record
        })
    }
}

#[async_trait]
impl SharedStore for StoreWithout {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        self.1.read(shard, keys, from).await
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
        self.1
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
        let record = match record {
            Some(record) if self.0 == StoreRule::StampFromTheStart => {
                Some(self.stamped_now(shard, record).await?)
            }
            record => record,
        };
        let reply = self
            .1
            .commit_fill(shard, key, lineage, token, record.clone())
            .await?;
        if reply.answer != Some(FillCommitted::Rejected) || self.0 != StoreRule::FillLease {
            return Ok(reply);
        }
        self.1
            .begin_fill(shard, key, Seq(u64::MAX), lineage, token, Duration::from_secs(1))
            .await?;
        self.1.commit_fill(shard, key, lineage, token, record).await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        self.1.write(write).await
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        self.1.adopt(adoption).await
    }

    async fn describe(&self) -> StoreDescription {
        self.1.describe().await
    }
}
