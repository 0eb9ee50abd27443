//! The shared tier on Redis servers: the entry of this crate.
//!
//! It holds no cache and judges no history: it moves what the ports name to the server and back.

use std::fmt;
use std::sync::Arc;

use cache_core::{Clock, Entropy, ErrorKind, Lane, ServerId, Shard, SystemClock, SystemEntropy};
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::deployment::Deployment;
use crate::failure::{Effect, Failure, Redirect};
use crate::gathering::Gatherings;
use crate::identity::Identities;
use crate::layout::{Layout, Names};
use crate::masters::Masters;
use crate::script::{Script, Scripts};
use crate::{Settings, SettingsError};

/// The shared store and the event bus of all nodes, on Redis servers. Cheap to clone; all clones share connections.
///
/// Making one connects to nothing, so that a node starts while its servers are down. Connections are made by the first
/// requests, one for each lane and master (or replica, where they are read from), and made anew when they end. Nothing runs in the background but those
/// connections; the last clone ends them when it is dropped, and links of [`EventBus`](cache_core::EventBus) end their own,
/// and with them the task that keeps a link to a cluster whole.
///
/// In a cluster, a request goes where the servers lead it (`MOVED`, `ASK`, `TRYAGAIN`), within the response timeout
/// counted from its first sending.
///
/// Must be used within a tokio runtime with its timer and its network enabled.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cache_core::{Lane, ReadFrom, Shard, SharedStore};
/// use cache_redis::{RedisTier, Settings};
///
/// let tier = RedisTier::new(Settings::from_url("redis://127.0.0.1:6379")?.with_prefix("market"))?;
/// for finding in tier.check().await?.findings() {
///     eprintln!("{finding}");
/// }
/// let reply = tier.read(Shard::barriers(Lane::Bulk), &[], ReadFrom::Primary).await?;
/// println!("{:?}", reply.head);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisTier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Arc<Settings>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) scripts: Scripts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) gatherings: [Gatherings; Lane::ALL.len()],
    pub(crate) masters: Masters,
    pub(crate) deployment: Deployment,
    pub(crate) identities: Arc<Identities>,
}

impl RedisTier {
    /// A tier on these servers, with the system's clock and randomness.
    ///
    /// # Errors
    /// When settings are wrong; all of them are named at once.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Self::with(
            settings,
            Arc::new(SystemClock::new()),
            Arc::new(SystemEntropy::new()),
        )
    }

    /// A tier with a given clock, which is only compared with the server's for the report of [`RedisTier::check`], and
    /// given randomness, which spreads the pauses between attempts to connect.
    ///
    /// # Errors
    /// When settings are wrong; all of them are named at once.
    pub fn with(
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let settings = Arc::new(settings);
        let identities = Arc::default();
        Ok(Self {
            inner: Arc::new(Inner {
                layout: Arc::new(Layout::new(&settings.prefix, settings.database, settings.shards)),
                scripts: Scripts::new(),
                masters: Masters::new(&settings, &identities, &entropy),
                deployment: Deployment::default(),
                clock,
                entropy,
                gatherings: Default::default(),
                identities,
                settings,
            }),
        })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn names(&self, shard: Shard) -> &Names {
        self.inner.layout.of(shard)
    }

    fn route(&self, shard: Shard) -> Route {
        Route {
            slot: self.names(shard).slot,
            lane: shard.lane(),
        }
    }

    /// A connection to the master of a shard, once this node is admitted to the deployment.
    pub(crate) async fn connection(&self, shard: Shard) -> Result<Arc<Connection>, Failure> {
        self.admitted(shard.lane()).await?;
        self.connection_at(self.route(shard)).await
    }

    /// A connection to the master of a slot. One that cannot be reached may have been replaced: then its successor is tried at
    /// once.
    pub(crate) async fn connection_at(&self, route: Route) -> Result<Arc<Connection>, Failure> {
        let (masters, Route { slot, lane }) = (&self.inner.masters, route);
        let master = masters.of(slot).await?;
        match master.connection(lane).await {
            Err(_) if masters.are_many() => {
                masters.doubt();
                masters.of(slot).await?.connection(lane).await
            }
            answer => answer,
        }
    }

    /// Reads, or does what may be done twice. An ended connection is found by the first to use it, so that a command is sent
    /// a second time, at most.
    pub(crate) async fn read_command(
        &self,
        shard: Shard,
        command: &Cmd,
        what: &str,
    ) -> Result<(ServerId, Value), Failure> {
        self.admitted(shard.lane()).await?;
        self.read_at(self.route(shard), command, what).await
    }

    /// The same of a slot, admitted or not.
    pub(crate) async fn read_at(
        &self,
        route: Route,
        command: &Cmd,
        what: &str,
    ) -> Result<(ServerId, Value), Failure> {
        let request = Request::Read(command);
        match self
            .follow(route, self.connection_at(route).await?, &request, what)
            .await
        {
            Err(failure) if failure.is_broken_connection() => {
                self.follow(route, self.connection_at(route).await?, &request, what)
                    .await
            }
            answer => answer,
        }
    }

    /// Runs a script, once: what may have happened is not asked for again.
    pub(crate) async fn run(
        &self,
        shard: Shard,
        connection: Arc<Connection>,
        script: &Script,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
        what: &str,
    ) -> Result<(ServerId, Vec<u8>), Failure> {
        let call = Request::Script {
            script,
            keys,
            arguments,
        };
        match self.follow(self.route(shard), connection, &call, what).await? {
            (server, Value::BulkString(bytes)) => Ok((server, bytes)),
            _ => Err(Failure::corrupt(what)),
        }
    }

    /// Sends a request and follows where its answers lead. They do so before anything is done, so that nothing happens
    /// twice.
    async fn follow(
        &self,
        route: Route,
        mut connection: Arc<Connection>,
        request: &Request<'_>,
        what: &str,
    ) -> Result<(ServerId, Value), Failure> {
        let (inner, Route { slot, lane }) = (&self.inner, route);
        let deadline = Instant::now() + inner.settings.response_timeout;
        let mut manner = Manner::Usual;
        loop {
            let asked = connection.server();
            let answer = request.send(&connection, manner, what).await;
            let failure = match settled(&connection, answer) {
                Ok(answer) => match connection.still(asked, request.effect(), what) {
                    Ok(server) => return Ok((server, answer)),
                    Err(renamed) if renamed.kind == ErrorKind::Unavailable && Instant::now() < deadline => {
                        continue;
                    }
                    Err(renamed) => return Err(renamed),
                },
                Err(failure) => failure,
            };
            let redirect = failure.redirect(&connection.address);
            if redirect.is_none() || Instant::now() >= deadline {
                if failure.kind != ErrorKind::Rejected {
                    inner.masters.doubt();
                }
                return Err(failure);
            }
            (connection, manner) = match redirect {
                Some(Redirect::Moved(to)) => {
                    inner.masters.moved(slot, to.clone());
                    (inner.masters.at(&to).connection(lane).await?, Manner::Usual)
                }
                Some(Redirect::Ask(to)) => (inner.masters.at(&to).connection(lane).await?, Manner::Asking),
                Some(Redirect::Later) | None => {
                    sleep(inner.settings.first_pause).await;
                    (self.connection_at(route).await?, Manner::Usual)
                }
            };
        }
    }
}

/// Where a request goes: to the master of a slot, on the connection of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) slot: u16,
    pub(crate) lane: Lane,
}

/// What is sent to the master of a shard.
enum Request<'r> {
    Read(&'r Cmd),
    Script {
        script: &'r Script,
        keys: &'r [Vec<u8>],
        arguments: &'r [Vec<u8>],
    },
}

/// How it is sent.
#[derive(Clone, Copy)]
enum Manner {
    Usual,
    /// To a server that takes it only since it is being given the slot.
    Asking,
}

impl Request<'_> {
    const fn effect(&self) -> Effect {
        match self {
            Self::Read(_) => Effect::None,
            Self::Script { .. } => Effect::Some,
        }
    }

    async fn send(&self, connection: &Connection, manner: Manner, what: &str) -> Result<Value, Failure> {
        match self {
            Self::Read(command) => manner.send(connection, command, Effect::None, what).await,
            Self::Script {
                script,
                keys,
                arguments,
            } => {
                let by_digest = script.by_digest(keys, arguments);
                let answer = manner.send(connection, &by_digest, Effect::Some, what).await;
                // Servers forget scripts with a restart, a failover, SCRIPT FLUSH; this one has done nothing yet.
                if !answer.as_ref().is_err_and(Failure::is_unknown_script) {
                    return answer;
                }
                let by_source = script.by_source(keys, arguments);
                manner.send(connection, &by_source, Effect::Some, what).await
            }
        }
    }
}

impl Manner {
    async fn send(
        self,
        connection: &Connection,
        command: &Cmd,
        effect: Effect,
        what: &str,
    ) -> Result<Value, Failure> {
        match self {
            Self::Usual => connection.request(command, effect, what).await,
            Self::Asking => connection.request_asking(command, effect, what).await,
        }
    }
}

/// Ends a connection that an answer, or its absence, has shown to be useless.
pub(crate) fn settled<T>(connection: &Connection, answer: Result<T, Failure>) -> Result<T, Failure> {
    if answer.as_ref().is_err_and(|failure| failure.fatal) {
        connection.end();
    }
    answer
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}
