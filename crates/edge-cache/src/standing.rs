//! What stands in the shared store under a key, as a reader would be shown it, for writes that depend on it.
//!
//! It is read from the copy that takes writes, past memory: a write that expects what memory holds would be refused again and
//! again.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{CacheKey, EntryValue, Expect, ReadFrom, Replacement, Seq, Shard, Tag};
use event_bus::{Rule, Source, Standing, Verdict, barrier_keys};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::entries::open_body;
use crate::reading::{Call, PATIENCE};
use crate::stats::Count;
use crate::value::Erased;
use crate::writing::ErasedPut;
use crate::{CacheError, Receipt};

/// Times that a write reads again what stands there, before it tells that others write too fast. With the pauses in between,
/// enough for dozens of writers of one key.
const ATTEMPTS: u32 = 32;
/// Shortest and longest pause before that; each is shortened at random, so that writers do not meet again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// What stands under a key.
struct Stands {
    /// The version that a write must expect; [`Seq::ZERO`] where there is no record at all.
    version: Seq,
    /// `None` where a reader is told that there is nothing: a remembered absence, a record that has expired, that a barrier has
    /// killed, or that cannot be read.
    value: EntryValue,
    tags: Arc<[Tag]>,
}

/// What takes the place of what stands there.
pub(crate) struct Change {
    pub(crate) value: Erased,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Arc<[Tag]>,
}

impl Engine {
    /// Puts a value. A put that expects nothing finds nothing where a reader would, whatever record says so.
    pub(crate) async fn put(self: &Arc<Self>, mut put: ErasedPut) -> Result<Receipt, CacheError> {
        let expects_nothing = put.expect == Expect::Version(Seq::ZERO);
        let mut outcome = self.put_once(&put).await;
        for _attempt in 0..ATTEMPTS {
            if !expects_nothing || !matches!(outcome, Err(CacheError::Conflict { .. })) {
                break;
            }
            let Ok(stands) = self.stands(&put.call).await else {
                break;
            };
            if stands.value.is_some() {
                break;
            }
            put.expect = Expect::Version(stands.version);
            outcome = self.put_once(&put).await;
        }
        if let Err(CacheError::Conflict { found }) = &outcome {
            self.in_conflict(&put.call, *found);
        }
        outcome
    }

    /// Changes what stands there, unless somebody else does meanwhile: then once more, from what stands there by then.
    pub(crate) async fn update(
        self: &Arc<Self>,
        call: Call,
        mut change: impl FnMut(Option<&Erased>) -> Change,
    ) -> Result<Receipt, CacheError> {
        let lane = Arc::clone(self.lane(call.shard));
        let (started, limit) = (self.ports.clock.now(), self.write_limit(&call) * PATIENCE);
        let (mut pause, mut attempts) = (PAUSE.0, 0);
        loop {
            if !lane
                .followed(Shard::barriers(call.shard.lane()), self.write_limit(&call))
                .await
            {
                return Err(CacheError::unavailable("the barriers are not being followed"));
            }
            // A tag that is invalidated from here on concerns what was read, and with it what becomes of that.
            let (asked, stamp) = (self.ports.clock.now(), lane.stamp());
            let stands = self.stands(&call).await?;
            let new = change(stands.value.as_ref());
            let put = ErasedPut {
                call: call.clone(),
                value: Some(new.value),
                ttl: new.ttl,
                loaded: Some((stamp, asked)),
                tags: if new.tags.is_empty() {
                    stands.tags
                } else {
                    new.tags
                },
                expect: Expect::Version(stands.version),
            };
            let outcome = self.put_once(&put).await;
            let Err(CacheError::Conflict { found }) = &outcome else {
                return outcome;
            };
            self.in_conflict(&call, *found);
            attempts += 1;
            if attempts == ATTEMPTS || self.ports.clock.now().since(started) >= limit {
                return outcome;
            }
            let share = (self.ports.entropy.draw() >> 11) as f64 / (1_u64 << 53) as f64;
            tokio::time::sleep(pause.mul_f64(share)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// A write was refused because another version stands there: memory shows nobody the older one any more.
    fn in_conflict(&self, call: &Call, found: Seq) {
        let namespace = &self.memory.namespaces[call.namespace];
        namespace.counters.add(Count::Conflict);
        let local = &namespace.local;
        if !self.lane(call.shard).rules().hold(Rule::ConflictsAreNews) {
            return;
        }
        if found == Seq::ZERO {
            // Nothing stands there, and that has no version.
            local.supersede(&call.key, Seq(u64::MAX), Replacement::Evict);
        } else {
            local.supersede(&call.key, found, Replacement::None);
        }
    }

    async fn stands(&self, call: &Call) -> Result<Stands, CacheError> {
        let namespace = &self.memory.namespaces[call.namespace];
        let nothing = |version| Stands {
            version,
            value: None,
            tags: Arc::from([]),
        };
        let Some((version, body, expires)) = self.stored(call).await? else {
            return Ok(nothing(Seq::ZERO));
        };
        let Some(opened) = open_body(namespace, &self.ports, &body) else {
            return Ok(nothing(version));
        };
        let lane = self.lane(call.shard);
        if lane.remaining(expires, self.ports.clock.now()) <= opened.envelope.grace {
            return Ok(nothing(version));
        }
        let barriers = barrier_keys(&namespace.barrier, &opened.envelope.tags);
        let stamp = opened.envelope.stamp;
        let heard = lane.judge(stamp, &barriers);
        let current = lane.leased(Shard::barriers(call.shard.lane()));
        let standing = match heard {
            Standing::Unknown | Standing::Valid if !current || heard == Standing::Unknown => {
                if !self.learn(call.shard, &barriers, self.write_limit(call)).await {
                    return Err(CacheError::unavailable(
                        "whether a barrier has killed the value cannot be read",
                    ));
                }
                lane.judge(stamp, &barriers)
            }
            known => known,
        };
        if standing != Standing::Valid || self.owes_barrier(call.shard, &barriers) {
            return Ok(nothing(version));
        }
        Ok(Stands {
            version,
            value: opened.value,
            tags: opened.envelope.tags,
        })
    }

    /// Reads the records of barriers that are older than what this node knows, for values of this shard.
    pub(crate) async fn learn(&self, shard: Shard, barriers: &[CacheKey], limit: Duration) -> bool {
        let shard = Shard::barriers(shard.lane());
        let lane = self.lane(shard);
        let probe = lane.probe(shard);
        let read = self.ports.shared.read(shard, barriers, ReadFrom::Primary);
        let Ok(Ok(reply)) = timeout(limit, read).await else {
            return false;
        };
        let verdict = lane.observe(shard, &probe, Source::Primary, reply.server, reply.head);
        let (Verdict::Admit { .. }, Some(head), Some(records)) = (verdict, reply.head, reply.answer) else {
            return false;
        };
        let found = barriers.iter().zip(records).map(|(key, record)| {
            let raised = record.map_or(head.floor, |record| record.version.max(head.floor));
            (key.clone(), raised)
        });
        lane.learn_barriers(&probe, found)
    }
}
