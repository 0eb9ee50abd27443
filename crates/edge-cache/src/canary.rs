//! The task that writes canaries: an event about nothing into every shard, by which nodes tell how old their view is.
//!
//! Nothing is owed: a canary that cannot be written is what makes the others' age rise.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Change, Expect, Lane, Op, Propagation, Shard};
use event_bus::canary_key;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::MissedTickBehavior;

use crate::engine::Engine;

/// Canaries under way at once: they must not delay what users write.
const AT_ONCE: usize = 4;

impl Engine {
    /// Writes canaries until told to stop.
    pub(crate) async fn write_canaries(self: Arc<Self>, every: Duration) {
        let mut rounds = tokio::time::interval(every.max(Duration::from_millis(1)));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _at = rounds.tick() => {}
            }
            let shards = Lane::ALL.into_iter().flat_map(|lane| self.shards.all(lane));
            let round = stream::iter(shards).for_each_concurrent(AT_ONCE, |shard| self.write_canary(shard));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = round => {}
            }
        }
    }

    async fn write_canary(&self, shard: Shard) {
        let nothing = Change {
            key: canary_key(),
            record: None,
            expect: Expect::Any,
            propagation: Propagation::Invalidate,
        };
        if let Err(error) = self.write(shard, Op::Change(vec![nothing])).await {
            tracing::debug!(%shard, %error, "a canary was not written");
        }
    }
}
