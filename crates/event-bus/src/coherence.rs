//! The followers of one lane behind locks, and what readers need of them behind atomics.
//!
//! The shell of the pure parts: every decision is the follower's or the barriers'. It opens no connection; the
//! lane's task does.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use cache_core::{
    Barrier, BarrierStamp, CacheEvent, CacheKey, Clock, Entry, Head, Heads, Lane, Lineage, Moment, ReadFrom,
    Record, Replay, Seq, ServerId, ServerTime, Shard, ShardCount, Version, WireEvent,
};
use tokio::sync::Notify;

use crate::canaries::Canaries;
use crate::follower::{Follower, Probe, Source, Tally, Verdict};
use crate::rules::{Rule, Rules};
use crate::spot_checks::SpotChecks;
use crate::{Barriers, Dispatcher, Standing};

mod applying;
mod checking;
mod contact;
mod reaching;

pub use contact::Unleased;

/// The spans of time that the promises are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// L: how long a node may serve from memory after its last proof of being current. Default 3 s: long enough to
    /// ride out a failover of the bus connection, short enough to be stated as a bound.
    pub lease: Duration,
    /// D: how old an answer may be when it comes. Never above the lease. Default 2 s.
    pub deadline: Duration,
}

impl Timing {
    /// Time between heartbeats: a third of the lease, so that two may be lost.
    pub fn heartbeat(&self) -> Duration {
        self.lease / 3
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            deadline: Duration::from_secs(2),
        }
    }
}

/// A key changed somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// The key.
    pub key: &'a CacheKey,
    /// Its new version.
    pub version: Version,
    /// The generation that entries of its shard must carry from now on.
    pub generation: u64,
    /// Its new record and what is left of that record's life, where the value travelled with the event.
    pub record: Option<(&'a Record, Duration)>,
}

/// What the lane does with what it learns: implemented by the cache. Must not block.
pub trait Replica: Send + Sync + 'static {
    /// Drops or replaces what is older than the change.
    fn changed(&self, change: Changed<'_>);

    /// Somebody is about to be told of this event. What it touches may lie in other shards, whose events come later: it is
    /// dropped now, or whoever hears of the event would find it unchanged.
    fn announced(&self, event: &CacheEvent);
}

/// What the lane's task must do for a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chore {
    Replay {
        shard: Shard,
        from: Seq,
    },
    Adopt {
        shard: Shard,
        from: Option<Lineage>,
        hint: Seq,
    },
    Ask,
}

/// One lane of one node: which of its entries may be served, and what its replies are worth.
pub struct Coherence {
    lane: Lane,
    count: ShardCount,
    timing: Timing,
    rules: Rules,
    clock: Arc<dyn Clock>,
    replica: Arc<dyn Replica>,
    dispatcher: Arc<Dispatcher>,
    shards: Vec<Mutex<Follower>>,
    views: Vec<View>,
    barriers: RwLock<Barriers>,
    /// Rises whenever a barrier does: an entry judged under this epoch need not be judged again.
    epoch: AtomicU64,
    server_time: Mutex<Option<(ServerTime, Moment)>>,
    chores: Mutex<Vec<Chore>>,
    chores_came: Notify,
    progress: Notify,
    /// Some shard has applied more, or follows another history.
    moved: Notify,
    last_event: AtomicU64,
    checks: Mutex<SpotChecks>,
    canaries: Canaries,
    contact: contact::Contact,
    pub(crate) queued: AtomicUsize,
    pub(crate) connected: AtomicBool,
    unreachable: AtomicBool,
}

/// What the hit path reads of a shard.
#[derive(Debug, Default)]
struct View {
    lease: AtomicU64,
    generation: AtomicU64,
}

impl Coherence {
    /// A lane that has seen nothing yet.
    pub fn new(
        lane: Lane,
        shards: ShardCount,
        timing: Timing,
        clock: Arc<dyn Clock>,
        replica: Arc<dyn Replica>,
        dispatcher: Arc<Dispatcher>,
    ) -> Self {
        Self::with_rules(lane, shards, timing, clock, replica, dispatcher, Rules::default())
    }

    /// A lane under other rules.
    pub fn with_rules(
        lane: Lane,
        shards: ShardCount,
        timing: Timing,
        clock: Arc<dyn Clock>,
        replica: Arc<dyn Replica>,
        dispatcher: Arc<Dispatcher>,
        rules: Rules,
    ) -> Self {
        let count = shards.places();
        let follower = || Follower::new(timing.lease, timing.deadline).with_rules(rules);
        Self {
            lane,
            count: shards,
            timing,
            rules,
            clock,
            replica,
            dispatcher,
            shards: (0..count).map(|_| Mutex::new(follower())).collect(),
            views: (0..count).map(|_| View::default()).collect(),
            barriers: RwLock::new(Barriers::under(rules)),
            epoch: AtomicU64::new(1),
            server_time: Mutex::new(None),
            chores: Mutex::default(),
            chores_came: Notify::new(),
            progress: Notify::new(),
            moved: Notify::new(),
            last_event: AtomicU64::new(0),
            checks: Mutex::new(SpotChecks::of(shards)),
            canaries: Canaries::of(shards),
            contact: contact::Contact::default(),
            queued: AtomicUsize::new(0),
            connected: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
        }
    }

    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Its shards, the one of the barriers first.
    pub fn shards(&self) -> impl Iterator<Item = Shard> + Clone {
        self.count.all(self.lane)
    }

    /// The rules it is under.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// The spans its promises are made of.
    pub const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Whether memory hits of this shard are allowed now.
    pub fn leased(&self, shard: Shard) -> bool {
        let lease = self.lease(shard);
        self.clock.ceiling(lease) < lease
    }

    /// Which copy of the store may be asked. A lagging one cannot be told from a current one by a node that may have
    /// missed events itself; under a lease it lacks nothing that is older than the lease.
    pub fn copy_to_ask(&self, shard: Shard) -> ReadFrom {
        let leased = self.leased(shard) || !self.rules.hold(Rule::LeaseForAnyCopy);
        if leased { ReadFrom::Any } else { ReadFrom::Primary }
    }

    /// Until when memory hits of this shard are allowed: its own lease and the barriers' must both hold.
    #[inline]
    pub fn lease(&self, shard: Shard) -> Moment {
        let own = self.views[shard.index()].lease.load(Ordering::Acquire);
        let barriers = self.views[Shard::barriers(self.lane).index()]
            .lease
            .load(Ordering::Acquire);
        Moment::from_nanos(own.min(barriers))
    }

    /// The generation that entries of this shard must carry.
    #[inline]
    pub fn generation(&self, shard: Shard) -> u64 {
        self.views[shard.index()].generation.load(Ordering::Acquire)
    }

    /// Whether none of the entry's barriers was raised since its fill started. Entries whose barriers are unknown count
    /// as not valid: they must be read again.
    #[inline]
    pub fn barriers_allow(&self, entry: &Entry, namespace: &CacheKey) -> bool {
        let epoch = self.epoch.load(Ordering::Acquire);
        if entry.checked_epoch.load(Ordering::Relaxed) == epoch {
            return true;
        }
        self.allow_until_the_next(epoch, entry, namespace)
    }

    #[cold]
    fn allow_until_the_next(&self, epoch: u64, entry: &Entry, namespace: &CacheKey) -> bool {
        let valid = self.judge(entry.stamp, &barrier_keys(namespace, &entry.tags)) == Standing::Valid;
        if valid {
            entry.checked_epoch.store(epoch, Ordering::Relaxed);
        }
        valid
    }

    /// What the barriers say about a value with this stamp.
    pub fn judge(&self, stamp: BarrierStamp, barriers: &[CacheKey]) -> Standing {
        self.barriers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .judge(stamp, barriers)
    }

    /// The stamp for a value that is loaded or written from now on. Every barrier known to exist was raised before now, so
    /// the value is newer than all of them, whether or not their events have come.
    pub fn stamp(&self) -> BarrierStamp {
        let probe = self.probe(Shard::barriers(self.lane));
        BarrierStamp {
            lineage: probe.lineage.unwrap_or_default(),
            seq: probe.seen,
        }
    }

    /// The store's records, asked for under `probe`, say that these barriers were last raised then. Tells whether that is
    /// still worth anything: after a flush of the barriers it may lack one that the flush stands for.
    pub fn learn_barriers(&self, probe: &Probe, found: impl IntoIterator<Item = (CacheKey, Seq)>) -> bool {
        // The lock first: a flush shows its generation before it takes the lock to forget what was learned.
        let mut barriers = self.barriers.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation(Shard::barriers(self.lane)) != probe.generation {
            return false;
        }
        for (key, seq) in found {
            barriers.learn(key, seq);
        }
        true
    }

    /// This node raised a barrier and was told its number.
    pub fn raised(&self, barrier: &Barrier, seq: Seq) {
        self.barriers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .raise(barrier, seq);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// This node flushed a whole shard and was told so.
    pub fn flushed(&self, shard: Shard) {
        self.on_lagged(shard);
    }

    /// Rises with every barrier: a reader that comes after one must not join a fetch that began before it.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// This node decided to raise a barrier and could not publish it: readers from now on count as coming after it.
    pub fn owes_barrier(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// What to remember while a question about this shard is under way.
    pub fn probe(&self, shard: Shard) -> Probe {
        self.follower(shard).probe(self.clock.now())
    }

    /// An answer about this shard came.
    pub fn observe(
        &self,
        shard: Shard,
        probe: &Probe,
        source: Source,
        server: ServerId,
        head: Option<Head>,
    ) -> Verdict {
        let now = self.clock.now();
        let (verdict, announced) = self.step(shard, |follower, effects| {
            follower.observe(now, probe, source, server, head, effects)
        });
        self.announce(announced);
        verdict
    }

    /// How long until `end` of the store's clock, at least: rounded early by what the answer may have taken. Zero when
    /// the store's time is not known yet.
    pub fn remaining(&self, end: ServerTime, now: Moment) -> Duration {
        let known = *self.server_time.lock().unwrap_or_else(PoisonError::into_inner);
        known.map_or(Duration::ZERO, |(time, sent)| {
            end.since(time + now.since(sent))
                .saturating_sub(Duration::from_millis(1))
        })
    }

    /// Waits until every shard of the lane is followed and under a lease, or `limit` has passed; tells which it was. Followed
    /// alone is not enough: after an outage, a shard is followed before memory may answer for it. Cancel-safe.
    pub async fn ready(&self, limit: Duration) -> bool {
        let holds = || {
            self.shards()
                .all(|shard| self.follower(shard).is_live() && self.leased(shard))
        };
        self.until(limit, || holds().then_some(true)).await
    }

    /// Waits until this shard is followed, or `limit` has passed, or it is known that there is no bus to follow it by;
    /// tells which it was. Cancel-safe.
    pub async fn followed(&self, shard: Shard, limit: Duration) -> bool {
        let unreachable = || self.unreachable.load(Ordering::Relaxed).then_some(false);
        let live = || self.follower(shard).is_live().then_some(true);
        self.until(limit, || live().or_else(unreachable)).await
    }

    /// Waits until something was heard of the lane's heads, or of a shard's state. Cancel-safe.
    pub async fn heard(&self) {
        self.progress.notified().await;
    }

    /// Whether the last attempt to subscribe came to nothing.
    pub(crate) fn reached(&self, reached: bool) {
        self.unreachable.store(!reached, Ordering::Relaxed);
        self.connected.store(reached, Ordering::Relaxed);
        if !reached {
            self.progress.notify_waiters();
        }
    }

    /// What happened in all shards so far.
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for shard in self.shards() {
            let follower = self.follower(shard);
            let tally = follower.tally();
            sum.applied += tally.applied;
            sum.duplicates += tally.duplicates;
            sum.gaps += tally.gaps;
            sum.replays += tally.replays;
            sum.flushes += tally.flushes;
            sum.forks += tally.forks;
            sum.lineages += tally.lineages;
            sum.servers += tally.servers;
        }
        sum
    }

    /// Events that wait to be applied.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether the subscription stands.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// When the last event was applied.
    pub fn last_event(&self) -> Option<Moment> {
        Some(Moment::from_nanos(self.last_event.load(Ordering::Relaxed)))
            .filter(|moment| *moment != Moment::NEVER)
    }

    /// Applies events as the lane's task does, for a test that drives a lane itself.
    #[cfg(feature = "test-util")]
    pub fn hear(&self, events: impl IntoIterator<Item = WireEvent>) {
        self.on_events(events);
    }

    /// Applies the events of one drained batch: grouped by shard, each key's latest change only.
    pub(crate) fn on_events(&self, events: impl IntoIterator<Item = WireEvent>) {
        let mut by_shard: Vec<(Shard, Vec<WireEvent>)> = Vec::new();
        for event in events {
            match by_shard.iter_mut().find(|(shard, _)| *shard == event.shard) {
                Some((_, group)) => group.push(event),
                None => by_shard.push((event.shard, vec![event])),
            }
        }
        if !by_shard.is_empty() {
            self.last_event
                .store(self.clock.now().as_nanos(), Ordering::Relaxed);
        }
        // Whoever is told of an event must find what it touches already changed, so announcements come last.
        let mut announced = Vec::new();
        for (shard, group) in by_shard {
            let ((), of_shard) = self.step(shard, |follower, effects| {
                for event in group {
                    follower.on_event(event, effects);
                }
            });
            announced.extend(of_shard);
        }
        self.announce(announced);
    }

    pub(crate) fn on_lagged(&self, shard: Shard) {
        let ((), announced) = self.step(shard, |follower, effects| follower.lagged(effects));
        self.announce(announced);
    }

    pub(crate) fn on_heads(&self, asked: &Asked, heads: &Heads) {
        if let Some((_, sent)) = asked.first() {
            *self.server_time.lock().unwrap_or_else(PoisonError::into_inner) = Some((heads.time, sent.sent));
            self.answered(sent.sent);
        }
        for of in &heads.heads {
            if let Some((_, probe)) = asked.get(of.shard.index()) {
                self.observe(of.shard, probe, Source::Bus, of.server, of.head);
            }
        }
        let (received, mut checks) = (self.clock.now(), self.checks());
        for (shard, head) in heads.heads.iter().filter_map(|of| Some((of.shard, of.head?))) {
            checks.saw_head(shard, received, &head);
        }
        drop(checks);
        self.progress.notify_waiters();
    }

    pub(crate) fn ask_all(&self) -> Asked {
        self.shards().map(|shard| (shard, self.probe(shard))).collect()
    }

    pub(crate) fn replayed(&self, shard: Shard, probe: &Probe, replay: Replay) {
        let now = self.clock.now();
        let ((), announced) = self.step(shard, |follower, effects| {
            follower.replayed(now, probe, replay, effects)
        });
        self.announce(announced);
    }

    /// Following broke down in a way that nobody foresaw: nothing that was applied is trusted, and subscribers are told.
    pub(crate) fn broke_down(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.shards().for_each(|shard| self.on_lagged(shard));
        self.dispatcher.missed();
    }

    pub(crate) fn replay_failed(&self, shard: Shard, probe: &Probe) {
        self.follower(shard).replay_failed(probe);
    }

    pub(crate) fn adoption_ended(&self, shard: Shard) {
        self.follower(shard).adoption_ended();
    }

    pub(crate) fn resubscribed(&self) {
        for shard in self.shards() {
            self.follower(shard).resubscribed();
        }
    }

    pub(crate) fn take_chores(&self) -> Vec<Chore> {
        std::mem::take(&mut self.chores.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) async fn chores_came(&self) {
        self.chores_came.notified().await;
    }

    /// Waits for an answer that progress may bring; `false` when there is none within `limit`.
    async fn until(&self, limit: Duration, mut answer: impl FnMut() -> Option<bool>) -> bool {
        let wait = async {
            loop {
                let progress = self.progress.notified();
                tokio::pin!(progress);
                progress.as_mut().enable();
                if let Some(answer) = answer() {
                    return answer;
                }
                progress.await;
            }
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(false)
    }

    fn follower(&self, shard: Shard) -> MutexGuard<'_, Follower> {
        self.shards[shard.index()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The probes of one heartbeat, by shard.
pub(crate) type Asked = Vec<(Shard, Probe)>;

/// The keys of every barrier a value is under: everything, its namespace, its tags.
pub fn barrier_keys(namespace: &CacheKey, tags: &[cache_core::Tag]) -> Vec<CacheKey> {
    let mut keys = Vec::with_capacity(2 + tags.len());
    keys.push(Barrier::Everything.key());
    keys.push(namespace.clone());
    keys.extend(tags.iter().map(|tag| Barrier::Tag(tag.clone()).key()));
    keys
}

impl std::fmt::Debug for Coherence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coherence")
            .field("lane", &self.lane)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
