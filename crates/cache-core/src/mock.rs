//! Mocks of every port (mockall), for tests of code that is built on the ports.
//!
//! Mocks check calls; for a working store without a server use the embedded backend instead.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mockall::mock;

use crate::{
    Adopted, Adoption, Begun, BusError, BusLink, BusMessage, CacheKey, Clock, Codec, CodecError, CodecId,
    Entropy, Entry, EventBus, FillBegun, FillCommitted, FillToken, Finished, Flight, Heads, Inbox, Lane,
    Lineage, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment, NativeFormat, NewRecord, ReadFrom,
    Record, Replacement, Replay, Reply, Seq, Shard, ShardCount, SharedStore, StoreDescription, StoreError,
    Ticket, Write, Written,
};

mock! {
    /// Mock of [`LocalStore`].
    pub LocalStore {}
    impl LocalStore for LocalStore {
        fn read(&self, key: &CacheKey) -> Option<Arc<Entry>>;
        fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun;
        fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished;
        fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool;
        fn clear(&self);
        fn usage(&self) -> LocalUsage;
    }
}

mock! {
    /// Mock of [`LocalStores`].
    pub LocalStores {}
    impl LocalStores for LocalStores {
        fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore>;
    }
}

mock! {
    /// Mock of [`SharedStore`].
    pub SharedStore {}
    #[async_trait]
    impl SharedStore for SharedStore {
        async fn read(&self, shard: Shard, keys: &[CacheKey], from: ReadFrom) -> Result<Reply<Vec<Option<Record>>>, StoreError>;
        async fn begin_fill(&self, shard: Shard, key: &CacheKey, newer_than: Seq, lineage: Lineage, token: FillToken, lease: Duration) -> Result<Reply<FillBegun>, StoreError>;
        async fn commit_fill(&self, shard: Shard, key: &CacheKey, lineage: Lineage, token: FillToken, record: Option<NewRecord>) -> Result<Reply<FillCommitted>, StoreError>;
        async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError>;
        async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError>;
        async fn describe(&self) -> StoreDescription;
    }
}

mock! {
    /// Mock of [`EventBus`].
    pub EventBus {}
    #[async_trait]
    impl EventBus for EventBus {
        fn shards(&self) -> ShardCount;
        async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError>;
    }
}

mock! {
    /// Mock of [`BusLink`].
    pub BusLink {}
    #[async_trait]
    impl BusLink for BusLink {
        async fn heads(&self) -> Result<Heads, BusError>;
        async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError>;
    }
}

mock! {
    /// Mock of [`Inbox`].
    pub Inbox {}
    impl Inbox for Inbox {
        fn deliver(&self, message: BusMessage);
    }
}

mock! {
    /// Mock of [`Clock`].
    pub Clock {}
    impl Clock for Clock {
        fn now(&self) -> Moment;
        fn ceiling(&self, deadline: Moment) -> Moment;
        fn unix_millis(&self) -> u64;
    }
}

mock! {
    /// Mock of [`Entropy`].
    pub Entropy {}
    impl Entropy for Entropy {
        fn draw(&self) -> u64;
    }
}

mock! {
    /// Mock of [`Codec`].
    pub Codec {}
    impl Codec for Codec {
        fn id(&self) -> CodecId;
        fn native(&self) -> Option<NativeFormat>;
        fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError>;
        fn decode<'a>(&self, bytes: &[u8], visit: &mut crate::codec::Visit<'a>) -> Result<(), CodecError>;
    }
}
