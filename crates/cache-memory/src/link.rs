//! A node's end of a subscription, and the questions asked over it.
//!
//! Dropping it ends the subscription; nothing of it outlives it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{BusError, BusLink, ErrorKind, Heads, Replay, Seq, Shard};
use tokio::time::sleep;

use crate::dice::Fate;
use crate::servers::{Servers, locked};
use crate::subscription::Subscription;

/// One living subscription.
pub(crate) struct Link {
    servers: Arc<Servers>,
    subscription: Arc<Subscription>,
}

impl Link {
    pub(crate) fn new(servers: Arc<Servers>, subscription: Arc<Subscription>) -> Self {
        servers.listen(&subscription);
        Self {
            servers,
            subscription,
        }
    }

    /// Asks over the bus's own connection: through its cut, its delays and its losses.
    async fn ask<T>(&self, question: impl Fn(&Servers) -> T + Send) -> Result<T, BusError> {
        let Subscription { wire, connection, .. } = &*self.subscription;
        if wire.is_calm() && wire.condition().connection == *connection {
            return Ok(question(&self.servers));
        }
        let journey = locked(&self.servers.dice).journey();
        wait(journey.out).await;
        self.passable().await?;
        if journey.fate != Fate::Answered {
            wait(journey.timeout).await;
            return Err(BusError::new(ErrorKind::Unavailable, "the server did not answer"));
        }
        let answer = question(&self.servers);
        wait(journey.back).await;
        wire.thawed().await;
        self.passable().await?;
        Ok(answer)
    }

    async fn passable(&self) -> Result<(), BusError> {
        let passable = self.subscription.wire.bus(self.subscription.connection).await;
        passable.map_err(|_| BusError::new(ErrorKind::Unavailable, "the subscription has ended"))
    }
}

#[async_trait]
impl BusLink for Link {
    async fn heads(&self) -> Result<Heads, BusError> {
        let lane = self.subscription.lane;
        self.ask(|servers| servers.heads(lane)).await
    }

    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        self.ask(|servers| servers.replay(shard, from)).await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.servers.leave(&self.subscription);
        self.subscription.close();
    }
}

/// Waits, without troubling the timer for nothing.
pub(crate) async fn wait(span: Duration) {
    if !span.is_zero() {
        sleep(span).await;
    }
}
