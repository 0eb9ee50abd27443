//! A node's end of a subscription, and the questions asked over it.
//!
//! Dropping it ends the subscription; nothing of it outlives it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{BusError, BusLink, ErrorKind, Heads, Replay, Seq, Shard};
use tokio::time::sleep;

use crate::dice::Fate;
use crate::identity::Told;
use crate::servers::{Servers, locked};
use crate::subscription::Subscription;
use crate::wire::Wire;

/// One living subscription.
pub(crate) struct Link {
    servers: Arc<Servers>,
    subscription: Arc<Subscription>,
    told: Arc<Told>,
}

impl Link {
    pub(crate) fn new(servers: Arc<Servers>, subscription: Arc<Subscription>) -> Self {
        servers.listen(&subscription);
        let told = match servers.identities_apart {
            true => Arc::default(),
            false => Arc::clone(&subscription.wire.told),
        };
        servers.tell(&told);
        Self {
            servers,
            subscription,
            told,
        }
    }

    /// Asks over the bus's own connection: through its cut, its delays and its losses.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Servers) -> T + Send + 'static,
    ) -> Result<T, BusError> {
        let (wire, connection) = (Arc::clone(&self.subscription.wire), self.subscription.connection);
        if wire.is_calm() && wire.condition().connection == connection {
            return Ok(question(&self.servers));
        }
        let journey = locked(&self.servers.dice).journey();
        let servers = Arc::downgrade(&self.servers);
        let travels = async move {
            wire.sendable().await;
            wait(journey.out).await;
            passable(&wire, connection).await?;
            if journey.fate != Fate::Answered {
                wait(journey.timeout).await;
                return Err(unavailable("the server did not answer"));
            }
            let answer = servers.upgrade().map(|servers| question(&servers));
            wait(journey.back).await;
            wire.thawed().await;
            passable(&wire, connection).await?;
            answer.ok_or_else(|| unavailable("the servers are gone"))
        };
        let gone = || Err(unavailable("the servers are gone"));
        self.servers.carry(travels).await.unwrap_or_else(gone)
    }
}

async fn passable(wire: &Wire, connection: u64) -> Result<(), BusError> {
    let passable = wire.bus(connection).await;
    passable.map_err(|_| unavailable("the subscription has ended"))
}

fn unavailable(why: &'static str) -> BusError {
    BusError::new(ErrorKind::Unavailable, why)
}

#[async_trait]
impl BusLink for Link {
    async fn heads(&self) -> Result<Heads, BusError> {
        let lane = self.subscription.lane;
        let told = Arc::clone(&self.told);
        self.ask(move |servers| {
            let mut heads = servers.heads(lane);
            let server = match servers.identities_apart {
                true => servers.known_as(&told),
                false => servers.tell(&told),
            };
            heads.heads.iter_mut().for_each(|of| of.server = server);
            heads
        })
        .await
    }

    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        let (told, asked) = (Arc::clone(&self.told), self.told.now());
        let replay = self
            .ask(move |servers| {
                let server = servers.known_as(&told);
                Replay {
                    server,
                    ..servers.replay(shard, from)
                }
            })
            .await?;
        match self.servers.was_called(asked) && self.told.now() != asked {
            true => Err(unavailable("the servers got another name meanwhile")),
            false => Ok(replay),
        }
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
