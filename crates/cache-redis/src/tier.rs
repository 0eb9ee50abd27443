//! The shared tier on one Redis server: the entry of this crate.
//!
//! It holds no cache and judges no history: it moves what the ports name to the server and back.

use std::fmt;
use std::sync::Arc;

use cache_core::{Clock, Entropy, Lane, ServerId, Shard, SystemClock, SystemEntropy};
use redis::{Cmd, Value};

use crate::connection::Connection;
use crate::failure::{Effect, Failure};
use crate::gathering::Gathering;
use crate::layout::{Layout, Names};
use crate::line::Line;
use crate::script::{Script, Scripts};
use crate::{Settings, SettingsError};

/// The shared store and the event bus of all nodes, on one Redis server. Cheap to clone; all clones share connections.
///
/// Making one connects to nothing, so that a node starts while its server is down. Connections are made by the first
/// requests, one for each lane, and made anew when they end. Nothing runs in the background but those connections; the
/// last clone ends them when it is dropped, and links of [`EventBus`](cache_core::EventBus) end their own.
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
    pub(crate) gatherings: [Gathering; Lane::ALL.len()],
    /// One for each lane: what is critical never waits behind bulk bytes.
    lines: [Line; Lane::ALL.len()],
}

impl RedisTier {
    /// A tier on this server, with the system's clock and randomness.
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
        let line = |_| Line::new(Arc::clone(&settings), Arc::clone(&entropy));
        Ok(Self {
            inner: Arc::new(Inner {
                layout: Arc::new(Layout::new(&settings.prefix, settings.database)),
                scripts: Scripts::new(),
                clock,
                gatherings: Default::default(),
                lines: Lane::ALL.map(line),
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

    pub(crate) async fn connection(&self, lane: Lane) -> Result<Arc<Connection>, Failure> {
        self.inner.lines[lane.index()].connection().await
    }

    /// Reads. An ended connection is found by the first to use it, so that a read is sent a second time, at most.
    pub(crate) async fn read_command(
        &self,
        lane: Lane,
        command: &Cmd,
        what: &str,
    ) -> Result<(ServerId, Value), Failure> {
        let connection = self.connection(lane).await?;
        match settled(&connection, connection.request(command, Effect::None, what).await) {
            Err(failure) if failure.is_broken_connection() => {
                let again = self.connection(lane).await?;
                let answer = settled(&again, again.request(command, Effect::None, what).await)?;
                Ok((again.server, answer))
            }
            answer => answer.map(|answer| (connection.server, answer)),
        }
    }

    /// Runs a script, once: what may have happened is not asked for again.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        script: &Script,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
        what: &str,
    ) -> Result<Vec<u8>, Failure> {
        let by_digest = script.by_digest(keys, arguments);
        let mut answer = connection.request(&by_digest, Effect::Some, what).await;
        // Servers forget scripts with a restart, a failover, SCRIPT FLUSH; this one has done nothing yet.
        if answer.as_ref().is_err_and(|failure| failure.is_unknown_script()) {
            answer = connection
                .request(&script.by_source(keys, arguments), Effect::Some, what)
                .await;
        }
        match settled(connection, answer)? {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(Failure::corrupt(what)),
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
