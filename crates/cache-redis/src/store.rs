//! The shared store: requests packed, sent, and their answers unpacked.
//!
//! Every call is one round trip; reads of the same instant share one. What a script decided is its answer's first byte; no rule is decided here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Adopted, Adoption, BARRIERS_KEPT, BarrierKind, CacheKey, Change, ErrorKind, Expect, FillBegun,
    FillCommitted, FillToken, Head, Lane, Lineage, NewRecord, Op, ReadFrom, Record, Reply, Seq, ServerTime,
    Shard, SharedStore, StoreDescription, StoreError, Write, Written,
};
use futures_util::future::join_all;
use redis::{Cmd, Value};

use crate::RedisTier;
use crate::bytes::Bytes;
use crate::event::{flushed, millis, pack};
use crate::failure::{Effect, Failure};
use crate::greeting::{field, text};
use crate::head::{HEAD_BYTES, Unreadable, unpack_head, unpack_record, unpack_told_head};
use crate::masters::Master;
use crate::tier::settled;

#[async_trait]
impl SharedStore for RedisTier {
    /// A replica answers only where any copy may, the settings allow it, and it has everything that was asked for: what is
    /// loaded is no event, so that a replica with every event may still lack a record that the master has.
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        const WHAT: &str = "reading records";
        if shard.holds_barriers() && !keys.is_empty() {
            return Ok(self.read_barriers(shard, keys).await?);
        }
        let names = self.names(shard);
        let mut asked = Vec::with_capacity(keys.len() + 1);
        asked.push(names.head.clone());
        asked.extend(keys.iter().map(|key| names.record(key)));
        let asked: Arc<[_]> = asked.into();
        // Without replicas there is one copy to ask, and all reads may share a command.
        let from = match self.inner.settings.read_replicas {
            true => from,
            false => ReadFrom::Primary,
        };
        let mut told = self.values(from, shard, Arc::clone(&asked), WHAT).await?;
        let mut read = unpack_read(&told.values);
        let whole =
            |read: &Read| matches!(read, Ok((Some(_), Some(records))) if records.iter().all(Option::is_some));
        if told.by_replica && !whole(&read) {
            told = self.values(ReadFrom::Primary, shard, asked, WHAT).await?;
            read = unpack_read(&told.values);
        }
        let (head, answer) = read?;
        Ok(Reply {
            server: told.server,
            head,
            answer,
        })
    }

    async fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Result<Reply<FillBegun>, StoreError> {
        const WHAT: &str = "beginning a fill";
        let names = self.names(shard);
        let keys = [names.head.clone(), names.record(key), names.lease(key)];
        let arguments = [
            packed(lineage.0),
            packed(token.0),
            decimal(millis(lease).max(1)),
            decimal(newer_than.0),
        ];
        let connection = self.connection(shard).await?;
        let script = &self.inner.scripts.begin_fill;
        let (server, answer) = self
            .run(shard, connection, script, &keys, &arguments, WHAT)
            .await?;
        let (verdict, head, rest) = Verdict::unpack(&answer, WHAT)?;
        let answer = match (verdict, head) {
            (Verdict::Refused, _) => None,
            (Verdict::Code(b'G'), _) => Some(FillBegun::Lease),
            (Verdict::Code(b'W'), _) => Some(FillBegun::Wait(Duration::from_millis(number(rest, WHAT)?))),
            (Verdict::Code(b'V'), Some(head)) => {
                let record = unpack_record(rest, &head).ok_or_else(|| Failure::corrupt(WHAT))?;
                Some(FillBegun::Found(record))
            }
            _ => return Err(Failure::corrupt(WHAT).into()),
        };
        Ok(Reply { server, head, answer })
    }

    async fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<NewRecord>,
    ) -> Result<Reply<FillCommitted>, StoreError> {
        const WHAT: &str = "committing a fill";
        record.as_ref().map_or(Ok(()), lives)?;
        let names = self.names(shard);
        let keys = [names.head.clone(), names.record(key), names.lease(key)];
        let (life, body) = match &record {
            Some(record) => (decimal(millis(record.ttl)), record.body.to_vec()),
            None => Default::default(),
        };
        let arguments = [packed(lineage.0), packed(token.0), life, body];
        let connection = self.connection(shard).await?;
        let script = &self.inner.scripts.commit_fill;
        let (server, answer) = self
            .run(shard, connection, script, &keys, &arguments, WHAT)
            .await?;
        let (verdict, head, rest) = Verdict::unpack(&answer, WHAT)?;
        let answer = match (verdict, head, record) {
            (Verdict::Refused, ..) => None,
            (Verdict::Code(b'X'), ..) => Some(FillCommitted::Rejected),
            (Verdict::Code(b'R'), ..) => Some(FillCommitted::Released),
            (Verdict::Code(b'S'), Some(head), Some(record)) => Some(FillCommitted::Stored(Record {
                version: head.seq,
                expires: ServerTime(number(rest, WHAT)?),
                body: record.body,
            })),
            _ => return Err(Failure::corrupt(WHAT).into()),
        };
        Ok(Reply { server, head, answer })
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        const WHAT: &str = "writing";
        acceptable(&write)?;
        let connection = self.connection(write.shard).await?;
        let names = self.names(write.shard);
        let payload = pack(&write.op);
        let mut keys = vec![names.head.clone(), names.stream.clone()];
        let mut arguments = vec![
            packed(write.lineage.0),
            packed(write.id.0),
            payload.log,
            payload.event,
            names.channel.clone(),
            decimal(u64::from(self.inner.settings.log_length)),
            connection.publishing.publish().into(),
            step(&write.op).into(),
        ];
        match &write.op {
            Op::Change(changes) => {
                for change in changes {
                    keys.extend([names.record(&change.key), names.lease(&change.key)]);
                    arguments.extend(change_words(change));
                }
            }
            Op::Raise(barrier) => {
                let barrier = barrier.key();
                keys.push(names.barriers[BarrierKind::of(&barrier).index()].clone());
                arguments.extend([barrier.as_str().into(), decimal(BARRIERS_KEPT as u64)]);
            }
            Op::Flush | Op::Announce(_) => {}
        }
        let script = &self.inner.scripts.write;
        let (server, answer) = self
            .run(write.shard, connection, script, &keys, &arguments, WHAT)
            .await?;
        let (verdict, head, rest) = Verdict::unpack(&answer, WHAT)?;
        let answer = match verdict {
            Verdict::Refused => None,
            Verdict::Code(b'D') => Some(Written::Done),
            Verdict::Code(b'U') => {
                complain(write.shard, rest);
                Some(Written::Done)
            }
            Verdict::Code(b'C') => Some(Written::Conflict {
                found: Seq(number(rest, WHAT)?),
            }),
            Verdict::Code(_) => return Err(Failure::corrupt(WHAT).into()),
        };
        Ok(Reply { server, head, answer })
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        const WHAT: &str = "adopting a shard";
        if adoption.from.is_none() {
            // Where there is no head, there may be no number of shards any more, or another one.
            self.admitted_anew(adoption.shard.lane()).await?;
        }
        let connection = self.connection(adoption.shard).await?;
        let names = self.names(adoption.shard);
        let mut keys = vec![names.head.clone(), names.stream.clone()];
        keys.extend(names.barriers.iter().cloned());
        let arguments = [
            adoption.from.map(|from| packed(from.0)).unwrap_or_default(),
            packed(adoption.to.0),
            packed(adoption.id.0),
            decimal(adoption.hint.0),
            flushed(),
            names.channel.clone(),
            connection.publishing.publish().into(),
        ];
        let script = &self.inner.scripts.adopt;
        let (server, answer) = self
            .run(adoption.shard, connection, script, &keys, &arguments, WHAT)
            .await?;
        let (verdict, head, rest) = Verdict::unpack(&answer, WHAT)?;
        let answer = match verdict {
            Verdict::Refused => Adopted::Lost,
            Verdict::Code(b'D') => Adopted::Won,
            Verdict::Code(b'U') => {
                complain(adoption.shard, rest);
                Adopted::Won
            }
            Verdict::Code(_) => return Err(Failure::corrupt(WHAT).into()),
        };
        Ok(Reply {
            server,
            head,
            answer: Some(answer),
        })
    }

    /// The sum over all masters; connected when each of them answers.
    async fn describe(&self) -> StoreDescription {
        let memories = match self.inner.masters.all().await {
            Ok(masters) => join_all(masters.iter().map(|master| memory(master))).await,
            Err(_unknown) => vec![None],
        };
        let sum = |name| -> Option<u64> {
            let bytes = |memory: &Option<String>| field(memory.as_deref()?, name).ok()?.parse::<u64>().ok();
            memories.iter().map(bytes).sum()
        };
        StoreDescription {
            backend: "redis",
            connected: memories.iter().all(Option::is_some),
            used_bytes: sum("used_memory"),
            // Zero says that the server limits itself in nothing.
            max_bytes: sum("maxmemory").filter(|max| *max > 0),
        }
    }
}

/// What a master says of its memory; `None` when it does not answer. An ended connection is found by the first to use it.
async fn memory(master: &Master) -> Option<String> {
    let mut command = Cmd::new();
    command.arg("INFO").arg("memory");
    for _ in 0..2 {
        let connection = master.connection(Lane::Bulk).await.ok()?;
        let answer = connection
            .request(&command, Effect::None, "describing the server")
            .await;
        if let Ok(answer) = settled(&connection, answer) {
            return text(&answer).ok();
        }
    }
    None
}

impl RedisTier {
    /// When barriers were raised, with the head of the same instant. It may write, where they were lost; nothing else.
    async fn read_barriers(
        &self,
        shard: Shard,
        barriers: &[CacheKey],
    ) -> Result<Reply<Vec<Option<Record>>>, Failure> {
        const WHAT: &str = "reading barriers";
        let names = self.names(shard);
        let keys = [std::slice::from_ref(&names.head), names.barriers.as_slice()].concat();
        // Scripts count from 1, and the head comes first.
        let asked =
            |key: &CacheKey| format!("{}{}", BarrierKind::of(key).index() + 2, key.as_str()).into_bytes();
        let arguments: Vec<_> = barriers.iter().map(asked).collect();
        let connection = self.connection(shard).await?;
        let script = &self.inner.scripts.barriers;
        let answer = self.run(shard, connection, script, &keys, &arguments, WHAT).await;
        let (server, answer) = answer.map_err(Failure::of_a_question)?;
        let (verdict, head, rest) = Verdict::unpack(&answer, WHAT)?;
        let answer = match verdict {
            Verdict::Refused => None,
            Verdict::Code(b'R') => {
                Some(unpack_raised(rest, barriers.len()).ok_or_else(|| Failure::corrupt(WHAT))?)
            }
            Verdict::Code(_) => return Err(Failure::corrupt(WHAT)),
        };
        Ok(Reply { server, head, answer })
    }
}

/// A number for each barrier, as the version of a record.
fn unpack_raised(numbers: &[u8], count: usize) -> Option<Vec<Option<Record>>> {
    let mut numbers = Bytes::new(numbers);
    let raised = (0..count).map(|_| numbers.number()).collect::<Option<Vec<_>>>()?;
    let records = raised.into_iter().map(|version| {
        (version > 0).then(|| Record {
            version: Seq(version),
            expires: ServerTime(u64::MAX),
            body: Arc::default(),
        })
    });
    numbers.rest().is_empty().then(|| records.collect())
}

/// What a script decided.
enum Verdict {
    /// There is no head, or it is of another lineage.
    Refused,
    Code(u8),
}

impl Verdict {
    /// The verdict, the head that stands now, and what else the script said.
    fn unpack<'a>(answer: &'a [u8], what: &str) -> Result<(Self, Option<Head>, &'a [u8]), Failure> {
        let corrupt = || Failure::corrupt(what);
        let (code, rest) = answer.split_first().ok_or_else(corrupt)?;
        if *code == b'N' {
            return Ok((Self::Refused, None, rest));
        }
        if *code == b'F' {
            return Err(Failure::unreadable_head(Unreadable::of(rest), what));
        }
        let (head, rest) = rest.split_at_checked(HEAD_BYTES).ok_or_else(corrupt)?;
        let head = unpack_told_head(head).map_err(|_damaged| corrupt())?;
        let verdict = if *code == b'L' {
            Self::Refused
        } else {
            Self::Code(*code)
        };
        Ok((verdict, Some(head), rest))
    }
}

/// The head, and the records under it.
type Read = Result<(Option<Head>, Option<Vec<Option<Record>>>), Failure>;

fn unpack_read(values: &[Value]) -> Read {
    let Some(Value::BulkString(head)) = values.first() else {
        return Ok((None, None));
    };
    let head = unpack_head(head).map_err(|why| Failure::unreadable_head(why, "reading records"))?;
    let records = values[1..].iter().map(|value| record(value, &head));
    Ok((Some(head), Some(records.collect())))
}

fn record(value: &Value, head: &Head) -> Option<Record> {
    match value {
        Value::BulkString(bytes) => unpack_record(bytes, head),
        _ => None,
    }
}

/// What a step does to memory: only what stores a value may be refused for want of it.
fn step(op: &Op) -> &'static str {
    match op {
        Op::Change(changes) if changes.iter().any(|change| change.record.is_some()) => "S",
        Op::Flush => "F",
        Op::Raise(_) => "B",
        _ => "",
    }
}

fn change_words(change: &Change) -> [Vec<u8>; 3] {
    let expect = match change.expect {
        Expect::Any => Vec::new(),
        Expect::Version(version) => decimal(version.0),
    };
    match &change.record {
        Some(record) => [expect, decimal(millis(record.ttl)), record.body.to_vec()],
        None => [expect, Vec::new(), Vec::new()],
    }
}

/// Refuses what a script would refuse whatever the state.
fn acceptable(write: &Write) -> Result<(), StoreError> {
    match &write.op {
        Op::Change(changes) => changes
            .iter()
            .filter_map(|change| change.record.as_ref())
            .try_for_each(lives),
        Op::Raise(barrier) if !write.shard.holds_barriers() => Err(StoreError::new(
            ErrorKind::Rejected,
            format!(
                "{barrier:?} was raised in shard {}, which holds keys",
                write.shard
            ),
        )),
        Op::Raise(_) | Op::Flush | Op::Announce(_) => Ok(()),
    }
}

fn lives(record: &NewRecord) -> Result<(), StoreError> {
    if record.ttl < Duration::from_millis(1) {
        let message = format!(
            "a record must live for at least a millisecond, not {:?}",
            record.ttl
        );
        return Err(StoreError::new(ErrorKind::Rejected, message));
    }
    Ok(())
}

/// A step that stands but could not be published: the others find it by the next heartbeat, later than they should.
fn complain(shard: Shard, said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    tracing::error!(%shard, %said, "the server refuses to publish; grant the right to the channels of the prefix");
}

fn packed(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn number(bytes: &[u8], what: &str) -> Result<u64, Failure> {
    Bytes::new(bytes).number().ok_or_else(|| Failure::corrupt(what))
}
