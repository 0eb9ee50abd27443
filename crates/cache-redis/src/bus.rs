//! The event bus: one connection of its own for every subscription, which carries its questions too.
//!
//! It never subscribes to anything later, and never lets go of a single channel: whatever the server takes back ends
//! the link, and its owner subscribes anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cache_core::{
    BusError, BusLink, BusMessage, ErrorKind, EventBus, HeadOf, Heads, Inbox, Lane, LogEntry, Replay, Seq,
    ServerTime, Shard,
};
use futures_util::future::try_join_all;
use redis::{Cmd, PushInfo, PushKind, Value};

use crate::RedisTier;
use crate::connection::{Connection, Listener};
use crate::event::{unpack, unpack_entry};
use crate::failure::{Effect, Failure};
use crate::head::unpack_head;
use crate::layout::Layout;
use crate::tier::settled;

#[async_trait]
impl EventBus for RedisTier {
    /// Opens a connection, within the connect timeout, and subscribes to the lane's channels on it.
    ///
    /// Dropping the future closes what was opened.
    async fn subscribe(&self, lane: Lane, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn BusLink>, BusError> {
        let receiver = Arc::new(Receiver {
            layout: Arc::clone(&self.inner.layout),
            inbox,
            ended: AtomicBool::new(false),
        });
        let listener: Listener = {
            let receiver = Arc::clone(&receiver);
            Arc::new(move |push| receiver.take(push))
        };
        let connection = Connection::open(&self.inner.settings, Some(listener)).await?;
        let link = Link {
            lane,
            tier: self.clone(),
            connection,
            receiver,
        };
        link.subscribe().await?;
        Ok(Arc::new(link))
    }
}

/// A subscription and its connection. Dropping it closes both.
struct Link {
    lane: Lane,
    tier: RedisTier,
    connection: Connection,
    receiver: Arc<Receiver>,
}

impl Link {
    /// One command for each channel: a cluster refuses channels of two slots in one.
    async fn subscribe(&self) -> Result<(), Failure> {
        let subscribe = |shard| async move {
            let mut command = Cmd::new();
            command.arg(self.connection.publishing.subscribe());
            command.arg(&self.tier.names(shard).channel);
            self.connection
                .request(&command, Effect::None, "subscribing")
                .await
        };
        try_join_all(Shard::all(self.lane).map(subscribe)).await?;
        Ok(())
    }

    /// Asks several questions at once, over this connection; a link that has ended has no answers, since what it
    /// would say may belong to another question.
    async fn ask(&self, questions: &redis::Pipeline, what: &str) -> Result<Vec<Value>, Failure> {
        let answers = settled(
            &self.connection,
            self.connection.request_all(questions, what).await,
        );
        if self.receiver.ended.load(Ordering::Acquire) {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                format!("{what}: the subscription has ended"),
            ));
        }
        if self.connection.has_ended() {
            self.receiver.lose();
        }
        answers
    }
}

#[async_trait]
impl BusLink for Link {
    async fn heads(&self) -> Result<Heads, BusError> {
        const WHAT: &str = "reading heads";
        let mut questions = redis::pipe();
        questions.cmd("TIME").cmd("ROLE").cmd("MGET");
        for shard in Shard::all(self.lane) {
            questions.arg(&self.tier.names(shard).head);
        }
        let answers = self.ask(&questions, WHAT).await?;
        let [time, role, heads] = &answers[..] else {
            return Err(Failure::corrupt(WHAT).into());
        };
        let takes_writes = matches!(role, Value::Array(words) if words.first() == Some(&Value::BulkString(b"master".to_vec())));
        if !takes_writes {
            // It keeps its connections and answers everything; only events it has no more.
            self.receiver.lose();
            let message = "reading heads: the server has become a replica";
            return Err(BusError::new(ErrorKind::Unavailable, message));
        }
        let (Some(time), Value::Array(heads)) = (unpack_time(time), heads) else {
            return Err(Failure::corrupt(WHAT).into());
        };
        let heads = Shard::all(self.lane)
            .zip(heads)
            .map(|(shard, head)| {
                let head = unpack_answered_head(head, WHAT)?;
                Ok(HeadOf {
                    shard,
                    server: self.connection.server,
                    head,
                })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Heads { time, heads })
    }

    /// Head and log of one instant: both are read in one transaction.
    async fn replay(&self, shard: Shard, from: Seq) -> Result<Replay, BusError> {
        const WHAT: &str = "reading the log";
        let names = self.tier.names(shard);
        let mut questions = redis::pipe();
        questions.atomic();
        questions.cmd("GET").arg(&names.head);
        questions
            .cmd("XRANGE")
            .arg(&names.stream)
            .arg(format!("0-{from}"))
            .arg("+");
        let answers = self.ask(&questions, WHAT).await?;
        let [Value::Array(answers)] = &answers[..] else {
            return Err(Failure::corrupt(WHAT).into());
        };
        let [head, Value::Array(entries)] = &answers[..] else {
            return Err(Failure::corrupt(WHAT).into());
        };
        Ok(Replay {
            server: self.connection.server,
            head: unpack_answered_head(head, WHAT)?,
            entries: unpack_log(entries),
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.receiver.ended.store(true, Ordering::Release);
    }
}

/// What hears the connection: called by the task that reads it, and so never blocks.
struct Receiver {
    layout: Arc<Layout>,
    inbox: Arc<dyn Inbox>,
    ended: AtomicBool,
}

impl Receiver {
    fn take(&self, push: Option<PushInfo>) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        let Some(push) = push else {
            return self.lose();
        };
        match push.kind {
            PushKind::SMessage | PushKind::Message => self.deliver(&push.data),
            // A server that gives a slot away takes its channels back and keeps the connection. The client takes this
            // for the answer to a question, so that all later answers are one place off: the link is useless.
            PushKind::SUnsubscribe | PushKind::Unsubscribe => self.lose(),
            _ => {}
        }
    }

    fn deliver(&self, message: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(message)] = message else {
            return self.lose();
        };
        let Some(shard) = self.layout.shard_of_channel(channel) else {
            return;
        };
        self.inbox.deliver(match unpack(shard, message) {
            Some(event) => BusMessage::Event(event),
            None => BusMessage::Lagged(shard),
        });
    }

    /// Tells the end, once.
    fn lose(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.inbox.deliver(BusMessage::Lost);
        }
    }
}

fn unpack_answered_head(answer: &Value, what: &str) -> Result<Option<cache_core::Head>, Failure> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => unpack_head(bytes).map(Some).ok_or_else(|| Failure::corrupt(what)),
        _ => Err(Failure::corrupt(what)),
    }
}

fn unpack_time(answer: &Value) -> Option<ServerTime> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value_ref(answer).ok()?;
    Some(ServerTime(seconds * 1000 + micros / 1000))
}

/// The entries from behind the last one that cannot be read: before it, the log is as good as trimmed.
fn unpack_log(entries: &[Value]) -> Vec<LogEntry> {
    let mut log = Vec::with_capacity(entries.len());
    for entry in entries {
        match unpack_answered_entry(entry) {
            Some(entry) => log.push(entry),
            None => log.clear(),
        }
    }
    log
}

fn unpack_answered_entry(entry: &Value) -> Option<LogEntry> {
    let Value::Array(entry) = entry else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = &entry[..] else {
        return None;
    };
    let [_, Value::BulkString(packed)] = &fields[..] else {
        return None;
    };
    let seq = std::str::from_utf8(id).ok()?.strip_prefix("0-")?.parse().ok()?;
    unpack_entry(Seq(seq), packed)
}

#[cfg(test)]
mod tests;
