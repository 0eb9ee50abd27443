//! Port: how events reach a node, and how it finds out what it has missed.
//!
//! Delivery is not trusted: events may be lost, late, doubled or reordered. The heads and the log are the truth.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Barrier, BusError, CacheKey, EventId, Head, Lane, Lineage, Record, Seq, ServerId, ServerTime, Shard,
    ShardCount,
};

/// The deployment in which an event was published first, by its number: 0 is the deployment itself, on whose servers the
/// event lies.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub struct RegionId(pub u16);

impl RegionId {
    /// The deployment itself.
    pub const HERE: Self = Self(0);
}

/// A key that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedKey {
    /// The key.
    pub key: CacheKey,
    /// Its new record, where it travelled inside the event. The log never keeps it.
    pub record: Option<Record>,
}

/// What an event says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EventOp {
    /// These keys changed, or are gone.
    Changed(Vec<ChangedKey>),
    /// A barrier was raised.
    Raised(Barrier),
    /// Every record of the shard is dead.
    Flushed,
    /// A [`CacheEvent`](crate::CacheEvent), encoded.
    Announced(Arc<[u8]>),
    /// Something a newer release says. Treated as a flush: never ignored.
    Unknown,
}

/// One event as it travels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WireEvent {
    /// The shard it belongs to.
    pub shard: Shard,
    /// The history it belongs to.
    pub lineage: Lineage,
    /// Its number; the new version of the keys it names.
    pub seq: Seq,
    /// Its identity.
    pub id: EventId,
    /// The identity of the event before it.
    pub prev: EventId,
    /// Where it was published first.
    pub origin: RegionId,
    /// What it says.
    pub op: EventOp,
}

/// One entry of a shard's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// Its number.
    pub seq: Seq,
    /// Its identity.
    pub id: EventId,
    /// Where it was published first.
    pub origin: RegionId,
    /// What it says, without values.
    pub op: EventOp,
}

/// What a bus hands to a node's inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BusMessage {
    /// An event.
    Event(WireEvent),
    /// The transport dropped events of this shard and knows it.
    Lagged(Shard),
    /// The subscription has ended; the node must subscribe again.
    Lost,
}

/// A shard's head, with the server that told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadOf {
    /// The shard.
    pub shard: Shard,
    /// The server that answered for it.
    pub server: ServerId,
    /// Its head; `None` when there is none.
    pub head: Option<Head>,
}

/// The heads of all shards of a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heads {
    /// The store's time when it answered.
    pub time: ServerTime,
    /// One for each shard that could be read.
    pub heads: Vec<HeadOf>,
}

/// A piece of a shard's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The server that answered.
    pub server: ServerId,
    /// The shard's head at that instant.
    pub head: Option<Head>,
    /// Entries from the number asked for, in order and without holes. When the first one is later than asked for,
    /// the log has been trimmed.
    pub entries: Vec<LogEntry>,
}

/// Port: where a bus puts what it receives. Must not block; what does not fit is flushed, never dropped in silence.
///
/// ```
/// use cache_core::{BusMessage, Inbox};
/// use std::sync::Mutex;
/// struct Pile(Mutex<Vec<BusMessage>>);
/// impl Inbox for Pile {
///     fn deliver(&self, message: BusMessage) {
///         self.0.lock().unwrap().push(message);
///     }
/// }
/// ```
pub trait Inbox: Send + Sync + 'static {
    /// Takes a message over.
    fn deliver(&self, message: BusMessage);
}

/// Port: the transport of events.
///
/// ```no_run
/// # async fn demo(bus: &dyn cache_core::EventBus, inbox: std::sync::Arc<dyn cache_core::Inbox>) -> Result<(), cache_core::BusError> {
/// use cache_core::Lane;
/// let link = bus.subscribe(Lane::Critical, inbox).await?;
/// let heads = link.heads().await?;
/// println!("{} shards", heads.heads.len());
/// # Ok(()) }
/// ```
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// How many shards a lane of this deployment has. It does not change while the bus is used.
    fn shards(&self) -> ShardCount;

    /// Subscribes to every shard of a lane. Messages flow into `inbox` until the link is dropped.
    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError>;
}

/// Port: one living subscription, and the questions that must be asked over its own connection.
///
/// Asking over the connection that carries the events is the point: an answer proves that this very path works.
#[async_trait]
pub trait BusLink: Send + Sync + 'static {
    /// The heads of all shards of the lane.
    async fn heads(&self) -> Result<Heads, BusError>;

    /// A shard's log from `from` on, that entry included.
    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError>;
}
