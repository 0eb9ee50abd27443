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

use crate::Settings;
use crate::failure::{Effect, Failure};
use crate::greeting::{Greeting, Publishing};

/// Takes what a server says unasked. `None` is the end of the connection.
pub(crate) type Listener = Arc<dyn Fn(Option<PushInfo>) + Send + Sync>;

/// A connection.
pub(crate) struct Connection {
    wire: MultiplexedConnection,
    /// The server, as it was when the connection was made.
    pub(crate) server: ServerId,
    pub(crate) publishing: Publishing,
    response_timeout: Duration,
    ended: Arc<AtomicBool>,
    /// Counts answers, so that a late one can be told from a silent connection.
    answers: AtomicU64,
}

impl Connection {
    /// Opens, greets and identifies, within the connect timeout.
    pub(crate) async fn open(settings: &Settings, listener: Option<Listener>) -> Result<Self, Failure> {
        let what = format!("connecting to {}:{}", settings.host, settings.port);
        match timeout(settings.connect_timeout, Self::greeted(settings, listener, &what)).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(Failure::new(
                ErrorKind::Unavailable,
                format!("{what}: not within {:?}", settings.connect_timeout),
            )),
        }
    }

    async fn greeted(settings: &Settings, listener: Option<Listener>, what: &str) -> Result<Self, Failure> {
        let refused = |error| Failure::of(error, Effect::None, what);
        let ended = Arc::new(AtomicBool::new(false));
        let (client, config) = (client(settings).map_err(refused)?, config(&ended, listener));
        let mut wire = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(refused)?;
        let greeting = Greeting::exchange(&mut wire, settings).await.map_err(refused)?;
        if !greeting.takes_writes {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                format!("{what}: the server is a replica; name the server that takes writes"),
            ));
        }
        Ok(Self {
            wire,
            server: greeting.server,
            publishing: greeting.publishing,
            response_timeout: settings.response_timeout,
            ended,
            answers: AtomicU64::new(0),
        })
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

    /// Sends several requests at once; each has an answer or an error of its own inside. With `atomic`, they are one
    /// step for the server, and the answer is one array of theirs.
    pub(crate) async fn request_all(
        &self,
        commands: &redis::Pipeline,
        what: &str,
    ) -> Result<Vec<Value>, Failure> {
        self.usable(what)?;
        let mut wire = self.wire.clone();
        let (offset, count) = match commands.is_transaction() {
            true => (commands.len() + 1, 1),
            false => (0, commands.len()),
        };
        let answers = self
            .within(
                Effect::None,
                what,
                wire.req_packed_commands(commands, offset, count),
            )
            .await?;
        answers
            .into_iter()
            .map(Value::extract_error)
            .collect::<redis::RedisResult<_>>()
            .map_err(|error| Failure::of(error, Effect::None, what))
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

fn client(settings: &Settings) -> redis::RedisResult<redis::Client> {
    let address = ConnectionAddr::Tcp(settings.host.clone(), settings.port);
    let info = address.into_connection_info()?;
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
    redis::Client::open(info.set_redis_settings(redis))
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
            .field("server", &self.server)
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
