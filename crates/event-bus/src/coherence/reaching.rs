//! Waiting until a step of a shard's history has been taken here.
//!
//! Whether it has is the follower's decision.

use std::time::Duration;

use cache_core::Position;

use super::Coherence;
use crate::follower::{Effect, Reached};

impl Coherence {
    /// Waits until everything up to this step has been applied, its history has been superseded, or `limit` has passed; tells
    /// which it was. The heads are asked for once, so that an event that was lost is missed now and not at the next heartbeat.
    /// Cancel-safe.
    pub async fn reach(&self, at: &Position, limit: Duration) -> Reached {
        if at.shard.index() >= self.shards.len() {
            // Of a deployment with more shards: nothing of it will ever come here.
            return Reached::Superseded;
        }
        let mut reached = self.follower(at.shard).reached(at);
        if reached != Reached::NotYet {
            return reached;
        }
        self.delegate(at.shard, vec![Effect::Ask]);
        let wait = async {
            loop {
                let moved = self.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                reached = self.follower(at.shard).reached(at);
                if reached != Reached::NotYet {
                    return;
                }
                moved.await;
            }
        };
        // What was reached until then is the answer.
        let _ = tokio::time::timeout(limit, wait).await;
        reached
    }
}
