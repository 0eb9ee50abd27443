//! The parts of a running cache, and the questions that all of its paths ask.
//!
//! The paths themselves are in `reading`, `fill`, `writing`, `clearing`, `debts` and `publish`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::{CacheKey, Moment, NodeId, Shard, ShardCount, StoreDescription};
use event_bus::{Coherence, Dispatcher, Outbox, Rule, Source};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::debts::Refusals;
use crate::holding::Holding;
use crate::memory::Memory;
use crate::ports::Ports;
use crate::sampling::OneIn;

pub(crate) struct Engine {
    pub(crate) ports: Ports,
    pub(crate) memory: Arc<Memory>,
    pub(crate) lanes: [Arc<Coherence>; 2],
    pub(crate) shards: ShardCount,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) outbox: Mutex<Outbox>,
    /// How much the outbox holds: the hit path looks no further while this is zero.
    pub(crate) owed: AtomicUsize,
    pub(crate) owed_came: Notify,
    /// Tells whoever waits for a payment.
    pub(crate) paid: Notify,
    /// Payments under way.
    pub(crate) paying: AtomicUsize,
    /// Shards that take no payments at the moment.
    pub(crate) refusals: Mutex<BTreeMap<Shard, Refusals>>,
    /// What the shared store said of itself when it last answered, and when it was asked.
    pub(crate) described: Mutex<Option<(StoreDescription, Moment)>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) holding: Holding,
    /// It is about to stop, and will pay what is owed by now for the last time.
    pub(crate) closing: AtomicBool,
    pub(crate) stop: CancellationToken,
    pub(crate) node: NodeId,
    pub(crate) region: Arc<str>,
    pub(crate) published: AtomicU64,
    pub(crate) spot_checks: OneIn,
}

impl Engine {
    #[inline]
    pub(crate) fn lane(&self, shard: Shard) -> &Arc<Coherence> {
        &self.lanes[shard.lane().index()]
    }

    /// Whether this node owes the shared store anything at all: all that most reads need to know.
    #[inline]
    pub(crate) fn owing(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }

    /// Whether this node still owes the shared store an invalidation of this key.
    pub(crate) fn owes(&self, shard: Shard, key: &CacheKey) -> bool {
        let bypassed = self.lane(shard).rules().hold(Rule::OwedKeysAreBypassed);
        bypassed && self.owing() && self.outbox().owes(shard, key)
    }

    /// Whether this node still owes one of these barriers of the shard's lane.
    pub(crate) fn owes_barrier(&self, shard: Shard, barriers: &[CacheKey]) -> bool {
        self.owing()
            && self
                .outbox()
                .owes_barrier(Shard::barriers(shard.lane()), barriers)
    }

    /// Changes what is owed, and wakes whoever pays.
    pub(crate) fn owe(&self, act: impl FnOnce(&mut Outbox)) {
        let mut outbox = self.outbox();
        act(&mut outbox);
        self.owed.store(outbox.len(), Ordering::Release);
        drop(outbox);
        self.owed_came.notify_one();
    }

    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an answer to a read from this copy is to be judged.
pub(crate) const fn source_of(from: cache_core::ReadFrom) -> Source {
    match from {
        cache_core::ReadFrom::Any => Source::Any,
        cache_core::ReadFrom::Primary => Source::Primary,
    }
}
