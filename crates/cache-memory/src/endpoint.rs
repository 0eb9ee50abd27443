//! A node's connections to the hub: the shared store and the event bus, as this node sees them.
//!
//! It holds no cache and retries nothing; a fault is reported to the caller as the port's contract says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Adopted, Adoption, BusError, BusLink, CacheKey, ErrorKind, EventBus, FillBegun, FillCommitted, FillToken,
    Inbox, Lane, Lineage, NewRecord, NodeId, Op, ReadFrom, Record, Reply, Seq, Shard, ShardCount,
    SharedStore, StoreDescription, StoreError, Write, Written,
};

use crate::dice::Fate;
use crate::link::{Link, wait};
use crate::servers::{Servers, locked};
use crate::subscription::Subscription;
use crate::wire::Wire;

/// One node's view of the hub: both ports, over a simulated wire of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_core::BusError> {
/// use cache_core::{BusMessage, EventBus, Inbox, Lane};
/// use cache_memory::Hub;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Pile(Mutex<Vec<BusMessage>>);
/// impl Inbox for Pile {
///     fn deliver(&self, message: BusMessage) {
///         self.0.lock().unwrap().push(message);
///     }
/// }
///
/// let hub = Hub::builder().build();
/// let node = hub.endpoint("node-1");
/// let inbox = Arc::new(Pile::default());
/// let link = node.subscribe(Lane::Critical, inbox.clone()).await?;
/// assert_eq!(link.heads().await?.heads.len(), 65);
///
/// hub.disconnect("node-1");
/// assert_eq!(*inbox.0.lock().unwrap(), [BusMessage::Lost]);
/// assert!(link.heads().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Endpoint {
    servers: Arc<Servers>,
    wire: Arc<Wire>,
}

impl Endpoint {
    pub(crate) const fn new(servers: Arc<Servers>, wire: Arc<Wire>) -> Self {
        Self { servers, wire }
    }

    /// The node's name.
    pub fn node(&self) -> &NodeId {
        &self.wire.node
    }

    /// Runs a request over the wire: at once when it is calm, else through its cut, its delays and its losses.
    /// `if_lost` is what a missing reply means for this request. One that its caller has given up still arrives.
    async fn request<T: Send + 'static>(
        &self,
        if_lost: ErrorKind,
        run: impl FnOnce(&Servers) -> Reply<T> + Send + 'static,
    ) -> Result<Reply<T>, StoreError> {
        if self.wire.is_calm() {
            return Ok(self.known(run(&self.servers)));
        }
        let asked = self.wire.told.now();
        let journey = locked(&self.servers.dice).journey();
        let (servers, wire) = (Arc::downgrade(&self.servers), Arc::clone(&self.wire));
        let travels = async move {
            if wire.is_data_cut() {
                wait(journey.timeout).await;
                return Err(StoreError::new(
                    ErrorKind::Unavailable,
                    "no connection to the server",
                ));
            }
            let answer = match journey.fate {
                Fate::RequestLost => None,
                Fate::Answered | Fate::ReplyLost => {
                    wire.sendable().await;
                    wait(journey.out).await;
                    servers.upgrade().map(|servers| run(&servers))
                }
            };
            wait(journey.back).await;
            wire.thawed().await;
            match answer {
                Some(answer) if journey.fate == Fate::Answered && !wire.is_data_cut() => Ok(answer),
                _ => {
                    wait(journey.timeout).await;
                    Err(StoreError::new(if_lost, "the server did not answer"))
                }
            }
        };
        let gone = || Err(StoreError::new(if_lost, "the servers are gone"));
        let reply = self.servers.carry(travels).await.unwrap_or_else(gone)?;
        if self.servers.was_called(asked) && self.wire.told.now() != asked {
            // It may be of before or of after: there is no telling which history it belongs to.
            return Err(StoreError::new(if_lost, "the servers got another name meanwhile"));
        }
        Ok(self.known(reply))
    }

    /// The reply of whom this node takes the servers for.
    fn known<T>(&self, reply: Reply<T>) -> Reply<T> {
        Reply {
            server: self.servers.known_as(&self.wire.told),
            ..reply
        }
    }
}

#[async_trait]
impl SharedStore for Endpoint {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        if self.wire.is_calm() {
            return Ok(self.known(self.servers.read(shard, keys)));
        }
        let keys = keys.to_vec();
        let behind = match from {
            ReadFrom::Any if !shard.holds_barriers() => locked(&self.servers.dice).lag(),
            ReadFrom::Any | ReadFrom::Primary => None,
        };
        self.request(ErrorKind::Unavailable, move |servers| match behind {
            Some(steps) => servers.read_behind(shard, &keys, steps),
            None => servers.read(shard, &keys),
        })
        .await
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
        let key = key.clone();
        self.request(ErrorKind::Uncertain, move |servers| {
            servers.begin_fill(shard, &key, newer_than, lineage, token, lease)
        })
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
        record.as_ref().map_or(Ok(()), lives)?;
        let key = key.clone();
        self.request(ErrorKind::Uncertain, move |servers| {
            servers.commit_fill(shard, &key, lineage, token, record.as_ref())
        })
        .await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        acceptable(&write)?;
        self.request(ErrorKind::Uncertain, move |servers| servers.write(&write))
            .await
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        self.request(ErrorKind::Uncertain, move |servers| servers.adopt(&adoption))
            .await
    }

    async fn describe(&self) -> StoreDescription {
        StoreDescription {
            backend: "embedded",
            connected: !self.wire.is_data_cut(),
            used_bytes: Some(self.servers.used_bytes()),
            max_bytes: None,
        }
    }
}

#[async_trait]
impl EventBus for Endpoint {
    fn shards(&self) -> ShardCount {
        self.servers.count
    }

    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError> {
        let connection = self.wire.connect().await;
        self.wire.thawed().await;
        let wire = Arc::clone(&self.wire);
        let subscription = Subscription::new(lane, wire, connection, inbox);
        Ok(Arc::new(Link::new(Arc::clone(&self.servers), subscription)))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("node", self.node())
            .finish_non_exhaustive()
    }
}

/// Refuses what a server's script would refuse whatever its state.
fn acceptable(write: &Write) -> Result<(), StoreError> {
    match &write.op {
        Op::Change(changes) => changes
            .iter()
            .filter_map(|change| change.record.as_ref())
            .try_for_each(lives),
        Op::Raise(barrier) if !write.shard.holds_barriers() => Err(StoreError::new(
            ErrorKind::Rejected,
            format!(
                "{barrier:?} was raised in shard {}, which holds keys",
                write.shard
            ),
        )),
        Op::Raise(_) | Op::Flush | Op::Announce(_) => Ok(()),
    }
}

fn lives(record: &NewRecord) -> Result<(), StoreError> {
    if record.ttl < SHORTEST_LIFE {
        return Err(StoreError::new(
            ErrorKind::Rejected,
            "a record must live for at least a millisecond",
        ));
    }
    Ok(())
}

/// The grain of the servers' clock: anything shorter would be zero.
const SHORTEST_LIFE: Duration = Duration::from_millis(1);
