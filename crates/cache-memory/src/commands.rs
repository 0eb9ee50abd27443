//! What can be done to the network and the servers while they run.
//!
//! Commands act at once and know no schedule: a test or a demonstration says when.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use cache_core::{BarrierKind, CacheKey, Lane, Seq, Shard};
use tokio::time::Instant;

use crate::barriers::BarrierTable;
use crate::servers::locked;
use crate::state::ShardState;
use crate::subscription::Subscription;
use crate::wire::Condition;
use crate::{Cut, Faults, Hub};

/// What servers held at one moment: heads, records and logs of all shards. Rights to fill are not in it: they end sooner than a
/// server comes back.
pub struct Saved(BTreeMap<Shard, ShardState>);

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved").finish_non_exhaustive()
    }
}

/// Trouble on demand. Nodes are named as in [`Hub::endpoint`]. What arrives late is delivered by a task: once there is
/// trouble, the hub must be used within a tokio runtime that has its timer enabled.
impl Hub {
    /// Makes the network this bad from now on. What is on its way stays on its way.
    pub fn set_faults(&self, faults: Faults) {
        let faultless = faults.is_none();
        locked(&self.servers.dice).faults = faults;
        for wire in locked(&self.servers.wires).values() {
            wire.change(faultless, |_| {});
        }
    }

    /// Stalls everything towards a node, deliveries and replies, as if its process had been stopped. It all arrives
    /// late, in order, when the time is over. What the node sends still goes out.
    pub fn freeze(&self, node: impl AsRef<str>, span: Duration) {
        let until = Instant::now() + span;
        self.change(node, |condition| condition.frozen_until = Some(until));
    }

    /// Stalls everything from a node, requests and questions over the bus. It all goes out when the time is over. What is
    /// sent to the node still arrives.
    pub fn stall(&self, node: impl AsRef<str>, span: Duration) {
        let until = Instant::now() + span;
        self.change(node, |condition| condition.stalled_until = Some(until));
    }

    /// Makes the servers' clock run this many milliseconds ahead of the hub's, or behind it where that is negative. What
    /// the servers keep ends by their clock; nothing else is by it.
    pub fn set_clock_ahead(&self, millis: i64) {
        self.servers.clock_ahead.store(millis, Ordering::Relaxed);
    }

    /// Cuts connections of a node, without either side being told. What is on its way is lost with them. A second
    /// cut takes the place of the first.
    pub fn partition(&self, node: impl AsRef<str>, cut: Cut) {
        self.change(&node, |condition| condition.cut = Some(cut));
        if cut.cuts_bus() {
            self.each_subscription(node, |subscription| subscription.lose_messages());
        }
    }

    /// Ends a node's partition. What was lost stays lost.
    pub fn heal(&self, node: impl AsRef<str>) {
        self.change(node, |condition| condition.cut = None);
    }

    /// Ends all subscriptions of a node, and tells it. It may subscribe again at once, if it is not cut off.
    pub fn disconnect(&self, node: impl AsRef<str>) {
        self.change(&node, |condition| condition.connection += 1);
        self.each_subscription(node, |subscription| {
            self.servers.leave(subscription);
            subscription.end();
        });
    }

    /// Promotes a replica that had not seen the newest `lose` events of each shard, acknowledged or not: they are
    /// gone, from records, heads and logs, and their numbers will be issued again. At most the newest 64 of a shard
    /// can be lost. Subscriptions go on with the new server; [`Hub::disconnect`] ends them too.
    pub fn failover(&self, lose: u64) {
        self.replace_servers(|hub, shard, state| {
            if let Some(from) = state.lose_newest(lose) {
                hub.tell_lost(shard, from);
            }
        });
    }

    /// Restarts the servers: another identity, nothing lost.
    pub fn restart(&self) {
        self.replace_servers(|_, _, _| {});
    }

    /// Gives the history another name, as a Redis server does when its first replica attaches: nothing is lost, and no connection
    /// ends. A node is told by its next question for the heads, or when it subscribes anew.
    pub fn rename_history(&self) {
        let identity = locked(&self.servers.dice).identity();
        let _all = self.lock_all();
        locked(&self.servers.former_names).push(self.servers.server());
        self.servers.identity.store(identity, Ordering::Release);
    }

    /// Empties every shard: records, leases, logs and heads. The servers stay the same.
    pub fn wipe(&self) {
        for (shard, mut state) in self.lock_all() {
            let wiped = mem::take(&mut *state);
            if wiped.head.is_some() {
                self.tell_lost(shard, Seq(1));
            }
        }
    }

    /// Removes the entries of a shard's log that come before a number.
    pub fn trim_log(&self, shard: Shard, before: Seq) {
        self.servers.lock(shard).log.retain(|entry| entry.seq >= before);
    }

    /// Removes everything from all logs: whoever misses an event from now on cannot catch up with those before.
    pub fn trim_logs(&self) {
        for (_, mut state) in self.lock_all() {
            state.log.clear();
        }
    }

    /// Loses the head of one shard and nothing else, as an eviction would.
    pub fn lose_head(&self, shard: Shard) {
        let mut state = self.servers.lock(shard);
        state.head = None;
        state.steps.clear();
    }

    /// The keys of a shard's records, in order: what [`Hub::evict`] can lose.
    pub fn records(&self, shard: Shard) -> Vec<CacheKey> {
        self.servers.lock(shard).records.keys()
    }

    /// Loses one record and nothing else, as a full server does: no step of the history, and nobody is told. Tells whether
    /// there was one.
    pub fn evict(&self, shard: Shard, key: &CacheKey) -> bool {
        self.servers.lock(shard).records.remove(key).is_some()
    }

    /// Loses all that the servers know of a lane's barriers, and nothing else: heads and logs stay, and nobody is told.
    pub fn evict_barriers(&self, lane: Lane) {
        self.servers.lock(Shard::barriers(lane)).barriers = Default::default();
    }

    /// The same by servers that take what was lost for what never was. For a test that must notice.
    pub fn forget_barriers(&self, lane: Lane) {
        let never = BarrierKind::ALL.map(|_| Some(BarrierTable::default()));
        self.servers.lock(Shard::barriers(lane)).barriers = never;
    }

    /// What the servers hold now, as they would write it to disk.
    pub fn save(&self) -> Saved {
        Saved(
            self.lock_all()
                .iter()
                .map(|(shard, state)| (*shard, state.saved()))
                .collect(),
        )
    }

    /// Ends the servers and starts others with what was saved before: whatever came since is forgotten, acknowledged or not,
    /// and what is on its way to them or from them is lost. Subscriptions go on with the new servers; [`Hub::disconnect`]
    /// ends them too.
    pub fn restore(&self, saved: &Saved) {
        self.servers.lose_requests();
        self.replace_servers(|hub, shard, state| {
            let before = state.head;
            *state = saved.0.get(&shard).map(ShardState::saved).unwrap_or_default();
            if before != state.head {
                let kept = state.head.map_or(Seq::ZERO, |head| head.seq);
                hub.tell_lost(shard, kept.next());
            }
        });
    }

    fn change(&self, node: impl AsRef<str>, change: impl FnOnce(&mut Condition)) {
        let wire = self.wire(node);
        let faultless = locked(&self.servers.dice).faults.is_none();
        wire.change(faultless, change);
    }

    fn each_subscription(&self, node: impl AsRef<str>, act: impl Fn(&Arc<Subscription>)) {
        for lane in Lane::ALL {
            for subscription in self.servers.listeners(lane).iter() {
                if subscription.wire.node.as_str() == node.as_ref() {
                    act(subscription);
                }
            }
        }
    }

    /// Changes the servers' identity, and each shard, in one instant.
    fn replace_servers(&self, mut replace: impl FnMut(&Self, Shard, &mut ShardState)) {
        let identity = locked(&self.servers.dice).identity();
        let mut shards = self.lock_all();
        self.servers.identity.store(identity, Ordering::Release);
        locked(&self.servers.former_names).clear();
        for (shard, state) in &mut shards {
            replace(self, *shard, state);
        }
    }

    fn lock_all(&self) -> Vec<(Shard, MutexGuard<'_, ShardState>)> {
        let shards = Lane::ALL
            .into_iter()
            .flat_map(|lane| self.servers.count.all(lane));
        shards.map(|shard| (shard, self.servers.lock(shard))).collect()
    }

    fn tell_lost(&self, shard: Shard, from: Seq) {
        if let Some(witness) = &self.servers.witness {
            witness.lost(shard, from, self.servers.clock.now());
        }
    }
}
