//! The task that pays what the node owes the shared store, as soon as it can be reached.
//!
//! What is owed is decided elsewhere; nothing is forgotten here before the store has acknowledged it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::{CacheKey, Change, Expect, Op, Propagation, Shard};
use event_bus::Debt;
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
    /// take it for older. Tells whether that came true within `limit`. Cancel-safe.
    pub(crate) async fn settled(
        &self,
        shard: Shard,
        key: &CacheKey,
        barriers: &[CacheKey],
        limit: Duration,
    ) -> bool {
        if !self.owing() {
            return true;
        }
        let barrier_shard = Shard::barriers(shard.lane());
        let newest = self.outbox().newest();
        let settled = async {
            loop {
                let paid = self.paid.notified();
                tokio::pin!(paid);
                paid.as_mut().enable();
                if !self
                    .outbox()
                    .owes_until(newest, (shard, key), (barrier_shard, barriers))
                {
                    return;
                }
                // Who waits here may know that the store is back before the payer's next round.
                self.owed_came.notify_one();
                paid.await;
            }
        };
        tokio::time::timeout(limit, settled).await.is_ok()
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
                self.owe(|outbox| outbox.paid(&debt));
                self.paid.notify_waiters();
            }
            Err(CacheError::Unavailable(_) | CacheError::Uncertain(_)) => {}
            Err(error) => {
                tracing::warn!(%error, shard = %debt.shard(), "an owed invalidation was refused and stays owed")
            }
        }
    }
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
