//! Publishing events for people and services.
//!
//! What an event touches is invalidated first, then the event is announced: whoever hears of it reads anew. So nothing is
//! announced while one of these invalidations could only be queued.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_core::{CacheEvent, CacheKey, EventUid, Namespace, Op, Policy, Seq, Shard};

use crate::engine::Engine;
use crate::limits::check_event;
use crate::memory::NamespaceState;
use crate::writing::Acknowledged;
use crate::{CacheError, Receipt};

/// Events about one resource share a shard, and so an order.
const EVENTS: Namespace<()> =
    Namespace::new("event", Policy::event_driven(std::time::Duration::from_secs(1)));

impl Engine {
    pub(crate) async fn publish(&self, mut event: CacheEvent) -> Result<Receipt, CacheError> {
        event.uid = EventUid(self.ports.entropy.draw());
        event.node = self.node.clone();
        event.region = Arc::clone(&self.region);
        event.at_millis = self.ports.clock.unix_millis();
        check_event(&event)?;
        self.invalidate_touched(&mut event).await?;
        let bytes = serde_json::to_vec(&event).map_err(|error| CacheError::rejected(error.to_string()))?;
        let resource = EVENTS.key(&[("resource", &event.resource)]);
        let shard = self.shards.of(event.priority.lane(), resource.raw());
        let Acknowledged { position, .. } = self.write(shard, Op::Announce(bytes.into())).await?;
        self.published.fetch_add(1, Ordering::Relaxed);
        Ok(Receipt::published(position, None))
    }

    /// Fills in the versions at which the touched keys now stand.
    async fn invalidate_touched(&self, event: &mut CacheEvent) -> Result<(), CacheError> {
        let mut namespaces = Vec::with_capacity(event.namespaces.len());
        for name in &event.namespaces {
            namespaces.push(self.touched(name)?);
        }
        let mut by_shard: BTreeMap<Shard, Vec<CacheKey>> = BTreeMap::new();
        for affected in event.keys.iter().filter(|affected| affected.version == Seq::ZERO) {
            let namespace = self.touched(affected.key.namespace())?;
            by_shard
                .entry(self.shards.of(namespace.policy.lane, &affected.key))
                .or_default()
                .push(affected.key.clone());
        }
        for namespace in namespaces {
            published(self.clear_namespace(namespace).await?)?;
        }
        for tag in &event.tags {
            published(self.invalidate_tag(tag.clone()).await?)?;
        }
        for (shard, keys) in by_shard {
            let seq = published(self.invalidate(shard, keys.clone()).await?)?;
            for affected in event
                .keys
                .iter_mut()
                .filter(|affected| keys.contains(&affected.key))
            {
                affected.version = seq;
            }
        }
        Ok(())
    }

    /// The lane of a namespace decides where its changes are published, and only its registration tells the lane.
    fn touched(&self, name: &str) -> Result<&NamespaceState, CacheError> {
        self.memory.find(name).ok_or_else(|| {
            CacheError::rejected(format!(
                "the event touches namespace {name:?}, which is not registered; nothing was invalidated or announced"
            ))
        })
    }
}

fn published(receipt: Receipt) -> Result<Seq, CacheError> {
    match receipt {
        Receipt::Published { version, .. } => Ok(version.seq),
        Receipt::Queued => Err(CacheError::unavailable(
            "an invalidation that the event depends on could only be queued; it will be published, the event was not",
        )),
    }
}
