//! The event bus: for every subscription one connection of its own to each master, which carries its questions too.
//!
//! It never lets go of a single channel: whatever a server takes back ends the connection it came over. A subscription ends
//! with the last of its connections; one that has others left is made whole again.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{
    BusError, BusLink, ErrorKind, EventBus, Heads, Inbox, Lane, Replay, Seq, ServerTime, Shard, ShardCount,
};
use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::{RedisTier, Servers};
use parts::Parts;

mod part;
mod parts;
mod receiver;

#[async_trait]
impl EventBus for RedisTier {
    fn shards(&self) -> ShardCount {
        self.inner.settings.shards
    }

    /// Opens a connection to each master, within the connect timeout, and subscribes to the lane's channels on them. It
    /// succeeds where one master of a cluster can be reached; the shards of the others have no heads until theirs can.
    ///
    /// Dropping the future closes what was opened.
    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError> {
        let parts = Arc::new(Parts::new(self.clone(), lane, inbox));
        parts.mend().await?;
        let mut keeper = JoinSet::new();
        match &self.inner.settings.servers {
            Servers::Cluster(_) => {
                let parts = Arc::clone(&parts);
                keeper.spawn(async move { parts.keep().await });
            }
            Servers::Sentinel(sentinel) => {
                let (parts, sentinel) = (Arc::clone(&parts), sentinel.clone());
                keeper.spawn(async move { parts.watch(&sentinel).await });
            }
            Servers::Single(_) => {}
        }
        Ok(Arc::new(Link {
            parts,
            _keeper: keeper,
        }))
    }
}

/// A subscription. Dropping it closes its connections.
struct Link {
    parts: Arc<Parts>,
    _keeper: JoinSet<()>,
}

#[async_trait]
impl BusLink for Link {
    /// What each master says that answers; the latest time of all, so that no life is believed to be longer than it is.
    async fn heads(&self) -> Result<Heads, BusError> {
        let parts = self.parts.living();
        let answers = join_all(
            parts
                .iter()
                .map(|part| part.heads(self.parts.layout(), self.parts.lane)),
        )
        .await;
        let mut all = Heads {
            time: ServerTime::default(),
            heads: Vec::new(),
        };
        let mut refused = None;
        for (part, answer) in parts.iter().zip(answers) {
            match answer {
                Ok(told) => {
                    all.time = all.time.max(told.time);
                    all.heads.extend(told.heads);
                    for (shard, failure) in told.refused {
                        self.parts.gone(part, shard, &failure);
                        refused = Some(failure);
                    }
                }
                Err(failure) => refused = Some(failure),
            }
        }
        self.parts.wake_if_incomplete();
        if all.heads.is_empty() {
            return Err(refused.unwrap_or_else(|| nobody("reading heads")).into());
        }
        Ok(all)
    }

    /// Head and log of one instant: both are read by one script.
    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        let part = self.parts.of(shard).ok_or_else(|| nobody("reading the log"))?;
        let script = self.parts.replay_script();
        Ok(part.replay(script, self.parts.layout(), shard, from).await?)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.parts.close();
    }
}

fn nobody(what: &str) -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        format!("{what}: no master is subscribed to at the moment"),
    )
}
