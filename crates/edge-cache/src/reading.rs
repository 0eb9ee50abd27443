//! The read path up to the point where somebody must ask the shared store.
//!
//! A memory hit is decided here in one look: lease, generation, barriers, debts and expiry, with no I/O and no lock of
//! its own.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{
    Begun, CacheKey, Coherence as Kind, Entry, Flight, Moment, Policy, Replacement, Seq, Shard,
};
use event_bus::{Coherence, Rule, barrier_keys};

use crate::engine::Engine;
use crate::fetched::{Answer, Promise, Tier};
use crate::fill::Fill;
use crate::load::ErasedLoader;
use crate::memory::NamespaceState;
use crate::options::Options;
use crate::rendezvous::{FillOutcome, Rendezvous};
use crate::stats::Count;
use crate::{CacheError, LoadError};

mod apart;

/// A read that is under way.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) namespace: usize,
    pub(crate) key: CacheKey,
    pub(crate) shard: Shard,
    pub(crate) policy: Policy,
    pub(crate) options: Options,
    pub(crate) loader: Option<ErasedLoader>,
}

/// What memory has to say.
pub(crate) enum Look {
    /// It may be served.
    Hit(Answer),
    /// It may be served only as stale, if the policy allows it.
    Stale(Answer),
    /// Nothing that helps.
    Miss,
}

impl Engine {
    /// What memory has to say about a key; a hit is counted. Inlined into its callers, as they are into theirs: passing an
    /// answer through memory costs a tenth of a hit.
    #[inline(always)]
    pub(crate) fn look(&self, namespace: &NamespaceState, key: &CacheKey, shard: Shard) -> Look {
        // The lease is taken before the entry: what it vouches for had been applied by then. The other way round, an entry
        // that was no longer covered could be served under a lease that was renewed in between.
        let lease = self.lease(namespace, shard);
        // Debts are asked for before what their payment changes: whoever pays drops the entry first, then the debt.
        let owing = self.owing();
        if owing && self.owes(shard, key) {
            return self.look_apart(namespace, key, shard);
        }
        let Some(entry) = namespace.local.read(key) else {
            return Look::Miss;
        };
        let lane = self.lane(shard);
        if entry.generation != lane.generation(shard) {
            return self.look_apart(namespace, key, shard);
        }
        if (owing && self.owes_barrier_of(namespace, shard, &entry))
            || !lane.barriers_allow(&entry, &namespace.barrier)
        {
            return Look::Miss;
        }
        // The lease is compared with the clock here, in the read itself: after a freeze, a reader may run before any task.
        let end = lease.min(entry.fresh_until);
        let now = self.ports.clock.ceiling(end);
        if now < end {
            // Before the answer is made: what can panic after that keeps it out of the registers.
            if self.spot_checks.picks(namespace.counters.l1_hit()) {
                self.spot_check(namespace, key, shard, &entry, lease);
            }
            let (promise, since) = match namespace.policy.coherence {
                // The lease runs from the moment of its proof.
                Kind::EventDriven => (Promise::Current, lease.back(lane.timing().lease)),
                Kind::TtlOnly => (Promise::WithinTtl, entry.born),
            };
            return Look::Hit(Answer {
                entry,
                tier: Tier::L1,
                at: now,
                promise,
                since,
            });
        }
        if now < entry.fresh_until && self.serves_unproven(&namespace.policy, shard) {
            let since = lease.back(lane.timing().lease);
            return self.unproven(namespace, entry, now, since);
        }
        if now >= entry.usable_until.max(entry.fresh_until) {
            return Look::Miss;
        }
        Look::Stale(self.stale(lane, lease, entry))
    }

    /// Whether memory holds the key's value and would serve it now, expiry and leases aside.
    pub(crate) fn holds(&self, namespace: &NamespaceState, key: &CacheKey, shard: Shard) -> bool {
        let resident = namespace.local.read(key);
        resident.is_some_and(|entry| {
            entry.value.is_some() && entry.generation == self.lane(shard).generation(shard)
        })
    }

    /// Has this hit compared with the log later. What is bounded by its TTL alone promises nothing that could be checked.
    #[cold]
    fn spot_check(
        &self,
        namespace: &NamespaceState,
        key: &CacheKey,
        shard: Shard,
        entry: &Entry,
        lease: Moment,
    ) {
        if namespace.policy.coherence == Kind::EventDriven {
            let barrier = &namespace.barrier;
            self.lane(shard).spot_check(shard, key, barrier, entry, lease);
        }
    }

    #[cold]
    fn owes_barrier_of(&self, namespace: &NamespaceState, shard: Shard, entry: &Entry) -> bool {
        self.owes_barrier(shard, &barrier_keys(&namespace.barrier, &entry.tags))
    }

    /// Until when memory hits are allowed: without end where only the TTL bounds them.
    #[inline]
    pub(crate) fn lease(&self, namespace: &NamespaceState, shard: Shard) -> Moment {
        match namespace.policy.coherence {
            Kind::EventDriven => self.lane(shard).lease(shard),
            Kind::TtlOnly => Moment::FOREVER,
        }
    }

    /// A stale entry as an answer: current until it expired, or until it was last proven by this lease, which must have been
    /// taken before the entry. Later leases say nothing about it: it may be superseded by then. And a lease, whether it still
    /// stands or not, proves what was so when its question was sent: a span before its end.
    #[cold]
    fn stale(&self, lane: &Coherence, lease: Moment, entry: Arc<Entry>) -> Answer {
        let at = self.ports.clock.now();
        let proven = if at < lease && !lane.rules().hold(Rule::StaleSinceProof) {
            at
        } else {
            lease.back(lane.timing().lease)
        };
        Answer {
            tier: Tier::L1,
            at,
            promise: Promise::Stale,
            since: proven.min(entry.fresh_until),
            entry,
        }
    }

    /// A stale answer at this moment, if the policy allows it. Revalidation in the background is for what has expired; what
    /// is unproven, because there is no lease, is only for fail-safe and within its bound.
    fn stand_in(&self, call: &Call, stale: &Answer) -> Option<Answer> {
        let at = self.ports.clock.now();
        let fail_safe = call
            .policy
            .fail_safe
            .is_some_and(|fail_safe| at.since(stale.since) <= fail_safe.max_stale);
        (fail_safe || self.revalidates(call, &stale.entry, at)).then(|| Answer { at, ..stale.clone() })
    }

    /// Whether an expired entry is served while it is refreshed behind its readers.
    fn revalidates(&self, call: &Call, entry: &Entry, now: Moment) -> bool {
        let namespace = &self.memory.namespaces[call.namespace];
        now < self.lease(namespace, call.shard)
            && now < entry.fresh_until + call.policy.stale_while_revalidate
    }

    /// Answers a read that memory could not answer at once.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        call: Call,
        stale: Option<Answer>,
    ) -> Result<Option<Answer>, CacheError> {
        let namespace = &self.memory.namespaces[call.namespace];
        namespace.counters.add(Count::L1Miss);
        match stale.and_then(|stale| self.stand_in(&call, &stale)) {
            Some(answer) => self.answer_stale(call, answer).await,
            None => self.outcome(&call, None).await,
        }
    }

    /// A stale value is at hand: serve it at once, or when the load is slow, or when it fails; as the policy says.
    async fn answer_stale(
        self: &Arc<Self>,
        call: Call,
        answer: Answer,
    ) -> Result<Option<Answer>, CacheError> {
        let counters = &self.memory.namespaces[call.namespace].counters;
        let now = self.ports.clock.now();
        let entry = &answer.entry;
        let throttled = now < entry.refresh_from
            && entry.refresh_from > entry.fresh_until
            && entry.refresh_from != Moment::FOREVER;
        if throttled || self.revalidates(&call, entry, now) {
            if !throttled && call.loader.is_some() {
                self.refresh_behind(&call, &answer, Seq::ZERO);
            }
            counters.add(Count::StaleServed);
            return Ok(Some(answer));
        }
        let outcome = self.outcome(&call, Some(&answer));
        tokio::pin!(outcome);
        if let Some(soft) = call.policy.soft_timeout {
            // The load goes on when this reader stops waiting: for the next one.
            self.refresh_behind(&call, &answer, Seq::ZERO);
            match tokio::time::timeout(soft, &mut outcome).await {
                Ok(outcome) => return self.or_stand_in(&call, &answer, outcome),
                Err(_elapsed) => {
                    // The wait made it older: what is served says how old it is now.
                    if let Some(answer) = self.stand_in(&call, &answer) {
                        counters.add(Count::StaleServed);
                        return Ok(Some(answer));
                    }
                }
            }
        }
        let outcome = outcome.await;
        self.or_stand_in(&call, &answer, outcome)
    }

    /// A stale value stands in for a failure, where it still may.
    fn or_stand_in(
        &self,
        call: &Call,
        stale: &Answer,
        outcome: Result<Option<Answer>, CacheError>,
    ) -> Result<Option<Answer>, CacheError> {
        let failed = matches!(outcome, Err(CacheError::Load(_) | CacheError::Unavailable(_)));
        if failed
            && call.policy.fail_safe.is_some()
            && let Some(answer) = self.stand_in(call, stale)
        {
            let counters = &self.memory.namespaces[call.namespace].counters;
            counters.add(Count::StaleServed);
            return Ok(Some(answer));
        }
        outcome
    }

    /// Joins the fetch of a key or leads it, and waits for its end.
    pub(crate) async fn outcome(
        self: &Arc<Self>,
        call: &Call,
        stale: Option<&Answer>,
    ) -> Result<Option<Answer>, CacheError> {
        let counters = &self.memory.namespaces[call.namespace].counters;
        let started = self.ports.clock.now();
        let limit = self.limit(call) * PATIENCE;
        let mut company = Company::Any;
        for _fetch in 0..TAKEOVERS {
            if self.stop.is_cancelled() {
                return Err(CacheError::Closed);
            }
            let mut left = limit.saturating_sub(self.ports.clock.now().since(started));
            if left.is_zero() {
                break;
            }
            let (rendezvous, joined) = self.enter(call, stale, Seq::ZERO, company);
            if joined {
                counters.add(Count::Join);
                if let Some(loader) = &call.loader {
                    loader.waits();
                }
            }
            let alike = !joined || rendezvous.loads() == call.loader.is_some();
            if !alike && call.loader.is_some() {
                // As long as a fetch of its own would wait for the shared store before it asks the loader.
                left = left.min(self.write_limit(call) / 2);
            }
            match tokio::time::timeout(left, rendezvous.wait(&self.tasks)).await {
                Ok(outcome) => {
                    if let Some(answer) = self.answered(call, outcome, started, joined) {
                        return answer;
                    }
                }
                Err(_elapsed) if alike => break,
                Err(_elapsed) => {}
            }
            if !alike {
                company = Company::Alike;
            }
        }
        Err(given_up(call))
    }

    /// What the end of a fetch is to a reader who came at `started`; `None` when the reader must start over.
    pub(crate) fn answered(
        &self,
        call: &Call,
        outcome: FillOutcome,
        started: Moment,
        joined: bool,
    ) -> Option<Result<Option<Answer>, CacheError>> {
        Some(match outcome {
            FillOutcome::Found(entry, tier) => Ok(Some(self.describe(call, entry, tier, started, joined))),
            FillOutcome::StandIn(answer) => {
                let counters = &self.memory.namespaces[call.namespace].counters;
                counters.add(Count::StaleServed);
                let at = self.ports.clock.now();
                Ok(Some(Answer { at, ..answer }))
            }
            // A fetch without a loader ended; this reader has one. Or it has none, and a loader failed that it never asked for.
            FillOutcome::Absent | FillOutcome::Failed(CacheError::Unavailable(_))
                if joined && call.loader.is_some() =>
            {
                return None;
            }
            FillOutcome::Failed(CacheError::Load(_)) if joined && call.loader.is_none() => return None,
            FillOutcome::Failed(error) => Err(error),
            // Its leader went away.
            FillOutcome::Dropped => return None,
            FillOutcome::Absent => Ok(None),
        })
    }

    /// How long one fetch may take: as long as its loader, which may be longer than any answer of the shared store is worth.
    pub(crate) fn limit(&self, call: &Call) -> Duration {
        let deadline = self.lane(call.shard).timing().deadline;
        call.policy.hard_timeout.unwrap_or(deadline)
    }

    /// How long one write may take, and one question to the shared store: never longer than its answer is worth anything.
    pub(crate) fn write_limit(&self, call: &Call) -> Duration {
        self.limit(call).min(self.lane(call.shard).timing().deadline)
    }

    /// Lets a refresh run to its end whoever waits for it; starts one unless one is under way. Records up to `newer_than` count as missing.
    pub(crate) fn refresh_behind(self: &Arc<Self>, call: &Call, answer: &Answer, newer_than: Seq) {
        let (rendezvous, _joined) = self.enter(call, Some(answer), newer_than, Company::Any);
        rendezvous.want_anyway(&self.tasks);
    }

    /// The fetch of a key that is under way, or a new one; tells whether it was joined.
    fn enter(
        self: &Arc<Self>,
        call: &Call,
        stale: Option<&Answer>,
        newer_than: Seq,
        company: Company,
    ) -> (Arc<Rendezvous>, bool) {
        let local = &self.memory.namespaces[call.namespace].local;
        let (mut rendezvous, mut begun) = self.begin(call);
        for _other in 0..TAKEOVERS {
            let Begun::Join(other) = &begun else { break };
            if company == Company::Any || rendezvous_of(other).loads() == call.loader.is_some() {
                break;
            }
            // That fetch goes on for those who wait for it, and nobody else joins it.
            local.supersede(&call.key, Seq::ZERO, Replacement::None);
            (rendezvous, begun) = self.begin(call);
        }
        match begun {
            Begun::Join(other) => (self.join(&other), true),
            Begun::Lead(ticket) => {
                // From here on, what supersedes the key raises the slot's floor. What did so before must not see the entry
                // brought back as a stand-in.
                let stale = stale.filter(|stale| self.still_stands(call, &stale.entry));
                let fill = Fill {
                    engine: Arc::clone(self),
                    call: call.clone(),
                    ticket,
                    rendezvous: Arc::clone(&rendezvous),
                    begun: self.ports.clock.now(),
                    stale: stale.cloned(),
                    newer_than,
                    cause: None,
                };
                rendezvous.begin(self.holding.of(fill.run()), &self.tasks);
                (rendezvous, false)
            }
        }
    }

    /// Whether an entry that was looked up a while ago may still stand in: memory holds it, and nothing has killed it that leaves it
    /// there, as an owed invalidation and a barrier do.
    pub(crate) fn still_stands(&self, call: &Call, entry: &Arc<Entry>) -> bool {
        let namespace = &self.memory.namespaces[call.namespace];
        // Debts first, for the same reason as in a look.
        let owed = self.owing()
            && (self.owes(call.shard, &call.key) || self.owes_barrier_of(namespace, call.shard, entry));
        let resident = namespace.local.read(&call.key);
        let lane = self.lane(call.shard);
        !owed
            && resident.is_some_and(|resident| Arc::ptr_eq(&resident, entry))
            && entry.generation == lane.generation(call.shard)
            && lane.barriers_allow(entry, &namespace.barrier)
    }

    /// Joins the fetch that is under way in a slot.
    pub(crate) fn join(&self, other: &Arc<dyn Any + Send + Sync>) -> Arc<Rendezvous> {
        let other = rendezvous_of(other);
        other.join(&self.tasks);
        other
    }

    pub(crate) fn begin(&self, call: &Call) -> (Arc<Rendezvous>, Begun) {
        let rendezvous = Arc::new(Rendezvous::default());
        if call.loader.is_some() {
            rendezvous.has_a_loader();
        }
        let begun = self.begin_with(call, &rendezvous);
        (rendezvous, begun)
    }

    pub(crate) fn begin_with(&self, call: &Call, rendezvous: &Arc<Rendezvous>) -> Begun {
        let namespace = &self.memory.namespaces[call.namespace];
        let lane = self.lane(call.shard);
        let probe = lane.probe(call.shard);
        let flight = Flight {
            generation: (probe.era << 32) ^ lane.epoch(),
            // A load that takes longer is joined all the same: what it is stored with, or its age, tells what it may lack.
            join_until: probe.sent + lane.timing().deadline.max(self.limit(call)),
            rendezvous: Arc::clone(rendezvous) as _,
        };
        let flight = if call.options.is_private() {
            unshared(flight.rendezvous)
        } else {
            flight
        };
        namespace.local.begin(&call.key, probe.sent, flight)
    }

    /// What is known of an answer that was fetched for a reader who came at `started`.
    fn describe(&self, call: &Call, entry: Arc<Entry>, tier: Tier, started: Moment, joined: bool) -> Answer {
        let (promise, since) = match call.policy.coherence {
            Kind::TtlOnly => (Promise::WithinTtl, entry.born),
            Kind::EventDriven => {
                let timing = self.lane(call.shard).timing();
                let since = match tier {
                    // What was loaded lacks nothing that was published before its load began.
                    Tier::Source => started.min(entry.born),
                    // The shared store may have answered from a copy that lags, though never by more than a lease when it was
                    // asked; and who joined may have come after that, by as long as its answer may have taken.
                    Tier::L1 | Tier::L2 if joined => started.back(timing.deadline + timing.lease),
                    Tier::L1 | Tier::L2 => started.back(timing.lease),
                };
                (Promise::Current, since)
            }
        };
        Answer {
            entry,
            tier,
            at: self.ports.clock.now(),
            promise,
            since,
        }
    }

    /// Starts a refresh in the background when a hit is late in its life.
    #[inline]
    pub(crate) fn refresh_early(self: &Arc<Self>, call: impl FnOnce() -> Call, hit: &Answer) {
        // Without the shared store, a refresh could only take the value out of memory.
        if matches!(hit.promise, Promise::Unproven) {
            return;
        }
        let (entry, due) = (&hit.entry, hit.entry.refresh_from);
        if due < self.ports.clock.ceiling(due) && !entry.refreshing.swap(true, Ordering::AcqRel) {
            self.refresh_behind(&call(), hit, entry.version.seq);
        }
    }
}

/// Whose fetch a reader joins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    /// Anybody's: most often the shared store answers, and a loader is not needed.
    Any,
    /// Of those that have a loader as this reader has, or none as it has none. For one who was told what answers another question.
    Alike,
}

fn rendezvous_of(slot: &Arc<dyn Any + Send + Sync>) -> Arc<Rendezvous> {
    let Ok(rendezvous) = Arc::clone(slot).downcast::<Rendezvous>() else {
        unreachable!("slots hold only what this engine put into them");
    };
    rendezvous
}

/// A fetch that nobody joins, because no reader has this generation; a reader who comes takes its slot over.
pub(crate) fn unshared(rendezvous: Arc<dyn Any + Send + Sync>) -> Flight {
    Flight {
        generation: u64::MAX,
        join_until: Moment::NEVER,
        rendezvous,
    }
}

#[cold]
pub(crate) fn given_up(call: &Call) -> CacheError {
    if call.loader.is_some() {
        CacheError::Load(Arc::new(LoadError::TimedOut))
    } else {
        CacheError::unavailable("the key's fetch was taken over or given up again and again")
    }
}

/// How many limits of one fetch a reader waits in all. One fetch takes up to two when the key changes faster than it can
/// be read; a third leaves room for one that was joined late and given up by its leader.
pub(crate) const PATIENCE: u32 = 3;

/// How many fetches a reader sees given up, by a leader that went away or a store that panics, before it gives up too.
const TAKEOVERS: u32 = 12;

#[cfg(test)]
mod tests;
