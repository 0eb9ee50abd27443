//! One connection to a server that was greeted and identified.
//!
//! It is never repaired: what is wrong with it ends it, and its line makes a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{ErrorKind, ServerId};
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, IntoConnectionInfo, PushInfo, PushKind, Value};
use tokio::time::timeout;

use crate::failure::{Effect, Failure};
use crate::greeting::{Greeting, Publishing};
use crate::identity::{Identities, Identity};
use crate::tier::settled;
use crate::{Address, Servers, Settings};

/// Takes what a server says unasked. `None` is the end of the connection.
pub(crate) type Listener = Arc<dyn Fn(Option<PushInfo>) + Send + Sync>;

/// A connection.
pub(crate) struct Connection {
    wire: MultiplexedConnection,
    /// As it was named to us.
    pub(crate) address: Address,
    /// The server, which all connections to it agree on.
    identity: Arc<Identity>,
    pub(crate) publishing: Publishing,
    response_timeout: Duration,
    ended: Arc<AtomicBool>,
    /// Counts answers, so that a late one can be told from a silent connection.
    answers: AtomicU64,
}

impl Connection {
    /// Opens, greets and identifies. It takes as long as it takes: whoever calls it has a limit.
    ///
    /// A replica is refused, since who names it means a server that takes writes; a cluster's replica is not: it leads to
    /// its master by itself.
    pub(crate) async fn open(
        settings: &Settings,
        identities: &Identities,
        address: &Address,
        listener: Option<Listener>,
    ) -> Result<Self, Failure> {
        let (connection, greeting) = Self::greet(settings, identities, address, listener).await?;
        let takes_writes = greeting.takes_writes;
        if !takes_writes && !matches!(settings.servers, Servers::Cluster(_)) {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                format!(
                    "connecting to {address}: the server is a replica; name the server that takes writes"
                ),
            ));
        }
        Ok(connection)
    }

    /// The same to a server that is read from, whatever it is at the moment.
    ///
    /// It is given an identity that no master has: a replica may be led to another history without losing a connection, so
    /// that its head alone must prove which one it holds.
    pub(crate) async fn open_for_reads(settings: &Settings, address: &Address) -> Result<Self, Failure> {
        // What is learned here counts for no other connection.
        let (mut connection, greeting) = Self::greet(settings, &Identities::default(), address, None).await?;
        if matches!(settings.servers, Servers::Cluster(_)) {
            let answer = connection
                .request(&redis::cmd("READONLY"), Effect::None, "connecting to a replica")
                .await;
            settled(&connection, answer)?;
        }
        connection.identity = Identity::new(!greeting.run, greeting.history);
        Ok(connection)
    }

    async fn greet(
        settings: &Settings,
        identities: &Identities,
        address: &Address,
        listener: Option<Listener>,
    ) -> Result<(Self, Greeting), Failure> {
        let what = format!("connecting to {address}");
        let refused = |error| Failure::of(error, Effect::None, &what);
        let ended = Arc::new(AtomicBool::new(false));
        let wire = open_wire(settings, address, &ended, listener).await;
        let mut wire = wire.map_err(refused)?;
        let greeting = Greeting::exchange(&mut wire, settings).await.map_err(refused)?;
        let clustered = matches!(settings.servers, Servers::Cluster(_));
        if clustered != greeting.clustered.unwrap_or(clustered) {
            let right = match clustered {
                true => "the server is none of a cluster; name it as redis://host:port",
                false => "the server is one of a cluster; name it as redis-cluster://host:port",
            };
            return Err(Failure::new(ErrorKind::Rejected, format!("{what}: {right}")));
        }
        let connection = Self {
            wire,
            address: address.clone(),
            identity: identities.of(greeting.run, greeting.history, address),
            publishing: greeting.publishing,
            response_timeout: settings.response_timeout,
            ended,
            answers: AtomicU64::new(0),
        };
        Ok((connection, greeting))
    }

    /// Sends a request and waits for its answer, at most for the response timeout.
    ///
    /// Dropping the future leaves the request possibly executed; its answer is thrown away when it comes.
    pub(crate) async fn request(&self, command: &Cmd, effect: Effect, what: &str) -> Result<Value, Failure> {
        self.usable(what)?;
        let mut wire = self.wire.clone();
        let answer = self
            .within(effect, what, wire.req_packed_command(command))
            .await?;
        answer
            .extract_error()
            .map_err(|error| Failure::of(error, effect, what))
    }

    /// The same for a request that its shard's master has led to another server, which would not take it otherwise.
    pub(crate) async fn request_asking(
        &self,
        command: &Cmd,
        effect: Effect,
        what: &str,
    ) -> Result<Value, Failure> {
        self.usable(what)?;
        let mut asking = redis::pipe();
        asking.cmd("ASKING").add_command(command.clone());
        let mut wire = self.wire.clone();
        let answers = self
            .within(effect, what, wire.req_packed_commands(&asking, 1, 1))
            .await?;
        let answer = answers.into_iter().next().ok_or_else(|| Failure::corrupt(what))?;
        answer
            .extract_error()
            .map_err(|error| Failure::of(error, effect, what))
    }

    /// Sends several requests at once, of which each must be answered.
    pub(crate) async fn request_all(
        &self,
        commands: &redis::Pipeline,
        what: &str,
    ) -> Result<Vec<Value>, Failure> {
        let answers = self.request_each(commands, what).await?;
        answers
            .into_iter()
            .map(Value::extract_error)
            .collect::<redis::RedisResult<_>>()
            .map_err(|error| Failure::of(error, Effect::None, what))
    }

    /// Sends several requests at once; each has an answer or an error of its own inside. They are no transaction: a full server
    /// may refuse even reads in one, and what must be of one instant is a script.
    pub(crate) async fn request_each(
        &self,
        commands: &redis::Pipeline,
        what: &str,
    ) -> Result<Vec<Value>, Failure> {
        self.usable(what)?;
        let mut wire = self.wire.clone();
        let answers = wire.req_packed_commands(commands, 0, commands.len());
        self.within(Effect::None, what, answers).await
    }

    /// The server, as far as is known now: to be compared with [`Connection::still`] when the answer has come.
    pub(crate) fn server(&self) -> ServerId {
        self.identity.now()
    }

    /// The server that answered a question of the time when it was `asked`. An answer across a change of its identity may be
    /// of before it or after it, so that nothing can be judged by it: what has no effect is asked again.
    pub(crate) fn still(&self, asked: ServerId, effect: Effect, what: &str) -> Result<ServerId, Failure> {
        match self.server() == asked {
            true => Ok(asked),
            false => Err(Failure::renamed(effect, what)),
        }
    }

    /// The server has told which replication history it is in: who told that.
    pub(crate) fn tells(&self, history: u64, what: &str) -> Result<ServerId, Failure> {
        let told = self.identity.tells(history, &self.address);
        told.ok_or_else(|| Failure::renamed(Effect::None, what))
    }

    /// Whether it has ended, as far as is known.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Nobody shall use it again.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn usable(&self, what: &str) -> Result<(), Failure> {
        if self.has_ended() {
            let message = format!("{what}: the connection has ended");
            return Err(Failure::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    async fn within<T>(
        &self,
        effect: Effect,
        what: &str,
        answer: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, Failure> {
        let before = self.answers.load(Ordering::Relaxed);
        match timeout(self.response_timeout, answer).await {
            Ok(answer) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                answer.map_err(|error| Failure::of(error, effect, what))
            }
            Err(_elapsed) => {
                let mut late = Failure::late(effect, what);
                // Others were answered meanwhile: this request is slow, the connection is not dead.
                late.fatal = self.answers.load(Ordering::Relaxed) == before;
                Err(late)
            }
        }
    }
}

/// A connection that was not greeted yet. `ended` becomes true when it ends.
pub(crate) async fn open_wire(
    settings: &Settings,
    address: &Address,
    ended: &Arc<AtomicBool>,
    listener: Option<Listener>,
) -> redis::RedisResult<MultiplexedConnection> {
    let config = config(ended, listener);
    client(settings, address)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

fn client(settings: &Settings, address: &Address) -> redis::RedisResult<redis::Client> {
    let Address { host, port } = settings.reached_at.get(address).unwrap_or(address).clone();
    let info = match settings.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
    }
    .into_connection_info()?;
    let mut redis = info
        .redis_settings()
        .clone()
        .set_protocol(redis::ProtocolVersion::RESP3)
        .set_db(i64::from(settings.database));
    if let Some(username) = &settings.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password);
    }
    let info = info.set_redis_settings(redis);
    match &settings.tls {
        None => redis::Client::open(info),
        Some(tls) => redis::Client::build_with_tls(info, tls.certificates()),
    }
}

/// Both timeouts are ours: the client's own would end a wait without telling whether the request was sent.
fn config(ended: &Arc<AtomicBool>, listener: Option<Listener>) -> AsyncConnectionConfig {
    let ended = Arc::clone(ended);
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        // Commands that may wait for the wire: with the client's own 50, a burst of writers would take turns.
        .set_pipeline_buffer_size(1024)
        .set_push_sender(move |push: PushInfo| {
            let end = push.kind == PushKind::Disconnection;
            if end {
                ended.store(true, Ordering::Release);
            }
            if let Some(listener) = &listener {
                listener((!end).then_some(push));
            }
            Ok::<(), ()>(())
        })
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address)
            .field("server", &self.server())
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
