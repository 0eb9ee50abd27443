//! Port: the store that all nodes share (L2). Values, versions, leases and the log live here.
//!
//! It moves bytes. What they mean, and what to do when a reply shows another history, is the engine's concern.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Barrier, CacheKey, EventId, Head, Lineage, Propagation, Seq, ServerId, ServerTime, Shard, StoreError,
};

/// A live record: its version is above the shard's floor and it has not expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The version of the key.
    pub version: Seq,
    /// When it ends, by the store's clock.
    pub expires: ServerTime,
    /// The sealed envelope.
    pub body: Arc<[u8]>,
}

/// A record to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRecord {
    /// The sealed envelope.
    pub body: Arc<[u8]>,
    /// Its life. Zero is refused: records always end.
    pub ttl: Duration,
}

/// Which copy of the store may answer a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFrom {
    /// Any copy, possibly a lagging one. The head in the reply tells how far it is.
    Any,
    /// The copy that takes writes.
    Primary,
}

/// Every answer: who gave it, where the shard's history stood, and what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply<T> {
    /// The server that answered.
    pub server: ServerId,
    /// The shard's head at the instant of the answer; `None` when the shard has none (new, or wiped).
    pub head: Option<Head>,
    /// The answer; `None` when it was refused because the lineage is another one or there is no head.
    pub answer: Option<T>,
}

/// Identifies one node's right to fill one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FillToken(pub u64);

/// Answer to [`SharedStore::begin_fill`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FillBegun {
    /// Somebody has filled it meanwhile.
    Found(Record),
    /// The caller may load, and has the lease until it commits, somebody writes, or the lease's time is up.
    Lease,
    /// Another node is loading; its lease ends after this time.
    Wait(Duration),
}

/// Answer to [`SharedStore::commit_fill`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FillCommitted {
    /// The record stands, with this version.
    Stored(Record),
    /// The lease was released and nothing stored, as asked.
    Released,
    /// The lease was gone: a write or an invalidation won, or the time was up.
    Rejected,
}

/// What a change expects to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Anything.
    Any,
    /// Exactly this version; [`Seq::ZERO`] for "no live record".
    Version(Seq),
}

/// One key of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The key.
    pub key: CacheKey,
    /// The new record, or `None` to delete it.
    pub record: Option<NewRecord>,
    /// The version it must have for the write to happen. One mismatch refuses the whole write.
    pub expect: Expect,
    /// What the event tells the other nodes.
    pub propagation: Propagation,
}

/// What a write does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sets and deletes keys of the shard: all or nothing, one event.
    Change(Vec<Change>),
    /// Raises a barrier. Only for barrier shards, which keep the newest [`BARRIERS_KEPT`](crate::BARRIERS_KEPT) of each kind.
    Raise(Barrier),
    /// Kills every record of the shard that stands before this step, and every fill lease: the floor becomes the number
    /// before the flush's own, so that what is filled right after it lives.
    Flush,
    /// Carries a [`CacheEvent`](crate::CacheEvent), encoded, to every node. Kept in the log.
    Announce(Arc<[u8]>),
}

/// One step of a shard's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The shard.
    pub shard: Shard,
    /// The history the writer believes in; another one refuses the write.
    pub lineage: Lineage,
    /// The event's identity, drawn by the writer. A retry draws a new one.
    pub id: EventId,
    /// What to do.
    pub op: Op,
}

/// Answer to [`SharedStore::write`]. The reply's head is the write's own: `head.seq` is the new version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// Done and published.
    Done,
    /// An expected version did not match; nothing was written.
    Conflict {
        /// The version found, [`Seq::ZERO`] for none.
        found: Seq,
    },
}

/// Starts a new lineage of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adoption {
    /// The shard.
    pub shard: Shard,
    /// The lineage to supersede; `None` to create the shard's first head. Compared, then set.
    pub from: Option<Lineage>,
    /// The new lineage.
    pub to: Lineage,
    /// The highest sequence number the adopter knows of; numbers up to it are never issued again.
    pub hint: Seq,
    /// The identity of the event that tells the others.
    pub id: EventId,
}

/// Answer to [`SharedStore::adopt`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adopted {
    /// This caller won: every record and every fill lease that stood before is dead.
    Won,
    /// The head has another lineage than `from`, or there is one already: somebody else won.
    Lost,
}

/// What a store says about itself, for health pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreDescription {
    /// The kind of store: `embedded`, `redis`.
    pub backend: &'static str,
    /// Whether it can be reached.
    pub connected: bool,
    /// Bytes it uses, where known.
    pub used_bytes: Option<u64>,
    /// Bytes it may use, where limited.
    pub max_bytes: Option<u64>,
}

/// Port: the store that all nodes share.
///
/// Every call is atomic within its shard. Dropping a future leaves the request possibly executed, as a lost reply
/// would. Errors of kind `Unavailable` mean that nothing happened, `Uncertain` that it may have.
///
/// ```no_run
/// # async fn demo(store: &dyn cache_core::SharedStore, key: cache_core::Key<u32>) -> Result<(), cache_core::StoreError> {
/// use cache_core::{ReadFrom, ShardCount};
/// let reply = store.read(key.shard(ShardCount::DEFAULT), &[key.raw().clone()], ReadFrom::Any).await?;
/// if let (Some(head), Some(records)) = (reply.head, reply.answer) {
///     println!("as of {}: {:?}", head.seq, records[0]);
/// }
/// # Ok(()) }
/// ```
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// The live records of some keys of one shard, in the order asked, with the head they are current as of.
    ///
    /// A barrier shard has barriers in the place of records, and answers for each one's key when it was raised: as the
    /// version of a record without a body, or `None` for one that never was, and never too low a number. What it no longer
    /// keeps counts as raised with the newest that it gave up; where what it kept was lost, all of it counts as raised at
    /// the head that stands then. They are asked of the copy that takes writes, whatever `from` says.
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError>;

    /// Asks for the right to fill a key, for at most `lease`.
    ///
    /// A record of version `newer_than` or older counts as missing: the caller has read it and found it dead, by a
    /// barrier or by its age. [`Seq::ZERO`] for none.
    async fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Result<Reply<FillBegun>, StoreError>;

    /// Stores a filled record while the token is still there, or with `None` gives the token back.
    /// A fill is not a write: no event, no new sequence number; the version is the head's.
    async fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<NewRecord>,
    ) -> Result<Reply<FillCommitted>, StoreError>;

    /// Takes one step of a shard's history and publishes it.
    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError>;

    /// Starts a new lineage, if the old one is still the one named. The reply's head is the one that stands afterwards.
    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError>;

    /// What the store says about itself. Never waits long; what is not known is `None`.
    async fn describe(&self) -> StoreDescription;
}
