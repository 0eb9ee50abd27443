//! What became of a write, and whether a node has caught up with it.
//!
//! A receipt is good on every node of the deployment, and in no other process's favour: it only names what was written.

use std::time::Duration;

use cache_core::{Position, Version};
use event_bus::Reached;
use futures_util::future::join_all;

use crate::CacheError;
use crate::engine::Engine;

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// Every node hears of it within the stated bound.
    Published {
        /// The version it has.
        version: Version,
        /// Where it stands, for [`EdgeCache::caught_up`](crate::EdgeCache::caught_up).
        positions: Positions,
    },
    /// The shared store cannot be reached. This node already behaves as if it had happened; it is published as soon as
    /// possible. A node that shuts down tries for two seconds, and what it still owes then is bounded by the TTL alone.
    Queued,
}

/// Where a write stands: one step of a history, or two, where it concerns both lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Positions {
    pub(crate) first: Position,
    second: Option<Position>,
}

/// Whether a node has caught up with a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum CaughtUp {
    /// It has applied everything up to the write: what it reads from now on is the write's outcome, or newer.
    Applied,
    /// Not within the time given.
    NotYet,
    /// The write belongs to a history that another one has superseded, after a failover for instance: it may be lost. What is
    /// read from now on is loaded anew.
    Superseded,
}

impl Receipt {
    /// The version, once published.
    pub const fn version(&self) -> Option<Version> {
        match self {
            Self::Published { version, .. } => Some(*version),
            Self::Queued => None,
        }
    }

    pub(crate) const fn published(first: Position, second: Option<Position>) -> Self {
        Self::Published {
            version: Version {
                lineage: first.lineage,
                seq: first.seq,
            },
            positions: Positions { first, second },
        }
    }
}

impl Positions {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Position> {
        std::iter::once(self.first).chain(self.second)
    }
}

impl Engine {
    pub(crate) async fn caught_up(&self, receipt: &Receipt, limit: Duration) -> Result<CaughtUp, CacheError> {
        let Receipt::Published { positions, .. } = receipt else {
            return Err(CacheError::rejected(
                "the write was only queued: no node can have caught up with what is not published yet",
            ));
        };
        let reached = positions
            .iter()
            .map(async |at| self.lane(at.shard).reach(&at, limit).await);
        let reached = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(CacheError::Closed),
            reached = join_all(reached) => reached,
        };
        Ok(if reached.contains(&Reached::Superseded) {
            CaughtUp::Superseded
        } else if reached.contains(&Reached::NotYet) {
            CaughtUp::NotYet
        } else {
            CaughtUp::Applied
        })
    }
}
