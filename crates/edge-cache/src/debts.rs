//! The task that pays what the node owes the shared store, as soon as it can be reached.
//!
//! What is owed is decided elsewhere; nothing is forgotten here before the store has acknowledged it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{CacheKey, Change, Expect, Op, Propagation, Shard};
use event_bus::{Debt, Outbox};
use futures_util::stream::{self, StreamExt as _};

use crate::CacheError;
use crate::engine::Engine;
use crate::writing::Acknowledged;

/// Keys paid by one write: one script of the store must stay short.
const BATCH: usize = 128;
/// Writes under way at once.
const AT_ONCE: usize = 16;

impl Engine {
    /// Pays until told to stop.
    pub(crate) async fn pay_debts(self: Arc<Self>) {
        let pause = self.lanes[0].timing().heartbeat();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.owed_came.notified() => {}
                // The store may be back.
                () = self.lanes[0].heard(), if self.owing() => {}
                () = self.lanes[1].heard(), if self.owing() => {}
                () = tokio::time::sleep(pause) => {}
            }
            let debts: Vec<Debt> = self.outbox().debts(BATCH).collect();
            let paying = stream::iter(debts).for_each_concurrent(AT_ONCE, |debt| self.pay(debt));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = paying => {}
            }
        }
    }

    /// Pays everything once, for a shutdown that wants to leave nothing behind.
    pub(crate) async fn settle_debts(&self) {
        let debts: Vec<Debt> = self.outbox().debts(BATCH).collect();
        stream::iter(debts)
            .for_each_concurrent(AT_ONCE, |debt| self.pay(debt))
            .await;
    }

    /// Waits until nothing is owed any more that would drop a value written from now on: a payment after the write would
    /// take it for older. Tells whether that came true within `limit`; in an outage that is known, it does not at once. Cancel-safe.
    pub(crate) async fn settled(
        &self,
        shard: Shard,
        key: &CacheKey,
        barriers: &[CacheKey],
        limit: Duration,
    ) -> bool {
        let barrier_shard = Shard::barriers(shard.lane());
        let shards = [shard, barrier_shard];
        self.until_paid(limit, &shards, |outbox, newest| {
            outbox.owes_until(newest, (shard, key), (barrier_shard, barriers))
        })
        .await
    }

    /// Waits until nothing is owed any more that is owed now, or `limit` has passed; tells which it was. Cancel-safe.
    pub(crate) async fn paid_up(&self, limit: Duration) -> bool {
        self.until_paid(limit, &[], |outbox, newest| outbox.owes_anything_until(newest))
            .await
    }

    /// Waits until this holds no more of what was owed up to now. It gives up where one of these shards is known to take no
    /// payment: one was refused while this waited, or the last one was, and the shard has no lease either.
    async fn until_paid(
        &self,
        limit: Duration,
        shards: &[Shard],
        owes: impl Fn(&Outbox, u64) -> bool,
    ) -> bool {
        if !self.owing() {
            return true;
        }
        let newest = self.outbox().newest();
        let refused = |shard: &Shard| self.refusals().get(shard).copied().unwrap_or_default();
        let before: Vec<Refusals> = shards.iter().map(refused).collect();
        let gives_up = || {
            let mut known = shards.iter().zip(&before);
            known.any(|(shard, before)| {
                let now = refused(shard);
                now.times > before.times || (now.is_last && !self.lane(*shard).leased(*shard))
            })
        };
        let settled = async {
            loop {
                let paid = self.paid.notified();
                tokio::pin!(paid);
                paid.as_mut().enable();
                if !owes(&self.outbox(), newest) {
                    return true;
                }
                // Who waits here may know that the store is back before the payer's next round.
                self.owed_came.notify_one();
                if gives_up() {
                    return false;
                }
                paid.await;
            }
        };
        tokio::time::timeout(limit, settled).await.unwrap_or(false)
    }

    fn refusals(&self) -> MutexGuard<'_, BTreeMap<Shard, Refusals>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A payment came to nothing: whoever waits for it may have to give up.
    fn refused(&self, shard: Shard, error: &CacheError) {
        let mut refusals = self.refusals();
        let of_shard = refusals.entry(shard).or_default();
        of_shard.is_last = true;
        // A lost answer is no refusal: the next attempt may be answered.
        of_shard.times += u64::from(matches!(error, CacheError::Unavailable(_)));
        drop(refusals);
        self.paid.notify_waiters();
    }

    async fn pay(&self, debt: Debt) {
        let op = match &debt {
            Debt::Shard(..) => Op::Flush,
            Debt::Barrier(_, barrier, _) => Op::Raise(barrier.clone()),
            Debt::Keys(_, keys) => Op::Change(
                keys.iter()
                    .map(|(key, _)| Change {
                        key: key.clone(),
                        record: None,
                        expect: Expect::Any,
                        propagation: Propagation::Invalidate,
                    })
                    .collect(),
            ),
        };
        let _paying = Paying::count(&self.paying);
        match self.write(debt.shard(), op).await {
            Ok(Acknowledged { version, .. }) => {
                match &debt {
                    Debt::Keys(_, keys) => keys
                        .iter()
                        .for_each(|(key, _)| self.invalidated(key, version.seq)),
                    Debt::Barrier(shard, barrier, _) => self.lane(*shard).raised(barrier, version.seq),
                    Debt::Shard(shard, _) => self.lane(*shard).flushed(*shard),
                }
                self.refusals().remove(&debt.shard());
                self.owe(|outbox| outbox.paid(&debt));
                self.paid.notify_waiters();
            }
            Err(error @ (CacheError::Unavailable(_) | CacheError::Uncertain(_))) => {
                self.refused(debt.shard(), &error);
            }
            Err(error) => {
                tracing::warn!(%error, shard = %debt.shard(), "an owed invalidation was refused and stays owed")
            }
        }
    }
}

/// How a shard took the payments so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Refusals {
    /// Those that it certainly did not take, since the last one that it took.
    times: u64,
    /// Whether the last one came to nothing.
    is_last: bool,
}

/// One payment under way; over when dropped.
struct Paying<'a>(&'a AtomicUsize);

impl<'a> Paying<'a> {
    fn count(payments: &'a AtomicUsize) -> Self {
        payments.fetch_add(1, Ordering::AcqRel);
        Self(payments)
    }
}

impl Drop for Paying<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
