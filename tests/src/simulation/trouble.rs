//! What goes wrong now and then, one thing after another, drawn from the seed.
//!
//! What goes wrong with every message is drawn in the backend.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Clock as _, Lane, Moment, ShardCount};
use cache_memory::{Cut, Saved};
use futures_util::future::join_all;
use rand::Rng;
use rand::rngs::SmallRng;

use super::run::{World, register};
use super::scenario::{TIMING, Trouble};

/// How far clocks jump.
const HOUR: i64 = 3_600_000;

impl World {
    pub(super) async fn make_trouble(
        self: Arc<Self>,
        troubles: Vec<Trouble>,
        end: Moment,
        mut rng: SmallRng,
    ) {
        let mut failovers = 4;
        let millis =
            |rng: &mut SmallRng, range: std::ops::Range<u64>| Duration::from_millis(rng.random_range(range));
        while self.clock.now() < end {
            tokio::time::sleep(millis(&mut rng, 50..250)).await;
            let (hub, index) = (&self.fleet.hub, rng.random_range(0..self.fleet.nodes.len()));
            let node = format!("node-{index}");
            let trouble = troubles[rng.random_range(0..troubles.len())];
            self.truth.trace(
                self.clock.now(),
                format_args!("{trouble:?} ({node}, where it is about a node)"),
            );
            match trouble {
                Trouble::Freeze => hub.freeze(node, millis(&mut rng, 20..1200)),
                Trouble::Stall => hub.stall(node, millis(&mut rng, 20..1200)),
                Trouble::Stop => self.stop(index, millis(&mut rng, 20..1200)),
                Trouble::RestartNode => self.restart(index).await,
                Trouble::ClockJump => {
                    hub.set_clock_ahead(rng.random_range(-1..=1) * HOUR);
                    self.wall.set_ahead(rng.random_range(-HOUR..HOUR));
                }
                Trouble::Cut => {
                    let cut = [Cut::Bus, Cut::Data, Cut::Both][rng.random_range(0..3)];
                    hub.partition(&node, cut);
                    tokio::time::sleep(millis(&mut rng, 50..900)).await;
                    hub.heal(&node);
                }
                Trouble::Disconnect => hub.disconnect(node),
                Trouble::Trim => hub.trim_logs(),
                Trouble::Restart => hub.restart(),
                Trouble::Rename => hub.rename_history(),
                Trouble::Failover | Trouble::DoubleFailover if failovers == 0 => {}
                Trouble::Failover => {
                    failovers -= 1;
                    hub.failover(rng.random_range(0..6));
                }
                Trouble::DoubleFailover => {
                    failovers -= 1;
                    hub.failover(rng.random_range(1..6));
                    tokio::time::sleep(millis(&mut rng, 1..200)).await;
                    hub.failover(rng.random_range(1..12));
                }
                Trouble::Wipe => hub.wipe(),
                Trouble::LoseHead => {
                    let shard = self.keys[rng.random_range(0..self.keys.len())].shard(ShardCount::DEFAULT);
                    hub.lose_head(shard);
                    self.truth.head_lost(shard);
                }
                Trouble::Evict => self.evict(&mut rng),
                Trouble::ForgetBarriers => hub.forget_barriers(Lane::ALL[rng.random_range(0..2)]),
                Trouble::EvictBarriers => hub.evict_barriers(Lane::ALL[rng.random_range(0..2)]),
                Trouble::Save => *self.saved() = Some(hub.save()),
                Trouble::OldCopy => {
                    let survivor = rng.random_bool(0.5).then_some(index);
                    self.come_back(survivor).await;
                }
            }
        }
    }

    /// Stops a node's process, and lets it go on later.
    fn stop(&self, index: usize, span: Duration) {
        let process = Arc::clone(&self.fleet.processes[index]);
        if !process.is_stopped() {
            process.stop();
            tokio::spawn(async move {
                tokio::time::sleep(span).await;
                process.go_on();
            });
        }
    }

    /// Shuts a node down and starts it anew.
    async fn restart(&self, index: usize) {
        if self.fleet.processes[index].is_stopped() {
            return;
        }
        let owed = self.end(index).await;
        self.begin(index);
        if owed {
            self.make_all_known(index).await;
        }
        tokio::time::sleep(TIMING.lease / 3).await;
    }

    /// Kills all nodes but the one that survives, starts the servers with what they wrote to disk, and then the nodes.
    async fn come_back(&self, survivor: Option<usize>) {
        let Some(saved) = self.saved().take() else { return };
        let killed: Vec<usize> = (0..self.fleet.nodes.len())
            .filter(|index| Some(*index) != survivor)
            .collect();
        for index in &killed {
            self.fleet.processes[*index].go_on();
            self.fleet.hub.heal(format!("node-{index}"));
        }
        let owed = join_all(killed.iter().map(|index| self.end(*index))).await;
        self.fleet.hub.restore(&saved);
        self.truth.restored(survivor.is_some(), self.clock.now());
        for index in 0..self.fleet.nodes.len() {
            self.fleet.hub.disconnect(format!("node-{index}"));
        }
        killed.iter().for_each(|index| self.begin(*index));
        for (index, _) in killed.iter().zip(owed).filter(|(_, owed)| *owed) {
            self.make_all_known(*index).await;
        }
    }

    /// Evicts a record of any shard.
    fn evict(&self, rng: &mut SmallRng) {
        let shard = self.keys[rng.random_range(0..self.keys.len())].shard(ShardCount::DEFAULT);
        let records = self.fleet.hub.records(shard);
        if !records.is_empty() {
            let key = &records[rng.random_range(0..records.len())];
            self.fleet.hub.evict(shard, key);
        }
    }

    /// Ends the process at a place; tells whether it went with invalidations that it had not published.
    async fn end(&self, index: usize) -> bool {
        let (node, _) = self.node(index);
        node.shutdown().await;
        let stats = node.stats();
        self.truth.ended(&stats);
        stats.owed > 0
    }

    /// Starts the next process at a place.
    fn begin(&self, index: usize) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let life = lives[index].1 + 1;
        lives[index] = (self.fleet.life(index, life, register(self.load)), life);
    }

    /// What a process owed is lost with it: its successor makes known what the system of record holds, as a feed would.
    async fn make_all_known(&self, index: usize) {
        for key in 0..self.keys.len() {
            self.make_known(index, key, self.truth.value(key)).await;
        }
    }

    fn saved(&self) -> MutexGuard<'_, Option<Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
