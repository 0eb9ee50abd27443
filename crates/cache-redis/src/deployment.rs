//! How many shards a lane of a deployment has: kept in the servers by its first node, and confirmed by every other.
//!
//! Nodes of different counts would look for the same key in different shards and never hear of each other's changes. So nothing else
//! is asked of the servers before the count is confirmed, and the shards of a count that was given up are closed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{ErrorKind, Lane, ShardCount, StoreError};
use futures_util::future::BoxFuture;
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::RedisTier;
use crate::failure::Failure;
use crate::layout::{Layout, Names};
use crate::tier::Route;

/// The format of what is kept: this byte, then the count, two bytes, big-endian.
const FORMAT: u8 = 1;

/// How long a refusal stands before the servers are asked again: what asks of a node that was set up wrongly costs them little.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What is known of the count in the servers.
#[derive(Debug, Default)]
pub(crate) struct Deployment {
    state: Mutex<State>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Unknown,
    /// It is this node's.
    Confirmed,
    /// It is another one.
    Refused(Failure, Instant),
}

/// Whether what is known counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anew {
    IfUnknown,
    Always,
}

/// What changing the count did, as [`RedisTier::reshard`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resharded {
    /// What it was; `None` where there was no deployment.
    pub from: Option<ShardCount>,
    /// What it is.
    pub to: ShardCount,
}

impl Deployment {
    fn known(&self) -> Option<Result<(), Failure>> {
        match &*self.locked() {
            State::Confirmed => Some(Ok(())),
            State::Refused(failure, until) if Instant::now() < *until => Some(Err(failure.clone())),
            State::Refused(..) | State::Unknown => None,
        }
    }

    /// Tells it once, not for every request.
    fn refuse(&self, failure: &Failure) {
        let mut state = self.locked();
        if !matches!(*state, State::Refused(..)) {
            tracing::error!(%failure.message, "this node asks nothing of the servers");
        }
        *state = State::Refused(failure.clone(), Instant::now() + REFUSED_FOR);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a node of this count may take part in a deployment of that one.
fn admitted(prefix: &str, ours: ShardCount, found: ShardCount) -> Result<(), Failure> {
    if ours == found {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Incompatible,
        format!(
            "the deployment {prefix} has {found} shards in each lane, and this node was started for {ours}: set `shards` (of a \
             node, redis.shards) to {found}; or change the deployment to {ours} with `edge-node reshard`, which empties the cache \
             and shuts out the nodes that were started for {found}"
        ),
    ))
}

fn packed(count: ShardCount) -> Vec<u8> {
    [&[FORMAT][..], &count.count().to_be_bytes()].concat()
}

fn unpacked(bytes: &[u8]) -> Option<ShardCount> {
    match *bytes {
        [FORMAT, high, low] => ShardCount::new(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

impl RedisTier {
    /// Makes sure that this node has the deployment's number of shards, which the first node to ask decides. Call it at the start
    /// and stop where it is `Incompatible`; without it, the first request finds out and all are refused.
    ///
    /// Dropping the future is safe: the count may have been decided nevertheless.
    ///
    /// # Errors
    /// `Incompatible` when the deployment has another number: both are named, with the way out. Else when the servers cannot be asked.
    pub async fn join(&self) -> Result<(), StoreError> {
        Ok(self.admitted(Lane::Bulk).await?)
    }

    /// What [`RedisTier::join`] says, asked once of the servers, and a refusal now and then again.
    pub(crate) async fn admitted(&self, lane: Lane) -> Result<(), Failure> {
        match self.inner.deployment.known() {
            Some(known) => known,
            None => self.decide(lane, Anew::IfUnknown).await,
        }
    }

    /// Asks again, whatever is known: the servers may have lost everything, and another node may have been first since.
    pub(crate) async fn admitted_anew(&self, lane: Lane) -> Result<(), Failure> {
        self.decide(lane, Anew::Always).await
    }

    /// Rarely run: in a box, so that every request's future is not larger by it.
    fn decide(&self, lane: Lane, anew: Anew) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let _turn = self.inner.deployment.asking.lock().await;
            match self.inner.deployment.known() {
                Some(known) if anew == Anew::IfUnknown => known,
                _ => self.agree(lane).await,
            }
        })
    }

    async fn agree(&self, lane: Lane) -> Result<(), Failure> {
        let settings = &self.inner.settings;
        let found = match self.kept(lane).await? {
            Some(found) => found,
            None => {
                let mut first = redis::cmd("SET");
                first
                    .arg(&self.inner.layout.deployment.name)
                    .arg(packed(settings.shards))
                    .arg("NX");
                self.ask_deployment(lane, &first).await?;
                self.kept(lane).await?.ok_or_else(|| Failure::corrupt(WHAT))?
            }
        };
        let admitted = admitted(&settings.prefix, settings.shards, found);
        match &admitted {
            Ok(()) => *self.inner.deployment.locked() = State::Confirmed,
            Err(failure) => self.inner.deployment.refuse(failure),
        }
        admitted
    }

    /// The count that is kept.
    async fn kept(&self, lane: Lane) -> Result<Option<ShardCount>, Failure> {
        let mut question = redis::cmd("GET");
        question.arg(&self.inner.layout.deployment.name);
        match self.ask_deployment(lane, &question).await? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => {
                let count = unpacked(&bytes).ok_or_else(|| Failure::corrupt(WHAT))?;
                Ok(Some(count))
            }
            _ => Err(Failure::corrupt(WHAT)),
        }
    }

    async fn ask_deployment(&self, lane: Lane, command: &Cmd) -> Result<Value, Failure> {
        let slot = self.inner.layout.deployment.slot;
        let (_server, answer) = self.read_at(Route { slot, lane }, command, WHAT).await?;
        Ok(answer)
    }

    /// The names of everything the deployment owns now, whatever this node's count; `None` where there is no deployment.
    pub(crate) async fn deployed(&self) -> Result<Option<Layout>, Failure> {
        let settings = &self.inner.settings;
        let count = self.kept(Lane::Bulk).await?;
        Ok(count.map(|count| Layout::new(&settings.prefix, settings.database, count)))
    }

    /// How many shards a lane of the deployment has; `None` where there is no deployment yet.
    ///
    /// # Errors
    /// When the servers cannot be asked.
    pub async fn deployed_shards(&self) -> Result<Option<ShardCount>, StoreError> {
        Ok(self.kept(Lane::Bulk).await?)
    }

    /// Gives the deployment this node's number of shards.
    ///
    /// It empties the cache: every value is loaded anew. Every shard of the old number is closed first, which nodes that run with
    /// it hear at once: they drop what they hold, write nothing more, answer from their sources, and say why, until they are started
    /// with the new number. Only then does the new number stand, so that no node of either serves what one of the other has changed
    /// longer than a lease ago. What is left of the old number ends within a day.
    ///
    /// Dropping the future, or an error, may leave some shards closed: the same call finishes what was begun, and nodes of either
    /// number are refused until then.
    ///
    /// # Errors
    /// When a server cannot be asked; `Rejected` when somebody else changes the number at the same time.
    pub async fn reshard(&self) -> Result<Resharded, StoreError> {
        let (settings, to) = (&self.inner.settings, self.inner.settings.shards);
        let from = self.kept(Lane::Bulk).await?;
        if let Some(from) = from.filter(|from| *from != to) {
            let old = Layout::new(&settings.prefix, settings.database, from);
            for (lane, names) in old.all() {
                self.close(lane, names, to).await?;
            }
        }
        for (lane, names) in self.inner.layout.all() {
            self.reopen(lane, names).await?;
        }
        if from != Some(to) {
            let script = &self.inner.scripts.reshard;
            let keys = [self.inner.layout.deployment.name.clone()];
            let arguments = [from.map(packed).unwrap_or_default(), packed(to)];
            let route = Route {
                slot: self.inner.layout.deployment.slot,
                lane: Lane::Bulk,
            };
            let call = script.by_source(&keys, &arguments);
            match self.read_at(route, &call, WHAT).await? {
                (_, Value::Int(1)) => {}
                _ => {
                    return Err(StoreError::new(
                        ErrorKind::Rejected,
                        "the number of shards was changed by somebody else at the same time: see what it is now, and decide again",
                    ));
                }
            }
        }
        *self.inner.deployment.locked() = State::Unknown;
        Ok(Resharded { from, to })
    }

    /// Closes a shard of the old number, for whoever still has it, and tells its subscribers something that none of them
    /// understands: they drop the shard and look.
    async fn close(&self, lane: Lane, names: &Names, to: ShardCount) -> Result<(), Failure> {
        let route = Route {
            slot: names.slot,
            lane,
        };
        let closed = closed(to);
        let mut head = redis::cmd("SET");
        head.arg(&names.head)
            .arg(&closed[..])
            .arg("EX")
            .arg(CLOSED_FOR.as_secs());
        self.read_at(route, &head, WHAT).await?;
        let mut log = redis::cmd("UNLINK");
        for name in &names.lasting()[1..] {
            log.arg(*name);
        }
        self.read_at(route, &log, WHAT).await?;
        let publishing = self.connection_at(route).await?.publishing;
        let mut word = redis::cmd(publishing.publish());
        word.arg(&names.channel).arg(&closed[..]);
        // Whoever does not hear it finds the closed head with the next heartbeat.
        if let Err(failure) = self.read_at(route, &word, WHAT).await {
            tracing::debug!(%failure.message, "a closed shard could not be announced");
        }
        Ok(())
    }

    /// Removes the closed head of a shard that was given up before.
    async fn reopen(&self, lane: Lane, names: &Names) -> Result<(), Failure> {
        let route = Route {
            slot: names.slot,
            lane,
        };
        let mut head = redis::cmd("GET");
        head.arg(&names.head);
        let (_server, found) = self.read_at(route, &head, WHAT).await?;
        if matches!(&found, Value::BulkString(bytes) if bytes.first() == Some(&CLOSED)) {
            let mut remove = redis::cmd("UNLINK");
            remove.arg(&names.head);
            self.read_at(route, &remove, WHAT).await?;
        }
        Ok(())
    }
}

const WHAT: &str = "asking for the deployment's number of shards";

/// The format of a head that stands for a shard of a number that was given up: every step in it is refused.
pub(crate) const CLOSED: u8 = 0xff;

/// How long a closed shard says so. Afterwards it has no head, and whoever wants to create one asks for the number first.
const CLOSED_FOR: Duration = Duration::from_secs(24 * 3600);

fn closed(to: ShardCount) -> [u8; 3] {
    let [high, low] = to.count().to_be_bytes();
    [CLOSED, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(count: u16) -> ShardCount {
        ShardCount::new(count).expect("a power of two")
    }

    #[test]
    fn a_node_of_another_number_is_refused_with_both_numbers_and_the_way_out() {
        assert!(admitted("market", count(16), count(16)).is_ok());
        let refused = admitted("market", count(16), count(64)).expect_err("another number");
        assert_eq!(refused.kind, ErrorKind::Incompatible);
        for said in [
            "market",
            "64 shards",
            "started for 16",
            "redis.shards",
            "edge-node reshard",
        ] {
            assert!(refused.message.contains(said), "{said}: {}", refused.message);
        }
    }

    #[test]
    fn the_bytes_of_the_number_do_not_change() {
        assert_eq!(packed(count(4096)), [1, 16, 0]);
        assert_eq!(unpacked(&[1, 0, 64]), Some(count(64)));
        for bad in [&[2, 0, 64][..], &[1, 0, 63], &[1, 0], &[1, 0, 64, 0]] {
            assert_eq!(unpacked(bad), None, "{bad:?}");
        }
    }
}
