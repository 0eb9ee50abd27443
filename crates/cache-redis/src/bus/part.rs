//! One master's part of a subscription: its connection, and the shards that are heard over it.
//!
//! It is never repaired: what is wrong with it ends it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::{ErrorKind, Head, HeadOf, Lane, LogEntry, Replay, Seq, ServerTime, Shard};
use futures_util::future::try_join_all;
use redis::{Cmd, Value};

use super::receiver::Receiver;
use crate::RedisTier;
use crate::connection::{Connection, Listener};
use crate::event::unpack_entry;
use crate::failure::{Effect, Failure};
use crate::greeting::{HISTORY, field, identity, text};
use crate::head::unpack_head;
use crate::layout::Layout;
use crate::place::Place;
use crate::script::Script;
use crate::tier::settled;

/// A part.
pub(super) struct Part {
    connection: Connection,
    receiver: Arc<Receiver>,
    heard: Mutex<BTreeSet<usize>>,
    /// Whether the server refuses questions that are of several slots.
    clustered: bool,
    /// Whether it was told that the server holds heads of another release.
    complained: AtomicBool,
}

/// What a master told of its shards.
pub(super) struct Told {
    pub(super) time: ServerTime,
    pub(super) heads: Vec<HeadOf>,
    /// Shards that it did not answer for, and why.
    pub(super) refused: Vec<(Shard, Failure)>,
}

impl Part {
    pub(super) async fn open(
        tier: &RedisTier,
        place: &Place,
        receiver: Receiver,
        clustered: bool,
    ) -> Result<Self, Failure> {
        let receiver = Arc::new(receiver);
        let listener: Listener = {
            let receiver = Arc::clone(&receiver);
            Arc::new(move |push| receiver.take(push))
        };
        Ok(Self {
            connection: place
                .connect(&tier.inner.settings, &tier.inner.identities, Some(listener))
                .await?,
            receiver,
            heard: Mutex::default(),
            clustered,
            complained: AtomicBool::new(false),
        })
    }

    /// One command for each channel: a cluster refuses channels of two slots in one. What a server does not have is not
    /// heard, and no failure of the others.
    pub(super) async fn subscribe(&self, layout: &Layout, shards: &[Shard]) -> Result<(), Failure> {
        let subscribe = async |shard: Shard| {
            let mut command = Cmd::new();
            command.arg(self.connection.publishing.subscribe());
            command.arg(&layout.of(shard).channel);
            let answer = self.connection.request(&command, Effect::None, "subscribing");
            match settled(&self.connection, answer.await) {
                Ok(_) => {
                    self.heard().insert(shard.index());
                    Ok(())
                }
                Err(failure) if failure.redirect(&self.connection.address).is_some() => Ok(()),
                Err(failure) => Err(failure),
            }
        };
        try_join_all(shards.iter().map(|shard| subscribe(*shard))).await?;
        Ok(())
    }

    /// Whether a shard is heard over it.
    pub(super) fn hears(&self, shard: Shard) -> bool {
        self.heard().contains(&shard.index())
    }

    /// The server does not have the shard any more.
    pub(super) fn forget(&self, shard: Shard) {
        self.heard().remove(&shard.index());
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The master was replaced: whatever it says from now on is said to nobody.
    pub(super) fn leave(&self) {
        self.connection.end();
        self.receiver.end();
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.receiver.has_ended() && !self.connection.has_ended()
    }

    /// Nobody is told.
    pub(super) fn fall_silent(&self) {
        self.receiver.fall_silent();
    }

    /// The heads of the shards that are heard. In a cluster, each is asked for by itself, since they are of different slots.
    pub(super) async fn heads(&self, layout: &Layout, lane: Lane) -> Result<Told, Failure> {
        const WHAT: &str = "reading heads";
        let all = layout.shards().all(lane);
        let shards: Vec<_> = all.filter(|shard| self.hears(*shard)).collect();
        let mut questions = redis::pipe();
        questions.cmd("TIME").cmd("INFO").arg("replication");
        if self.clustered {
            for shard in &shards {
                questions.cmd("GET").arg(&layout.of(*shard).head);
            }
        } else {
            questions.cmd("MGET");
            for shard in &shards {
                questions.arg(&layout.of(*shard).head);
            }
        }
        let mut answers = self.ask(&questions, WHAT).await?.into_iter();
        let (Some(time), Some(replication)) = (answers.next(), answers.next()) else {
            return Err(Failure::corrupt(WHAT));
        };
        let unreadable = |_| Failure::corrupt(WHAT);
        let replication = text(&self.answered(replication, WHAT)?).map_err(unreadable)?;
        if field(&replication, "role").map_err(unreadable)? != "master" {
            // It keeps its connections and answers everything; only events it has no more.
            self.receiver.end();
            let message = "reading heads: the server has become a replica";
            return Err(Failure::new(ErrorKind::Unavailable, message));
        }
        // Said by the connection that is never silent: all others count by it, however old they are.
        let history = identity(&replication, HISTORY).map_err(unreadable)?;
        let server = self.connection.tells(history, WHAT)?;
        let answers: Vec<Value> = match self.clustered {
            true => answers.collect(),
            false => match answers
                .next()
                .map(|heads| self.answered(heads, WHAT))
                .transpose()?
            {
                Some(Value::Array(heads)) => heads,
                _ => return Err(Failure::corrupt(WHAT)),
            },
        };
        let mut told = Told {
            time: unpack_time(&self.answered(time, WHAT)?).ok_or_else(|| Failure::corrupt(WHAT))?,
            heads: Vec::with_capacity(shards.len()),
            refused: Vec::new(),
        };
        for (shard, answer) in shards.into_iter().zip(answers) {
            let head = self
                .answered(answer, WHAT)
                .and_then(|head| unpack_answered_head(&head, WHAT));
            match head {
                Ok(head) => told.heads.push(HeadOf { shard, server, head }),
                Err(failure) => {
                    self.complain(shard, &failure);
                    told.refused.push((shard, failure));
                }
            }
        }
        Ok(told)
    }

    /// A shard's head and its log, of one instant.
    pub(super) async fn replay(
        &self,
        script: &Script,
        layout: &Layout,
        shard: Shard,
        from: Seq,
    ) -> Result<Replay, Failure> {
        const WHAT: &str = "reading the log";
        let names = layout.of(shard);
        let keys = [names.head.clone(), names.stream.clone()];
        let arguments = [format!("0-{from}").into_bytes()];
        let asked = self.connection.server();
        let answer = match self.ask_one(script.by_digest(&keys, &arguments), WHAT).await {
            Err(failure) if failure.is_unknown_script() => {
                self.ask_one(script.by_source(&keys, &arguments), WHAT).await?
            }
            answer => answer?,
        };
        let Value::Array(answers) = answer else {
            return Err(Failure::corrupt(WHAT));
        };
        let [head, Value::Array(entries)] = &answers[..] else {
            return Err(Failure::corrupt(WHAT));
        };
        Ok(Replay {
            server: self.connection.still(asked, Effect::None, WHAT)?,
            head: unpack_answered_head(head, WHAT)?,
            entries: unpack_log(entries),
        })
    }

    async fn ask_one(&self, question: Cmd, what: &str) -> Result<Value, Failure> {
        let mut questions = redis::pipe();
        questions.add_command(question);
        let answers = self.ask(&questions, what).await?;
        let answer = answers.into_iter().next().ok_or_else(|| Failure::corrupt(what))?;
        self.answered(answer, what)
    }

    /// Asks several questions at once, over this connection; one that has ended has no answers, since what it would say may
    /// belong to another question.
    async fn ask(&self, questions: &redis::Pipeline, what: &str) -> Result<Vec<Value>, Failure> {
        let answers = settled(
            &self.connection,
            self.connection.request_each(questions, what).await,
        );
        if self.connection.has_ended() {
            self.receiver.end();
        }
        if self.receiver.has_ended() {
            let message = format!("{what}: the subscription has ended");
            return Err(Failure::new(ErrorKind::Unavailable, message));
        }
        answers
    }

    /// A shard of another release stays without a lease until somebody does something: that is told once.
    fn complain(&self, shard: Shard, failure: &Failure) {
        if failure.kind == ErrorKind::Incompatible && !self.complained.swap(true, Ordering::Relaxed) {
            tracing::error!(%shard, %failure.message, "this node neither writes to the shard nor serves it from memory");
        }
    }

    fn answered(&self, answer: Value, what: &str) -> Result<Value, Failure> {
        answer
            .extract_error()
            .map_err(|error| Failure::of(error, Effect::None, what))
    }

    fn heard(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.fall_silent();
    }
}

fn unpack_answered_head(answer: &Value, what: &str) -> Result<Option<Head>, Failure> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => unpack_head(bytes)
            .map(Some)
            .map_err(|why| Failure::unreadable_head(why, what)),
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
mod tests {
    use super::*;

    #[test]
    fn a_log_is_as_good_as_trimmed_before_what_cannot_be_read() {
        let entry = |seq: &[u8], format: u8| {
            let packed = [&[format][..], &7_u64.to_be_bytes(), &[0, 0, 3]].concat();
            let fields = [Value::BulkString(b"e".to_vec()), Value::BulkString(packed)];
            Value::Array(vec![
                Value::BulkString(seq.to_vec()),
                Value::Array(fields.to_vec()),
            ])
        };
        let log = unpack_log(&[
            entry(b"0-1", 2),
            entry(b"0-2", 1),
            entry(b"0-3", 2),
            entry(b"0-4", 3),
            entry(b"0-5", 2),
        ]);
        assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Seq(5)]);
    }
}
