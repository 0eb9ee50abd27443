//! The replicas of a master, which may answer reads in its place: who they are, and which of them is well.
//!
//! It judges no answer: how far a replica lags is told by the head it answers with, to whoever asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Entropy, Lane, ReadFrom, ServerId, Shard};
use redis::{Cmd, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::failure::{Effect, Failure};
use crate::line::{Line, pause};
use crate::masters::Master;
use crate::place::Place;
use crate::tier::settled;
use crate::{Address, RedisTier, Settings};

/// How often is asked who the replicas are: how long a new one does nothing, and a cluster tells a replica only once it has
/// heard of its copy. For that, one read waits for one more answer of the master.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// What a replica may take of the response timeout before the master is asked in its place. On a local network it needs a
/// hundredth; the master has its whole timeout left.
const SHARE: u32 = 8;

/// An answer, and whether a replica gave it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) server: ServerId,
    pub(crate) value: Value,
    pub(crate) by_replica: bool,
}

impl RedisTier {
    /// Reads from a replica where any copy will do and one answers at once; else from the master.
    pub(crate) async fn read_from(
        &self,
        from: ReadFrom,
        shard: Shard,
        command: &Cmd,
        what: &str,
    ) -> Result<Told, Failure> {
        if from == ReadFrom::Any
            && let Some((server, value)) = self.ask_replica(shard, command, what).await
        {
            return Ok(Told {
                server,
                value,
                by_replica: true,
            });
        }
        let (server, value) = self.read_command(shard, command, what).await?;
        Ok(Told {
            server,
            value,
            by_replica: false,
        })
    }

    async fn ask_replica(&self, shard: Shard, command: &Cmd, what: &str) -> Option<(ServerId, Value)> {
        self.admitted(shard.lane()).await.ok()?;
        let masters = &self.inner.masters;
        // A map that cannot be looked at is the master's failure to tell.
        let master = masters.of(self.names(shard).slot).await.ok()?;
        let replicas = &master.replicas;
        if replicas.want_a_look() {
            if masters.are_many() {
                // The next to need the map looks at it.
                masters.doubt();
            } else {
                // What hangs here would hang the master's own answer, too.
                let _ = timeout(replicas.patience(), look(&master, shard.lane())).await;
            }
        }
        let replica = replicas.next()?;
        let line = &replica.lines[shard.lane().index()];
        let Some(connection) = line.living() else {
            replicas.connect(&replica, shard.lane());
            return None;
        };
        let asked = connection.request(command, Effect::None, what);
        let failure = match timeout(replicas.patience(), asked).await {
            Ok(answer) => match settled(&connection, answer) {
                Ok(answer) => {
                    replica.is_well();
                    return Some((connection.server(), answer));
                }
                Err(failure) => failure,
            },
            Err(_elapsed) => {
                connection.end();
                Failure::late(Effect::None, what)
            }
        };
        let message = &failure.message;
        tracing::debug!(replica = %replica.address, %message, "a replica does not answer; asking the master");
        replica.rest(&replicas.settings, &replicas.entropy);
        masters.doubt();
        None
    }
}

/// Asks a master who follows it: `ROLE` tells those that are attached at the moment, behind Sentinel as well.
async fn look(master: &Master, lane: Lane) -> Option<()> {
    let connection = master.connection(lane).await.ok()?;
    let mut question = Cmd::new();
    question.arg("ROLE");
    let answer = connection
        .request(&question, Effect::None, "asking for the replicas")
        .await;
    master
        .replicas
        .are(unpack_role(&settled(&connection, answer).ok()?)?);
    Some(())
}

/// The replicas in a master's answer to `ROLE`; `None` for what is no such answer.
fn unpack_role(answer: &Value) -> Option<Vec<Address>> {
    let Value::Array(words) = answer else { return None };
    let [Value::BulkString(role), _offset, Value::Array(replicas)] = &words[..] else {
        return None;
    };
    if role != b"master" {
        return None;
    }
    let address = |replica: &Value| {
        let (host, port, _offset): (String, u16, Value) = redis::from_redis_value_ref(replica).ok()?;
        Some(Address::new(host, port))
    };
    Some(replicas.iter().filter_map(address).collect())
}

/// The replicas of one master.
pub(crate) struct Replicas {
    settings: Arc<Settings>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    turn: AtomicUsize,
    /// Connections that are being made; given up when nobody is left to use them.
    connecting: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    replicas: Vec<Arc<Replica>>,
    looked: Option<Instant>,
}

impl Replicas {
    pub(crate) fn new(settings: Arc<Settings>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            settings,
            entropy,
            state: Mutex::default(),
            turn: AtomicUsize::new(0),
            connecting: Mutex::default(),
        }
    }

    /// These and no others; what was known before keeps its connections and its rest.
    pub(crate) fn are(&self, addresses: Vec<Address>) {
        let mut state = self.locked();
        let known = std::mem::take(&mut state.replicas);
        let replica = |address: Address| {
            let known = known.iter().find(|known| known.address == address);
            known.map_or_else(|| Arc::new(self.replica(address)), Arc::clone)
        };
        state.replicas = addresses.into_iter().map(replica).collect();
    }

    /// Whether it is time to ask for them; true for one who asks, who then does it.
    fn want_a_look(&self) -> bool {
        let mut state = self.locked();
        let wanted = state.looked.is_none_or(|looked| looked.elapsed() >= LOOK_PAUSE);
        if wanted {
            state.looked = Some(Instant::now());
        }
        wanted
    }

    /// The next in turn that does not rest.
    fn next(&self) -> Option<Arc<Replica>> {
        let state = self.locked();
        let (count, turn) = (state.replicas.len(), self.turn.fetch_add(1, Ordering::Relaxed));
        (0..count)
            .map(|step| &state.replicas[turn.wrapping_add(step) % count])
            .find(|replica| replica.may_be_asked(self.patience()))
            .cloned()
    }

    /// Connects to a replica while its master is asked: nobody waits for it.
    fn connect(&self, replica: &Arc<Replica>, lane: Lane) {
        let (settings, entropy) = (Arc::clone(&self.settings), Arc::clone(&self.entropy));
        replica.health().rests_until = Some(Instant::now() + settings.connect_timeout);
        let replica = Arc::clone(replica);
        let mut connecting = self.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        while connecting.try_join_next().is_some() {}
        connecting.spawn(async move {
            match replica.lines[lane.index()].connection().await {
                Ok(_connection) => replica.health().rests_until = None,
                Err(_told_by_the_line) => replica.rest(&settings, &entropy),
            }
        });
    }

    fn patience(&self) -> Duration {
        self.settings.response_timeout / SHARE
    }

    fn replica(&self, address: Address) -> Replica {
        let line = |_| {
            Line::new(
                Place::Replica(address.clone()),
                Arc::clone(&self.settings),
                Arc::default(),
                Arc::clone(&self.entropy),
            )
        };
        Replica {
            lines: Lane::ALL.map(line),
            health: Mutex::default(),
            address,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
struct Replica {
    address: Address,
    lines: [Line; Lane::ALL.len()],
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    /// It is not asked before.
    rests_until: Option<Instant>,
}

impl Replica {
    /// One who asks finds out whether a replica is well again; the others need not wait for it.
    fn may_be_asked(&self, patience: Duration) -> bool {
        let (mut health, now) = (self.health(), Instant::now());
        match health.rests_until {
            None => true,
            Some(until) if now < until => false,
            Some(_over) => {
                health.rests_until = Some(now + patience);
                true
            }
        }
    }

    fn is_well(&self) {
        *self.health() = Health::default();
    }

    fn rest(&self, settings: &Settings, entropy: &Arc<dyn Entropy>) {
        let mut health = self.health();
        let rest = pause(settings, health.failures, entropy.draw());
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(Instant::now() + rest);
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.locked();
        let addresses = state.replicas.iter().map(|replica| &replica.address);
        f.debug_list().entries(addresses).finish()
    }
}

#[cfg(test)]
mod tests {
    use cache_core::SystemEntropy;

    use super::*;

    fn known(ports: &[u16]) -> Replicas {
        let replicas = Replicas::new(
            Arc::new(Settings::at("master", 1)),
            Arc::new(SystemEntropy::new()),
        );
        replicas.are(ports.iter().map(|port| Address::new("replica", *port)).collect());
        replicas
    }

    fn asked(replicas: &Replicas, times: usize) -> Vec<u16> {
        let ports = (0..times).filter_map(|_| replicas.next().map(|replica| replica.address.port));
        ports.collect()
    }

    #[test]
    fn replicas_are_asked_in_turn_and_one_that_rests_is_left_out() {
        let replicas = known(&[1, 2]);
        assert_eq!(asked(&replicas, 4), [1, 2, 1, 2]);
        replicas
            .next()
            .expect("the first")
            .rest(&replicas.settings, &replicas.entropy);
        assert_eq!(asked(&replicas, 3), [2, 2, 2]);
        replicas.are(vec![Address::new("replica", 1), Address::new("replica", 3)]);
        assert_eq!(asked(&replicas, 2), [3, 3], "the first still rests");
    }

    #[tokio::test(start_paused = true)]
    async fn one_finds_out_whether_a_replica_is_well_again_and_the_others_do_not_wait() {
        let replicas = known(&[1]);
        replicas
            .next()
            .expect("it is well")
            .rest(&replicas.settings, &replicas.entropy);
        assert_eq!(asked(&replicas, 1), [0; 0]);
        tokio::time::advance(replicas.settings.first_pause).await;
        assert_eq!(asked(&replicas, 2), [1], "one alone");
        tokio::time::advance(replicas.patience()).await;
        let replica = replicas.next().expect("who asked may have gone away");
        replica.is_well();
        assert_eq!(asked(&replicas, 2), [1, 1]);
    }

    #[test]
    fn the_role_of_a_master_names_those_who_follow_it_and_a_replicas_names_nobody() {
        let text = |text: &str| Value::BulkString(text.into());
        let follower = Value::Array(vec![text("10.0.0.2"), text("6380"), text("129")]);
        let master = Value::Array(vec![
            text("master"),
            Value::Int(129),
            Value::Array(vec![follower]),
        ]);
        assert_eq!(unpack_role(&master), Some(vec![Address::new("10.0.0.2", 6380)]));
        let replica = Value::Array(vec![text("slave"), text("10.0.0.1"), Value::Int(6379)]);
        assert_eq!(unpack_role(&replica), None);
        assert_eq!(unpack_role(&Value::Nil), None);
    }
}
