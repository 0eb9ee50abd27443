//! A release that does not understand some of the events, as while a fleet is being upgraded.
//!
//! It is a fault and no mutant: what a node does with an event that it cannot read is a rule of the protocol.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{
    BusError, BusLink, BusMessage, EventBus, EventId, EventOp, Heads, Inbox, Lane, Replay, Seq, Shard,
    ShardCount,
};

/// One of so many events means nothing to it, whether it is told or read in the log.
const FOREIGN: u64 = 12;

/// A bus as an older release hears it.
pub(super) struct Older(pub(super) Arc<dyn EventBus>);

struct OlderInbox(Arc<dyn Inbox>);

struct OlderLink(Arc<dyn BusLink>);

fn understood(id: EventId, op: EventOp) -> EventOp {
    if id.0.is_multiple_of(FOREIGN) {
        EventOp::Unknown
    } else {
        op
    }
}

#[async_trait]
impl EventBus for Older {
    fn shards(&self) -> ShardCount {
        self.0.shards()
    }

    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError> {
        let link = self.0.subscribe(lane, Arc::new(OlderInbox(inbox))).await?;
        Ok(Arc::new(OlderLink(link)))
    }
}

impl Inbox for OlderInbox {
    fn deliver(&self, message: BusMessage) {
        self.0.deliver(match message {
            BusMessage::Event(mut event) => {
                event.op = understood(event.id, event.op);
                BusMessage::Event(event)
            }
            other => other,
        });
    }
}

#[async_trait]
impl BusLink for OlderLink {
    async fn heads(&self) -> Result<Heads, BusError> {
        self.0.heads().await
    }

    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        let mut replay = self.0.replay(shard, from).await?;
        for entry in &mut replay.entries {
            entry.op = understood(entry.id, std::mem::replace(&mut entry.op, EventOp::Unknown));
        }
        Ok(replay)
    }
}
