//! One step of a shard's follower, and what its effects do: to entries, to barriers, to subscribers, to the lane's task.
//!
//! It decides nothing: what to do is the follower's decision.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use cache_core::{
    CacheEvent, CacheKey, EventId, EventOp, Head, Moment, Record, Seq, ServerMark, Shard, Version,
};

use super::{Changed, Chore, Coherence};
use crate::canaries::is_canary;
use crate::follower::{Effect, Follower};
use crate::rules::Rule;

impl Coherence {
    /// Runs one step of a shard's follower. What it orders is done before the new lease can be seen: a process that is
    /// frozen in between must not wake up with a lease for entries that should be gone.
    pub(super) fn step<T>(
        &self,
        shard: Shard,
        act: impl FnOnce(&mut Follower, &mut Vec<Effect>) -> T,
    ) -> (T, Vec<Arc<[u8]>>) {
        let mut follower = self.follower(shard);
        let mut effects = Vec::new();
        let (live, generation, cursor) = (follower.is_live(), follower.generation(), follower.cursor());
        let answer = act(&mut follower, &mut effects);
        let view = &self.views[shard.index()];
        // A new generation is shown first, so that no older entry is served under what comes next.
        view.generation.store(follower.generation(), Ordering::Release);
        if shard.holds_barriers() {
            self.follow_barriers(&follower, generation, &effects);
        }
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply(shard, &follower, &mut effects)));
        let announced = applied.unwrap_or_else(|_panic| {
            tracing::error!(%shard, "applying an event panicked; the shard is flushed");
            follower.lagged(&mut effects);
            effects.push(Effect::Missed);
            view.generation.store(follower.generation(), Ordering::Release);
            Vec::new()
        });
        let lease = follower.lease();
        let before = Moment::from_nanos(view.lease.swap(lease.as_nanos(), Ordering::Release));
        let regained = before < lease && self.clock.ceiling(before) >= before;
        let changed_state = follower.is_live() != live || follower.generation() != generation || regained;
        let moved = changed_state || follower.cursor() != cursor;
        drop(follower);
        if !effects.is_empty() {
            self.delegate(shard, effects);
        }
        if changed_state {
            self.progress.notify_waiters();
        }
        if moved {
            self.moved.notify_waiters();
        }
        (answer, announced)
    }

    fn apply(&self, shard: Shard, follower: &Follower, effects: &mut Vec<Effect>) -> Vec<Arc<[u8]>> {
        let mut announced = Vec::new();
        let mut latest: BTreeMap<CacheKey, (Seq, Option<Record>)> = BTreeMap::new();
        effects.retain_mut(|effect| {
            let Effect::Apply { seq, op } = effect else {
                return true;
            };
            match op {
                EventOp::Changed(keys) => {
                    for changed in keys.drain(..) {
                        if is_canary(&changed.key) {
                            self.canaries.came(shard, self.clock.now());
                        }
                        let slot = latest.entry(changed.key).or_insert((Seq::ZERO, None));
                        if *seq > slot.0 {
                            *slot = (*seq, changed.record);
                        }
                    }
                }
                EventOp::Announced(bytes) => announced.push(Arc::clone(bytes)),
                _barriers_and_flushes_are_done => {}
            }
            false
        });
        // Under repair there is no lineage and no entry of this generation: nothing to change.
        if let Some(lineage) = follower.lineage() {
            for (key, (seq, record)) in &latest {
                self.replica.changed(Changed {
                    key,
                    version: Version { lineage, seq: *seq },
                    generation: follower.generation(),
                    // A value from before a flush must not get the generation after it, whether it comes with it or later.
                    record: record
                        .as_ref()
                        .filter(|_| *seq > follower.flushed())
                        .map(|record| (record, self.remaining(record.expires, self.clock.now()))),
                });
            }
        }
        announced
    }

    pub(super) fn announce(&self, announced: Vec<Arc<[u8]>>) {
        for bytes in announced {
            match serde_json::from_slice::<CacheEvent>(&bytes) {
                Ok(event) => {
                    self.replica.announced(&event);
                    self.dispatcher.publish(&Arc::new(event));
                }
                Err(error) => {
                    tracing::warn!(%error, "an announced event cannot be read; subscribers are told that they missed one");
                    self.dispatcher.missed();
                }
            }
        }
    }

    fn follow_barriers(&self, follower: &Follower, generation_before: u64, effects: &[Effect]) {
        let mut barriers = self.barriers.write().unwrap_or_else(PoisonError::into_inner);
        let lineage = follower.lineage().unwrap_or_default();
        let mut changed = false;
        if lineage != barriers.lineage() || follower.generation() != generation_before {
            // Values stamped before this point are looked up in the store once, or belong to another lineage and are dead.
            // The point is the newest event known, not the cursor: a barrier raised early is not told a second time.
            barriers.reset(&Head {
                lineage,
                seq: follower.seen(),
                id: EventId(0),
                floor: Seq::ZERO,
                mark: ServerMark::default(),
            });
            changed = true;
        }
        for effect in effects {
            match effect {
                Effect::Apply {
                    seq,
                    op: EventOp::Raised(barrier),
                } => {
                    barriers.raise(barrier, *seq);
                    changed = true;
                }
                Effect::Apply {
                    op: EventOp::Unknown, ..
                } if !self.rules.hold(Rule::UnknownFlushes) => {}
                Effect::Apply {
                    seq,
                    op: EventOp::Flushed | EventOp::Unknown,
                } => {
                    barriers.advance(Seq::ZERO, *seq);
                    changed = true;
                }
                _not_about_barriers => {}
            }
        }
        barriers.advance(follower.cursor(), Seq::ZERO);
        drop(barriers);
        if changed {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn delegate(&self, shard: Shard, effects: Vec<Effect>) {
        let mut chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
        for effect in effects {
            match effect {
                Effect::Replay { from } => chores.push(Chore::Replay { shard, from }),
                Effect::Adopt { from, hint } => chores.push(Chore::Adopt { shard, from, hint }),
                Effect::Ask => {
                    if !chores.contains(&Chore::Ask) {
                        chores.push(Chore::Ask);
                    }
                }
                Effect::Missed => self.dispatcher.missed(),
                Effect::Apply { .. } => {}
            }
        }
        drop(chores);
        self.chores_came.notify_one();
    }
}
