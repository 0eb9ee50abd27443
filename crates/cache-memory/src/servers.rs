//! The servers: all shards, each under its own lock, and who listens to them.
//!
//! Calls here are the effects themselves, immediate and certain; what a wire does to them is not known here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, CacheKey, Clock, FillBegun, FillCommitted, FillToken, Head, HeadOf, Heads, Lane,
    Lineage, Moment, NewRecord, NodeId, Record, Replay, Reply, Seq, ServerId, ServerMark, ServerTime, Shard,
    ShardCount, WireEvent, Write, Written,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Witness;
use crate::dice::Dice;
use crate::script::{self, Instant};
use crate::state::ShardState;
use crate::subscription::Subscription;
use crate::wire::Wire;

/// All servers of a hub.
pub(crate) struct Servers {
    pub(crate) count: ShardCount,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) witness: Option<Arc<dyn Witness>>,
    pub(crate) log_len: usize,
    /// Changes only while every shard is locked.
    pub(crate) identity: AtomicU64,
    /// Names of the servers that run now which they no longer have.
    pub(crate) former_names: Mutex<Vec<ServerId>>,
    /// Whether each connection keeps what it was told when it was made.
    pub(crate) identities_apart: bool,
    pub(crate) shards: Vec<Mutex<ShardState>>,
    /// Copied on change: publishing takes a snapshot, so an inbox may drop its own link.
    listeners: [RwLock<Arc<[Arc<Subscription>]>>; Lane::ALL.len()],
    pub(crate) dice: Mutex<Dice>,
    pub(crate) wires: Mutex<BTreeMap<NodeId, Arc<Wire>>>,
    /// Questions and answers on their way. Ended with the servers.
    on_their_way: Mutex<JoinSet<()>>,
    /// How far the servers' clock is ahead of the hub's, in milliseconds.
    pub(crate) clock_ahead: AtomicI64,
}

impl Servers {
    pub(crate) fn new(
        count: ShardCount,
        clock: Arc<dyn Clock>,
        witness: Option<Arc<dyn Witness>>,
        log_len: usize,
        identities_apart: bool,
        mut dice: Dice,
    ) -> Self {
        Self {
            count,
            clock,
            witness,
            log_len,
            identity: AtomicU64::new(dice.identity()),
            former_names: Mutex::default(),
            identities_apart,
            shards: Lane::ALL
                .into_iter()
                .flat_map(|lane| count.all(lane))
                .map(|_| Mutex::default())
                .collect(),
            listeners: [RwLock::new(Arc::default()), RwLock::new(Arc::default())],
            dice: Mutex::new(dice),
            wires: Mutex::default(),
            on_their_way: Mutex::default(),
            clock_ahead: AtomicI64::new(0),
        }
    }

    pub(crate) fn read(&self, shard: Shard, keys: &[CacheKey]) -> Reply<Vec<Option<Record>>> {
        let mut state = self.lock(shard);
        if shard.holds_barriers() {
            let raised = script::read_barriers(&mut state, keys);
            return self.reply(state.head, raised);
        }
        self.reply(state.head, script::read(&state, keys, self.time()))
    }

    pub(crate) fn read_behind(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        steps: usize,
    ) -> Reply<Vec<Option<Record>>> {
        let state = self.lock(shard);
        let (head, records) = script::read_behind(&state, keys, steps, self.time());
        self.reply(head, records)
    }

    pub(crate) fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Reply<FillBegun> {
        let mut state = self.lock(shard);
        let answer = script::begin_fill(&mut state, key, newer_than, lineage, token, lease, self.time());
        self.reply(state.head, answer)
    }

    pub(crate) fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<&NewRecord>,
    ) -> Reply<FillCommitted> {
        let mut state = self.lock(shard);
        let at = self.clock.now();
        let answer = script::commit_fill(&mut state, key, lineage, token, record, self.time_at(at));
        if let (Some(witness), Some(FillCommitted::Stored(record))) = (&self.witness, &answer) {
            witness.filled(shard, key, record, at);
        }
        self.reply(state.head, answer)
    }

    pub(crate) fn write(&self, write: &Write) -> Reply<Written> {
        let mut state = self.lock(write.shard);
        let at = self.clock.now();
        let published = script::write(&mut state, write, self.instant(at));
        if let Some(event) = published.event {
            if let (Some(witness), Some(head)) = (&self.witness, &state.head) {
                witness.published(write, head, at);
            }
            self.publish(event);
        }
        self.reply(state.head, published.answer)
    }

    pub(crate) fn adopt(&self, adoption: &Adoption) -> Reply<Adopted> {
        let mut state = self.lock(adoption.shard);
        let at = self.clock.now();
        let published = script::adopt(&mut state, adoption, self.instant(at));
        if let Some(event) = published.event {
            if let (Some(witness), Some(head)) = (&self.witness, &state.head) {
                witness.adopted(adoption.shard, head, at);
            }
            self.publish(event);
        }
        self.reply(state.head, published.answer)
    }

    pub(crate) fn heads(&self, lane: Lane) -> Heads {
        let heads = self
            .count
            .all(lane)
            .map(|shard| {
                let state = self.lock(shard);
                HeadOf {
                    shard,
                    server: self.server(),
                    head: state.head,
                }
            })
            .collect();
        Heads {
            time: self.time(),
            heads,
        }
    }

    pub(crate) fn replay(&self, shard: Shard, from: Seq) -> Replay {
        let state = self.lock(shard);
        Replay {
            server: self.server(),
            head: state.head,
            entries: script::replay(&state, from),
        }
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| locked(shard).used_bytes()).sum()
    }

    pub(crate) fn lock(&self, shard: Shard) -> MutexGuard<'_, ShardState> {
        let lane = shard.lane().index() * self.count.places();
        locked(&self.shards[lane + shard.index()])
    }

    pub(crate) fn listeners(&self, lane: Lane) -> Arc<[Arc<Subscription>]> {
        let listeners = &self.listeners[lane.index()];
        Arc::clone(&listeners.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn listen(&self, subscription: &Arc<Subscription>) {
        let mut listeners = self.listeners[subscription.lane.index()]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *listeners = listeners.iter().chain([subscription]).cloned().collect();
    }

    pub(crate) fn leave(&self, subscription: &Arc<Subscription>) {
        let mut listeners = self.listeners[subscription.lane.index()]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *listeners = listeners
            .iter()
            .filter(|listener| !Arc::ptr_eq(listener, subscription))
            .cloned()
            .collect();
    }

    /// Hands an event to everyone while the shard is locked: that is what keeps a shard's events in order.
    fn publish(&self, event: WireEvent) {
        for listener in self.listeners(event.shard.lane()).iter() {
            listener.offer(&event, &self.dice);
        }
    }

    fn reply<T>(&self, head: Option<Head>, answer: Option<T>) -> Reply<T> {
        Reply {
            server: self.server(),
            head,
            answer,
        }
    }

    pub(crate) fn server(&self) -> ServerId {
        ServerId(self.identity.load(Ordering::Acquire))
    }

    fn time(&self) -> ServerTime {
        self.time_at(self.clock.now())
    }

    fn time_at(&self, at: Moment) -> ServerTime {
        let shown = EPOCH_MILLIS + at.as_nanos() / 1_000_000;
        ServerTime(shown.saturating_add_signed(self.clock_ahead.load(Ordering::Relaxed)))
    }

    /// Carries a question to the servers and its answer back, whatever the one who asked does meanwhile. `None` when the
    /// servers are gone. What travels must hold them weakly: it does not keep them alive.
    pub(crate) async fn carry<T: Send + 'static>(
        &self,
        travels: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut travels = Box::pin(travels);
        // Most often nothing delays it: then it needs no task.
        if let Poll::Ready(answer) = futures_util::poll!(&mut travels) {
            return Some(answer);
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut on_their_way = locked(&self.on_their_way);
            while on_their_way.try_join_next().is_some() {}
            // Nobody may be waiting for the answer any more; that is the point.
            on_their_way.spawn(async move { drop(reply.send(travels.await)) });
        }
        answer.await.ok()
    }

    /// Loses the questions and answers that are on their way.
    pub(crate) fn lose_requests(&self) {
        locked(&self.on_their_way).abort_all();
    }

    fn instant(&self, at: Moment) -> Instant {
        Instant {
            now: self.time_at(at),
            mark: ServerMark(self.identity.load(Ordering::Acquire)),
            log_len: self.log_len,
        }
    }
}

/// Locks, whatever a panic elsewhere has left: every step leaves a shard whole or untouched.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the servers' clock stands when the hub's clock starts: 1 January 2026. Any instant would do, as long as it
/// cannot be mistaken for a node's own time.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;
