//! A node's shared store on a real server, whose writes the judge is told of: dated to the instant of their sending.
//!
//! It changes nothing. The server takes a step later than it was sent and earlier than it was answered, so that what is
//! measured from the sending is never too short, and a read is never judged too mildly. A step without an answer is not
//! heard of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Adopted, Adoption, CacheKey, Clock as _, FillBegun, FillCommitted, FillToken, Lineage, NewRecord, Op,
    ReadFrom, Record, Reply, Seq, Shard, SharedStore, StoreDescription, StoreError, SystemClock, Write,
    Written,
};
use cache_memory::Witness as _;

use super::truth::Truth;

/// A store that is listened to.
pub struct WitnessedStore {
    inner: Arc<dyn SharedStore>,
    truth: Arc<Truth>,
    clock: SystemClock,
}

impl WitnessedStore {
    /// Listens to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn SharedStore>, truth: Arc<Truth>, clock: SystemClock) -> Self {
        Self { inner, truth, clock }
    }
}

#[async_trait]
impl SharedStore for WitnessedStore {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        self.inner.read(shard, keys, from).await
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
        self.inner
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
        self.inner.commit_fill(shard, key, lineage, token, record).await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        let sent = self.clock.now();
        if let Op::Announce(event) = &write.op {
            self.truth.announcements().made(event, sent);
        }
        let reply = self.inner.write(write.clone()).await?;
        if let (Some(Written::Done), Some(head)) = (reply.answer, &reply.head) {
            self.truth.published(&write, head, sent);
        }
        Ok(reply)
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        let sent = self.clock.now();
        self.truth.candidate(adoption.shard, adoption.to);
        let reply = self.inner.adopt(adoption).await?;
        if let (Some(Adopted::Won), Some(head)) = (reply.answer, &reply.head) {
            self.truth.adopted(adoption.shard, head, sent);
        }
        Ok(reply)
    }

    async fn describe(&self) -> StoreDescription {
        self.inner.describe().await
    }
}
