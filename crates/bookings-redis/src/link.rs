//! One connection to the server, made when it is needed and made anew when it broke.
//!
//! It repeats only what has no effect: anything else that was cut off may have been executed.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, Script, ScriptInvocation};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::fault::Fault;

/// The way to the server. Requests share it and do not wait for each other's answers.
pub(crate) struct Link {
    client: Client,
    patience: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Link {
    pub(crate) fn of(client: Client, patience: Duration) -> Self {
        Self {
            client,
            patience,
            connection: Mutex::new(None),
        }
    }

    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut wire = self.wire().await?;
        let answer = async { Ok(T::from_redis_value(wire.req_packed_command(command).await?)?) };
        self.answered(answer, self.patience).await
    }

    /// Runs commands that may be repeated.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Fault> {
        let once = async || {
            let mut wire = self.wire().await?;
            let answer = commands.query_async(&mut wire);
            self.answered(answer, self.patience).await
        };
        match once().await {
            Err(fault) if fault.is_broken_connection() => once().await,
            answer => answer,
        }
    }

    /// Runs a script that may be repeated. That a connection broke while nobody used it shows at its next use.
    pub(crate) async fn reading_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Fault> {
        match self.script(script).await {
            Err(fault) if fault.is_broken_connection() => self.script(script).await,
            answer => answer,
        }
    }

    /// Runs a script, and waits until that many replicas have what it wrote, at most for the patience. Tells how many have it.
    /// Both go over one connection: on another, the server would not know what to wait for.
    pub(crate) async fn replicated_script<T: FromRedisValue>(
        &self,
        script: &Script,
        invocation: &ScriptInvocation<'_>,
        replicas: u32,
    ) -> Result<(T, u32), Fault> {
        let mut wire = self.wire().await?;
        let millis = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let mut commands = redis::pipe();
        commands.load_script(script).ignore().invoke_script(invocation);
        commands.cmd("WAIT").arg(replicas).arg(millis.max(1));
        self.answered(commands.query_async(&mut wire), self.patience * 2)
            .await
    }

    /// Runs a script, after teaching it to the server if need be.
    pub(crate) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Fault> {
        let mut wire = self.wire().await?;
        self.answered(script.invoke_async(&mut wire), self.patience).await
    }

    async fn answered<T>(
        &self,
        answer: impl Future<Output = redis::RedisResult<T>>,
        patience: Duration,
    ) -> Result<T, Fault> {
        let answer = match timeout(patience, answer).await {
            Ok(answer) => answer.map_err(Fault::from),
            Err(_) => Err(Fault::Silent),
        };
        if let Err(fault) = &answer
            && fault.ends_the_connection()
        {
            *self.connection.lock().await = None;
        }
        answer
    }

    async fn wire(&self) -> Result<MultiplexedConnection, Fault> {
        let mut connection = self.connection.lock().await;
        if let Some(wire) = &*connection {
            return Ok(wire.clone());
        }
        // Both timeouts are ours: the client's own would not tell whether the request was sent.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opening = self.client.get_multiplexed_async_connection_with_config(&config);
        let opened = timeout(self.patience, opening).await;
        // Nothing was asked yet, so nothing can have been done.
        let wire = opened.map_err(|_| Fault::Unreached(None))?;
        let wire = wire.map_err(|error| Fault::Unreached(Some(error)))?;
        *connection = Some(wire.clone());
        Ok(wire)
    }
}
