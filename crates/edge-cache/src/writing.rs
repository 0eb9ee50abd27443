//! The write path: put, put-if, expire, refresh and invalidation of keys.
//!
//! L2 first, always: memory changes only after the shared store has acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{
    BarrierStamp, Begun, Change, EntryValue, EventId, Expect, Finished, Moment, OfflineWrites, Op, Position,
    ReadFrom, Replacement, Seq, Shard, Tag, Ticket, Version, Write, Written,
};
use event_bus::{Source, Verdict, barrier_keys};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::entries::{Basis, Opened, Sealing, make_entry, open_body, seal_value};
use crate::load::{ErasedLoader, ErasedOutcome};
use crate::reading::{Call, unshared};
use crate::stats::Count;
use crate::{CacheError, LoadError, Receipt};

/// Times a refresh, or the end of a value's freshness, starts over when somebody else writes in between.
const REFRESH_ATTEMPTS: u32 = 32;

/// A value to be written, with what is particular about it.
///
/// ```
/// use cache_core::Seq;
/// use edge_cache::Put;
/// let put = Put::new(42_u32).with_tag("provider:vast").expecting(Seq(7));
/// # let _ = put;
/// ```
#[derive(Clone, Debug)]
pub struct Put<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) expect: Expect,
}

impl<V> Put<V> {
    /// This value, for the policy's TTL, whatever stands there now.
    pub const fn new(value: V) -> Self {
        Self {
            value,
            ttl: None,
            tags: Vec::new(),
            expect: Expect::Any,
        }
    }

    /// Lives this long instead.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(Tag::new(tag));
        self
    }

    /// Only if this version stands there; [`Seq::ZERO`] for none.
    #[must_use]
    pub const fn expecting(mut self, version: Seq) -> Self {
        self.expect = Expect::Version(version);
        self
    }
}

/// A write that the shared store has taken.
#[derive(Clone, Copy)]
pub(crate) struct Acknowledged {
    pub(crate) version: Version,
    pub(crate) position: Position,
    /// The shard's generation when the write was sent.
    pub(crate) generation: u64,
}

/// A value to be written, without its type.
pub(crate) struct ErasedPut {
    pub(crate) call: Call,
    pub(crate) value: EntryValue,
    pub(crate) ttl: Option<Duration>,
    /// How far barriers were known, and when, as the load began that found the value, if one did: a tag may have been
    /// invalidated since.
    pub(crate) loaded: Option<(BarrierStamp, Moment)>,
    pub(crate) tags: Arc<[Tag]>,
    pub(crate) expect: Expect,
}

impl Engine {
    /// Takes one step of a shard's history, in whatever lineage it is by then.
    pub(crate) async fn write(&self, shard: Shard, op: Op) -> Result<Acknowledged, CacheError> {
        let deadline = self.ports.clock.now() + self.lane(shard).timing().deadline;
        self.write_until(deadline, shard, op).await
    }

    async fn write_until(&self, deadline: Moment, shard: Shard, op: Op) -> Result<Acknowledged, CacheError> {
        let lane = self.lane(shard);
        loop {
            if self.stop.is_cancelled() {
                return Err(CacheError::Closed);
            }
            let left = deadline.since(self.ports.clock.now());
            if left.is_zero() || !lane.followed(shard, left).await {
                return Err(self.not_followed(shard));
            }
            let probe = lane.probe(shard);
            let Some(lineage) = probe.lineage else { continue };
            let id = EventId(self.ports.entropy.draw());
            let write = Write {
                shard,
                lineage,
                id,
                op: op.clone(),
            };
            let reply = match timeout(left, self.ports.shared.write(write)).await {
                Err(_elapsed) => return Err(CacheError::uncertain("the write was not acknowledged in time")),
                Ok(Err(error)) => return Err(by_kind(error)),
                Ok(Ok(reply)) => reply,
            };
            let verdict = lane.observe(shard, &probe, Source::Primary, reply.server, reply.head);
            match (reply.answer, verdict) {
                // Refused: another lineage stands there, and the follower knows by now.
                (None, _) => {}
                (Some(Written::Conflict { found }), _) => return Err(CacheError::Conflict { found }),
                (Some(Written::Done), Verdict::Admit { as_of }) => {
                    let version = Version { lineage, seq: as_of };
                    return Ok(Acknowledged {
                        version,
                        position: Position {
                            shard,
                            lineage,
                            seq: as_of,
                            id,
                        },
                        generation: probe.generation,
                    });
                }
                (Some(Written::Done), _) => {
                    let late = self.ports.clock.now().since(probe.sent) > lane.timing().deadline;
                    return Err(CacheError::uncertain(if late {
                        "the write was acknowledged too late"
                    } else {
                        "the shard was flushed, or its server superseded, before the write was acknowledged"
                    }));
                }
            }
        }
    }

    fn not_followed(&self, shard: Shard) -> CacheError {
        CacheError::unavailable_since("the shard is not being followed", self.lane(shard).cause())
    }

    pub(crate) async fn put_once(self: &Arc<Self>, put: &ErasedPut) -> Result<Receipt, CacheError> {
        if !put.call.options.l2.writes() {
            return Err(CacheError::rejected(
                "a put goes to the shared store; its options say that it must not",
            ));
        }
        let namespace = &self.memory.namespaces[put.call.namespace];
        let (shard, key, policy) = (put.call.shard, put.call.key.clone(), put.call.policy);
        let lane = self.lane(shard);
        // Without the barriers' history the value could not be told from one that a barrier has killed; and what is still
        // owed would kill it when it is paid.
        let deadline = self.ports.clock.now() + self.write_limit(&put.call);
        let left = || deadline.since(self.ports.clock.now());
        let barriers = barrier_keys(&namespace.barrier, &put.tags);
        let known = lane.followed(Shard::barriers(shard.lane()), left()).await
            && self.settled(shard, &key, &barriers, left()).await;
        let now = self.ports.clock.now();
        let (stamp, born) = put.loaded.unwrap_or_else(|| (lane.stamp(), now));
        let ttl = put.ttl.unwrap_or(policy.l2_ttl);
        let (record, opened) = seal_value(
            namespace,
            &self.ports,
            &policy,
            Sealing {
                value: put.value.clone(),
                ttl,
                age: now.since(born),
                tags: Arc::clone(&put.tags),
                stamp,
            },
        )?;
        let life = record.ttl;
        let change = Change {
            key: key.clone(),
            record: Some(record),
            expect: put.expect,
            propagation: policy.propagation,
        };
        let sent = self.ports.clock.now();
        let place = OwnPlace::take(self, &put.call);
        let written = if known {
            self.write_until(deadline, shard, Op::Change(vec![change])).await
        } else {
            Err(CacheError::unavailable_since(
                "the shared store cannot be reached: barriers are not followed, or an older invalidation is still queued",
                lane.cause(),
            ))
        };
        match written {
            Ok(acknowledged) => {
                namespace.counters.add(Count::Put);
                place.keep(acknowledged, opened, life, sent);
                Ok(Receipt::published(acknowledged.position, None))
            }
            Err(error @ CacheError::Unavailable(_)) => self.offline(&put.call, put.expect, error),
            Err(error) => Err(error),
        }
    }

    /// What becomes of a put that the shared store cannot be asked for, as the policy says.
    pub(crate) fn offline(
        &self,
        call: &Call,
        expect: Expect,
        error: CacheError,
    ) -> Result<Receipt, CacheError> {
        if call.policy.offline_writes != OfflineWrites::Queue || expect != Expect::Any {
            return Err(error);
        }
        self.owe_keys(call.shard, vec![call.key.clone()]);
        self.queued()
    }

    /// Invalidates keys of one shard. What cannot be published now is owed; a caller that goes away before the
    /// acknowledgement leaves a debt, not a hole.
    pub(crate) async fn invalidate(
        &self,
        shard: Shard,
        keys: Vec<cache_core::CacheKey>,
    ) -> Result<Receipt, CacheError> {
        let mut debt = OweOnDrop {
            engine: self,
            shard,
            keys,
        };
        let changes = debt.keys.iter().map(|key| Change {
            key: key.clone(),
            record: None,
            expect: Expect::Any,
            propagation: cache_core::Propagation::Invalidate,
        });
        match self.write(shard, Op::Change(changes.collect())).await {
            Ok(Acknowledged {
                version, position, ..
            }) => {
                for key in std::mem::take(&mut debt.keys) {
                    self.invalidated(&key, version.seq);
                }
                Ok(Receipt::published(position, None))
            }
            Err(CacheError::Unavailable(_) | CacheError::Uncertain(_)) => {
                drop(debt);
                self.queued()
            }
            Err(error) => {
                debt.keys.clear();
                Err(error)
            }
        }
    }

    /// What to say of something that is owed by now: it is queued, unless this node is shutting down and may have paid its
    /// last debts already. Asked after it is owed, or it could be owed too late and promised all the same.
    pub(crate) fn queued(&self) -> Result<Receipt, CacheError> {
        if self.closing.load(Ordering::SeqCst) {
            Err(CacheError::Closed)
        } else {
            Ok(Receipt::Queued)
        }
    }

    /// These keys changed and that cannot be published now: this node bypasses both tiers for them until it is.
    pub(crate) fn owe_keys(&self, shard: Shard, keys: Vec<cache_core::CacheKey>) {
        if keys.is_empty() {
            return;
        }
        self.owe(|outbox| keys.iter().for_each(|key| outbox.owe_key(shard, key.clone())));
        for key in &keys {
            // No number is known yet. This closes a fetch under way to readers from now on, and takes out, or keeps out, what was
            // loaded past the shared store: that has no number either.
            self.supersede_unnumbered(key, Seq::ZERO.next());
        }
    }

    /// What was loaded of this key could not be stored, and may be newer than what others store.
    pub(crate) fn owe_load(&self, shard: Shard, key: &cache_core::CacheKey) {
        self.owe(|outbox| outbox.owe_key(shard, key.clone()));
        self.supersede_unnumbered(key, Seq::ZERO);
    }

    fn supersede_unnumbered(&self, key: &cache_core::CacheKey, seq: Seq) {
        if let Some(namespace) = self.memory.find(key.namespace()) {
            namespace.local.supersede(key, seq, Replacement::None);
        }
    }

    /// This node's invalidation was acknowledged.
    pub(crate) fn invalidated(&self, key: &cache_core::CacheKey, seq: Seq) {
        if let Some(namespace) = self.memory.find(key.namespace()) {
            namespace.counters.add(Count::Invalidation);
            namespace.local.supersede(key, seq, Replacement::None);
        }
    }

    /// Ends a value's freshness on every node, and keeps it for fail-safe. Where there is none, a load may be under way that
    /// knows an older one: it is invalidated.
    pub(crate) async fn expire(self: &Arc<Self>, call: Call) -> Result<Receipt, CacheError> {
        let (shard, lane) = (call.shard, Arc::clone(self.lane(call.shard)));
        let namespace = &self.memory.namespaces[call.namespace];
        for _attempt in 0..REFRESH_ATTEMPTS {
            let stored = self.stored(&call).await?;
            let Some((version, expires, opened)) = stored.and_then(|(version, body, expires)| {
                Some((version, expires, open_body(namespace, &self.ports, &body)?))
            }) else {
                return self.invalidate(shard, vec![call.key.clone()]).await;
            };
            let remaining = lane.remaining(expires, self.ports.clock.now());
            let mut policy = call.policy;
            policy.stale_while_revalidate = remaining.max(policy.grace());
            policy.jitter = cache_core::Permille(0);
            let (tags, stamp) = (Arc::clone(&opened.envelope.tags), opened.envelope.stamp);
            let (record, _) = seal_value(
                namespace,
                &self.ports,
                &policy,
                Sealing {
                    value: opened.value,
                    ttl: Duration::ZERO,
                    age: opened.envelope.life.saturating_sub(remaining),
                    tags,
                    stamp,
                },
            )?;
            let change = Change {
                key: call.key.clone(),
                record: Some(record),
                expect: Expect::Version(version),
                propagation: cache_core::Propagation::Invalidate,
            };
            match self.write(shard, Op::Change(vec![change])).await {
                Ok(Acknowledged {
                    version, position, ..
                }) => {
                    self.invalidated(&call.key, version.seq);
                    return Ok(Receipt::published(position, None));
                }
                Err(CacheError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // A key that is written all the time: what it was is of no use as a stand-in.
        self.invalidate(shard, vec![call.key.clone()]).await
    }

    /// Loads anew and publishes what was loaded, unless somebody wrote in between: then once more. The result is never
    /// older than the source was when this call began.
    pub(crate) async fn refresh(
        self: &Arc<Self>,
        call: Call,
        loader: ErasedLoader,
    ) -> Result<Receipt, CacheError> {
        for _attempt in 0..REFRESH_ATTEMPTS {
            let Some((version, _, _)) = self.stored(&call).await? else {
                return self.publish_absence_and_fill(call, loader).await;
            };
            let (asked, stamp) = (self.ports.clock.now(), self.lane(call.shard).stamp());
            let load = self
                .ask_source(&call, &loader, None, self.limit(&call))
                .await
                .map_err(|error| CacheError::Load(Arc::new(error)))?;
            let (value, ttl) = match load.outcome {
                ErasedOutcome::Value(value) => (Some(value), load.ttl),
                ErasedOutcome::Absent => (None, load.ttl.or(call.policy.negative_ttl)),
                ErasedOutcome::NotModified => {
                    return Err(CacheError::Load(Arc::new(LoadError::NothingToKeep)));
                }
            };
            if value.is_none() && ttl.is_none() {
                // Absence that is not to be remembered.
                return self.invalidate(call.shard, vec![call.key.clone()]).await;
            }
            let put = ErasedPut {
                call: call.clone(),
                value,
                ttl,
                loaded: Some((stamp, asked)),
                tags: load.tags,
                expect: Expect::Version(version),
            };
            match self.put(put).await {
                Err(CacheError::Conflict { .. }) => {}
                outcome => return outcome,
            }
        }
        // A key that everybody refreshes at once: an invalidation is right whatever the order.
        self.invalidate(call.shard, vec![call.key.clone()]).await
    }

    /// Nothing stands there, and that has no version to compare with: an invalidation in between could not be noticed.
    /// So the key is invalidated, and filled as a reader would, under a lease that any write takes away.
    async fn publish_absence_and_fill(
        self: &Arc<Self>,
        call: Call,
        loader: ErasedLoader,
    ) -> Result<Receipt, CacheError> {
        let receipt = self.invalidate(call.shard, vec![call.key.clone()]).await?;
        if receipt.version().is_some() {
            let call = Call {
                loader: Some(loader),
                ..call
            };
            self.fetch(call, None).await?;
        }
        Ok(receipt)
    }

    /// The live record of a key, from the copy that takes writes.
    pub(crate) async fn stored(
        &self,
        call: &Call,
    ) -> Result<Option<(Seq, Arc<[u8]>, cache_core::ServerTime)>, CacheError> {
        let lane = self.lane(call.shard);
        let limit = lane.timing().deadline;
        let deadline = self.ports.clock.now() + limit;
        loop {
            if self.stop.is_cancelled() {
                return Err(CacheError::Closed);
            }
            let left = deadline.since(self.ports.clock.now());
            if left.is_zero() || !lane.followed(call.shard, left).await {
                return Err(self.not_followed(call.shard));
            }
            let probe = lane.probe(call.shard);
            let keys = [call.key.clone()];
            let reply =
                match timeout(left, self.ports.shared.read(call.shard, &keys, ReadFrom::Primary)).await {
                    Err(elapsed) => return Err(CacheError::unavailable(elapsed)),
                    Ok(Err(error)) => return Err(by_kind(error)),
                    Ok(Ok(reply)) => reply,
                };
            if let Verdict::Admit { .. } =
                lane.observe(call.shard, &probe, Source::Primary, reply.server, reply.head)
            {
                let record = reply.answer.and_then(|mut records| records.pop()).flatten();
                return Ok(record.map(|record| (record.version, record.body, record.expires)));
            }
        }
    }
}

fn by_kind(error: cache_core::StoreError) -> CacheError {
    match error.kind() {
        cache_core::ErrorKind::Uncertain => CacheError::uncertain(error),
        cache_core::ErrorKind::Rejected => CacheError::rejected(error.to_string()),
        _unavailable_or_corrupt => CacheError::unavailable(error),
    }
}

/// A key's slot in memory while this node writes it: whatever supersedes the key before the acknowledgement has been
/// processed is noticed, and the own value is then not kept.
struct OwnPlace<'a> {
    engine: &'a Engine,
    call: &'a Call,
    ticket: Option<Ticket>,
}

impl<'a> OwnPlace<'a> {
    fn take(engine: &'a Engine, call: &'a Call) -> Self {
        let local = &engine.memory.namespaces[call.namespace].local;
        let begun = local.begin(&call.key, engine.ports.clock.now(), unshared(Arc::new(())));
        let ticket = match begun {
            Begun::Lead(ticket) => Some(ticket),
            Begun::Join(_) => None,
        };
        Self { engine, call, ticket }
    }

    /// This node reads its own write, or a newer one, from now on.
    fn keep(mut self, acknowledged: Acknowledged, opened: Opened, life: Duration, sent: Moment) {
        let namespace = &self.engine.memory.namespaces[self.call.namespace];
        let (local, key, seq) = (&namespace.local, &self.call.key, acknowledged.version.seq);
        local.supersede(key, seq, Replacement::None);
        let Some(ticket) = self.ticket.filter(|_| self.call.options.l1.writes()) else {
            return;
        };
        let basis = Basis {
            now: sent,
            version: acknowledged.version,
            as_of: seq,
            generation: acknowledged.generation,
            remaining: life,
        };
        let entry = make_entry(
            namespace,
            &self.engine.ports,
            &self.call.policy,
            key.as_str().len(),
            opened,
            &basis,
        );
        if local.finish(key, ticket, Some(Arc::new(entry))) == Finished::Installed {
            self.ticket = None;
        }
    }
}

impl Drop for OwnPlace<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.engine.memory.namespaces[self.call.namespace]
                .local
                .finish(&self.call.key, ticket, None);
        }
    }
}

/// Owes the invalidation of its keys when it is dropped.
struct OweOnDrop<'a> {
    engine: &'a Engine,
    shard: Shard,
    keys: Vec<cache_core::CacheKey>,
}

impl Drop for OweOnDrop<'_> {
    fn drop(&mut self) {
        self.engine.owe_keys(self.shard, std::mem::take(&mut self.keys));
    }
}
