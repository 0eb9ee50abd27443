//! Which server takes the writes of a shard at the moment, and the lines to it.
//!
//! It sends nothing but questions for the map of slots, and those only when something has shown the map to be outdated.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Entropy, ErrorKind, Lane};
use futures_util::future::select_ok;
use redis::Cmd;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::failure::{Effect, Failure};
use crate::identity::Identities;
use crate::line::Line;
use crate::place::Place;
use crate::replicas::Replicas;
use crate::servers::Servers;
use crate::slots::SlotMap;
use crate::tier::settled;
use crate::{Address, Settings};

/// Shortest time between two questions for the map: what a node may ask of a cluster in trouble, five times a second, and
/// a share of how much later than possible it notices a promotion.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// The servers that take writes.
pub(crate) enum Masters {
    /// The same for all shards.
    One(Arc<Master>),
    /// By slots.
    Many(Box<Cluster>),
}

/// A server that takes writes, and the connections to it for requests.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) place: Place,
    /// One for each lane: what is critical never waits behind bulk bytes.
    lines: [Line; Lane::ALL.len()],
    pub(crate) replicas: Replicas,
}

impl Master {
    pub(crate) async fn connection(&self, lane: Lane) -> Result<Arc<Connection>, Failure> {
        self.lines[lane.index()].connection().await
    }
}

impl Masters {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        identities: &Arc<Identities>,
        entropy: &Arc<dyn Entropy>,
    ) -> Self {
        let lines = Lines {
            settings: Arc::clone(settings),
            identities: Arc::clone(identities),
            entropy: Arc::clone(entropy),
        };
        match &settings.servers {
            Servers::Single(address) => Self::One(lines.to(Place::At(address.clone()))),
            Servers::Sentinel(sentinel) => Self::One(lines.to(Place::Watched(Arc::new(sentinel.clone())))),
            Servers::Cluster(seeds) => Self::Many(Box::new(Cluster {
                lines,
                seeds: seeds.clone(),
                state: Mutex::default(),
                looking: tokio::sync::Mutex::default(),
            })),
        }
    }

    /// Whether slots may have different masters.
    pub(crate) const fn are_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// The master of a slot. Looks for it first where the map is unknown, or in doubt and not just looked at.
    pub(crate) async fn of(&self, slot: u16) -> Result<Arc<Master>, Failure> {
        match self {
            Self::One(master) => Ok(Arc::clone(master)),
            Self::Many(cluster) => {
                cluster.look_if_in_doubt().await?;
                cluster.of(slot)
            }
        }
    }

    /// All of them.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Master>>, Failure> {
        match self {
            Self::One(master) => Ok(vec![Arc::clone(master)]),
            Self::Many(cluster) => {
                cluster.look_if_in_doubt().await?;
                Ok(cluster.all())
            }
        }
    }

    /// Something has shown that the map may be outdated: the next to need it looks again.
    pub(crate) fn doubt(&self) {
        if let Self::Many(cluster) = self {
            cluster.locked().doubted = true;
        }
    }

    /// A server has said where a slot is, and with it that the map is outdated.
    pub(crate) fn moved(&self, slot: u16, to: Address) {
        if let Self::Many(cluster) = self {
            let mut state = cluster.locked();
            state.doubted = true;
            if let Some(map) = &mut state.map {
                map.moved(slot, to);
            }
        }
    }

    /// The one master was replaced by the server at this address: a connection to another is not used again.
    pub(crate) fn leave_all_but(&self, address: &Address, lane: Lane) {
        if let Self::One(master) = self
            && let Some(connection) = master.lines[lane.index()].living()
            && connection.address != *address
        {
            connection.end();
        }
    }

    /// The server at an address that a server of the cluster has told.
    pub(crate) fn at(&self, address: &Address) -> Arc<Master> {
        match self {
            Self::One(master) => Arc::clone(master),
            Self::Many(cluster) => cluster.at(address),
        }
    }
}

/// Makes lines.
struct Lines {
    settings: Arc<Settings>,
    identities: Arc<Identities>,
    entropy: Arc<dyn Entropy>,
}

impl Lines {
    fn to(&self, place: Place) -> Arc<Master> {
        let line = |_| {
            Line::new(
                place.clone(),
                Arc::clone(&self.settings),
                Arc::clone(&self.identities),
                Arc::clone(&self.entropy),
            )
        };
        Arc::new(Master {
            lines: Lane::ALL.map(line),
            replicas: Replicas::new(Arc::clone(&self.settings), Arc::clone(&self.entropy)),
            place,
        })
    }
}

/// The masters of a cluster.
pub(crate) struct Cluster {
    lines: Lines,
    seeds: Vec<Address>,
    state: Mutex<State>,
    /// Held by the one who looks.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    map: Option<SlotMap>,
    doubted: bool,
    looked: Option<Instant>,
    masters: HashMap<Address, Arc<Master>>,
}

impl State {
    fn wants_a_look(&self) -> bool {
        let rested = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_PAUSE);
        rested && (self.doubted || self.map.is_none())
    }
}

impl Cluster {
    fn of(&self, slot: u16) -> Result<Arc<Master>, Failure> {
        let mut state = self.locked();
        let owner = state.map.as_ref().and_then(|map| map.owner(slot)).cloned();
        match owner {
            Some(address) => Ok(self.master(&mut state, &address)),
            None => {
                state.doubted = true;
                let message = format!("no master of the cluster is known to have slot {slot}");
                Err(Failure::new(ErrorKind::Unavailable, message))
            }
        }
    }

    fn all(&self) -> Vec<Arc<Master>> {
        let mut state = self.locked();
        let masters: Vec<_> = state
            .map
            .iter()
            .flat_map(|map| map.masters().into_iter().cloned())
            .collect();
        masters
            .iter()
            .map(|address| self.master(&mut state, address))
            .collect()
    }

    fn at(&self, address: &Address) -> Arc<Master> {
        self.master(&mut self.locked(), address)
    }

    fn master(&self, state: &mut State, address: &Address) -> Arc<Master> {
        let new = || self.lines.to(Place::At(address.clone()));
        Arc::clone(state.masters.entry(address.clone()).or_insert_with(new))
    }

    /// One looks; without any map, the others wait for it, else they go on with what is known.
    async fn look_if_in_doubt(&self) -> Result<(), Failure> {
        let (wanted, blind) = {
            let state = self.locked();
            (state.wants_a_look(), state.map.is_none())
        };
        if !wanted {
            return Ok(());
        }
        let _turn = match self.looking.try_lock() {
            Ok(turn) => turn,
            Err(_somebody_looks) if blind => self.looking.lock().await,
            Err(_somebody_looks) => return Ok(()),
        };
        if !self.locked().wants_a_look() {
            return Ok(());
        }
        let looked = self.look().await;
        let mut state = self.locked();
        state.looked = Some(Instant::now());
        match looked {
            Ok(map) => {
                let masters = map.masters();
                state
                    .masters
                    .retain(|address, _| masters.contains(address) || self.seeds.contains(address));
                for address in map.masters() {
                    let replicas = map.replicas(address);
                    self.master(&mut state, address).replicas.are(replicas);
                }
                state.map = Some(map);
                state.doubted = false;
                Ok(())
            }
            Err(failure) => {
                tracing::debug!(%failure.message, "cannot look at the map of slots; will try again");
                if blind { Err(failure) } else { Ok(()) }
            }
        }
    }

    /// What the first server to answer knows: a known master, or one of those that the settings name.
    async fn look(&self) -> Result<SlotMap, Failure> {
        let mut servers = self.all();
        servers.extend(self.seeds.iter().map(|seed| self.at(seed)));
        let ask = |master: Arc<Master>| Box::pin(ask_for_map(master));
        select_ok(servers.into_iter().map(ask)).await.map(|(map, _)| map)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_for_map(master: Arc<Master>) -> Result<SlotMap, Failure> {
    let what = format!("asking {} for the map of slots", master.place);
    let connection = master.connection(Lane::Bulk).await?;
    let mut question = Cmd::new();
    question.arg("CLUSTER").arg("SLOTS");
    let answer = connection.request(&question, Effect::None, &what).await;
    let answer = settled(&connection, answer)?;
    SlotMap::unpack(&answer, &connection.address).ok_or_else(|| {
        let message = format!("{what}: it knows no master of any slot");
        Failure::new(ErrorKind::Unavailable, message)
    })
}
