//! Invalidation of many at once: tags, namespaces, everything. One write each, no scan.
//!
//! A barrier that cannot be published now is owed, like a key.

use cache_core::{Barrier, Lane, Op, Shard, Tag};

use crate::engine::Engine;
use crate::limits::check_tag;
use crate::memory::NamespaceState;
use crate::writing::Acknowledged;
use crate::{CacheError, Receipt};

impl Engine {
    /// A tag may stand on values of both lanes.
    pub(crate) async fn invalidate_tag(&self, tag: Tag) -> Result<Receipt, CacheError> {
        check_tag(&tag)?;
        self.raise_in_both(&Barrier::Tag(tag)).await
    }

    pub(crate) async fn clear_namespace(&self, namespace: &NamespaceState) -> Result<Receipt, CacheError> {
        let receipt = self
            .raise(
                Shard::barriers(namespace.policy.lane),
                NamespaceState::barrier_of(namespace.name),
            )
            .await;
        namespace.local.clear();
        receipt
    }

    pub(crate) async fn clear_all(&self) -> Result<Receipt, CacheError> {
        let receipt = self.raise_in_both(&Barrier::Everything).await;
        for namespace in &self.memory.namespaces {
            namespace.local.clear();
        }
        receipt
    }

    async fn raise_in_both(&self, barrier: &Barrier) -> Result<Receipt, CacheError> {
        let [critical, bulk] = Lane::ALL.map(|lane| self.raise(Shard::barriers(lane), barrier.clone()));
        let (critical, bulk) = futures_util::future::join(critical, bulk).await;
        match (critical?, bulk?) {
            (
                Receipt::Published {
                    positions: critical, ..
                },
                Receipt::Published { positions: bulk, .. },
            ) => Ok(Receipt::published(critical.first, Some(bulk.first))),
            _one_is_queued => Ok(Receipt::Queued),
        }
    }

    /// Raises a barrier, or owes it; a caller that goes away before the acknowledgement leaves a debt.
    async fn raise(&self, shard: Shard, barrier: Barrier) -> Result<Receipt, CacheError> {
        let mut debt = OweOnDrop {
            engine: self,
            owed: Some((shard, barrier.clone())),
        };
        match self.write(shard, Op::Raise(barrier.clone())).await {
            Ok(Acknowledged {
                version, position, ..
            }) => {
                debt.owed = None;
                self.lane(shard).raised(&barrier, version.seq);
                Ok(Receipt::published(position, None))
            }
            Err(CacheError::Unavailable(_) | CacheError::Uncertain(_)) => {
                drop(debt);
                self.queued()
            }
            Err(error) => {
                debt.owed = None;
                Err(error)
            }
        }
    }
}

struct OweOnDrop<'a> {
    engine: &'a Engine,
    owed: Option<(Shard, Barrier)>,
}

impl Drop for OweOnDrop<'_> {
    fn drop(&mut self) {
        if let Some((shard, barrier)) = self.owed.take() {
            self.engine.owe(|outbox| outbox.owe_barrier(shard, barrier));
            self.engine.lane(shard).owes_barrier();
        }
    }
}
