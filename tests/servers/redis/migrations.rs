//! Slots of a cluster that move from one master to another while nodes read and write.
//!
//! They move as operators move them: key by key, with both masters knowing of it, or in one step, where the servers can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_core::{ErrorKind, ReadFrom, SharedStore as _};
use cache_redis::RedisTier;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::nodes::{PATIENCE, eventually, key, read, shard};
use crate::promotions::{Scene, stream};
use crate::proxy::{Kind, Passage};

/// A slot on its way from one master to another.
struct Move<'c> {
    cluster: &'c Cluster,
    slot: String,
    from: usize,
    to: usize,
}

impl<'c> Move<'c> {
    /// Both masters know that it moves; every key is where it was.
    async fn begin(cluster: &'c Cluster, id: u64) -> Self {
        let from = cluster.number_of(&stream(id)).await;
        let to = (from + 1) % 3;
        let this = Self {
            cluster,
            slot: slot_of(cluster, id).await,
            from,
            to,
        };
        let (source, target) = (this.id(from).await, this.id(to).await);
        this.set(to, "IMPORTING", &source).await;
        this.set(from, "MIGRATING", &target).await;
        this
    }

    async fn id(&self, server: usize) -> String {
        self.cluster.servers[server].id().await
    }

    async fn set(&self, server: usize, state: &str, id: &str) {
        let words = ["CLUSTER", "SETSLOT", &self.slot, state, id];
        self.cluster.servers[server].command(&words).await;
    }

    /// The names that are still where they were.
    async fn left(&self) -> Vec<String> {
        let words = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"];
        redis::from_redis_value(self.cluster.servers[self.from].command(&words).await).expect("names")
    }

    /// Takes one name over.
    async fn carry(&self, name: &str) {
        let target = &self.cluster.servers[self.to].inside;
        let words = ["MIGRATE", target, "6379", name, "0", "5000"];
        self.cluster.servers[self.from].command(&words).await;
    }

    /// Takes over what is left, and gives the slot away.
    async fn complete(&self) {
        for _ in 0..100 {
            let left = self.left().await;
            if left.is_empty() {
                break;
            }
            for name in left {
                self.carry(&name).await;
            }
        }
        let target = self.id(self.to).await;
        for server in [self.to, self.from] {
            self.set(server, "NODE", &target).await;
        }
    }
}

async fn slot_of(cluster: &Cluster, id: u64) -> String {
    let words = ["CLUSTER", "KEYSLOT", &stream(id)];
    let slot: u64 = redis::from_redis_value(cluster.servers[0].command(&words).await).expect("a slot");
    slot.to_string()
}

/// Somebody who writes the first key without a pause, through the near node.
struct Writer {
    stop: Arc<AtomicBool>,
    newest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Writer {
    async fn start(scene: &Scene) -> Self {
        let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = {
            let (node, stop, newest) = (scene.near.clone(), Arc::clone(&stop), Arc::clone(&newest));
            tokio::spawn(async move {
                for value in 1_000.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if node.put(&key(1), value).await.is_ok() {
                        newest.store(value, Ordering::Relaxed);
                    }
                }
            })
        };
        let writer = Self { stop, newest, task };
        writer.goes_on().await;
        writer
    }

    /// Waits for more writes that were acknowledged.
    async fn goes_on(&self) {
        let before = self.newest.load(Ordering::Relaxed);
        eventually("the writer goes on", PATIENCE, async || {
            self.newest.load(Ordering::Relaxed) >= before + 20
        })
        .await;
    }

    /// Both nodes see the last write in the end, and everything works in the same history.
    async fn ends_well(self, scene: Scene) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("a writer");
        let last = self.newest.load(Ordering::Relaxed);
        for node in [&scene.near, &scene.far] {
            eventually("the last write is seen", PATIENCE, async || {
                read(node, 1).await.is_some_and(|value| value >= last)
            })
            .await;
        }
        assert_eq!(
            scene.lineages(),
            [0, 0],
            "no head was made anew, and no history forked"
        );
        scene.works(1_000_000_000).await;
        scene.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_a_slot_that_moves_under_load_loses_no_write_and_starts_no_history() {
    let scene = Scene::start().await;
    let writer = Writer::start(&scene).await;
    for _ in 0..3 {
        let moving = Move::begin(&scene.cluster, 1).await;
        moving.complete().await;
        writer.goes_on().await;
        scene.both_listen_at(1, moving.to, PATIENCE).await;
    }
    writer.ends_well(scene).await;
}

/// Moves slots in one step, as Valkey does it from 9.0 on: a copy is brought up to date, then the slots change hands. Tells, as
/// loudly as a test can, when the servers know no such step.
async fn migrate(cluster: &Cluster, from: usize, slots: [&str; 2], to: usize) -> Result<(), ()> {
    let target = cluster.servers[to].id().await;
    let words = [
        "CLUSTER",
        "MIGRATESLOTS",
        "SLOTSRANGE",
        slots[0],
        slots[1],
        "NODE",
        &target,
    ];
    let source = &cluster.servers[from];
    match source.attempt(&words).await {
        Ok(_) => {}
        Err(unknown) if unknown.to_string().contains("unknown subcommand") => {
            // Past the test program, which would swallow it.
            let told = "SKIPPED: this server knows no CLUSTER MIGRATESLOTS; run it with --server valkey\n";
            std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).expect("a terminal");
            return Err(());
        }
        Err(error) => panic!("{words:?}: {error}"),
    }
    eventually("the slots have changed hands", PATIENCE, async || {
        let told = source.command(&["CLUSTER", "GETSLOTMIGRATIONS"]).await;
        let told = format!("{told:?}");
        assert!(!told.contains("failed"), "{told}");
        told.contains("success") && !told.contains("snapshotting")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_slots_that_change_hands_in_one_step_under_load_lose_no_write_and_start_no_history() {
    let scene = Scene::start().await;
    let writer = Writer::start(&scene).await;
    for _ in 0..3 {
        let (from, slot) = (
            scene.cluster.number_of(&stream(1)).await,
            slot_of(&scene.cluster, 1).await,
        );
        let to = (from + 1) % 3;
        if migrate(&scene.cluster, from, [&slot, &slot], to).await.is_err() {
            break;
        }
        writer.goes_on().await;
        scene.both_listen_at(1, to, PATIENCE).await;
    }
    writer.ends_well(scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_gives_away_its_last_slot_becomes_a_replica_and_is_left() {
    let scene = Scene::start().await;
    let writer = Writer::start(&scene).await;
    let from = scene.cluster.number_of(&stream(1)).await;
    let (to, slots) = (
        (from + 1) % 3,
        [["0", "5460"], ["5461", "10922"], ["10923", "16383"]],
    );
    if migrate(&scene.cluster, from, slots[from], to).await.is_ok() {
        eventually("it follows the one that has them", PATIENCE, async || {
            scene.cluster.servers[from].replicates_with("role:slave").await
        })
        .await;
        writer.goes_on().await;
        scene.both_listen_at(1, to, PATIENCE).await;
    }
    writer.ends_well(scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_a_shard_that_is_half_way_is_unavailable_and_no_head_is_made_where_it_goes() {
    let scene = Scene::start().await;
    let moving = Move::begin(&scene.cluster, 1).await;
    let (head, half) = (stream(1).replace(":e", ":h"), shard(1));
    moving.carry(&head).await;
    // The head alone is there: everything else asks for it and for what is not there yet.
    let tier = RedisTier::new(scene.cluster.settings()).expect("right settings");
    let refused = tier
        .read(half, &[key(1).raw().clone()], ReadFrom::Primary)
        .await
        .expect_err("half of it is elsewhere");
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    let loaded = scene
        .near
        .get_or_load(&key(1), |_| async { Ok::<_, std::io::Error>(77) })
        .await;
    loaded.expect("what is in memory, or the source");
    let left = moving.left().await;
    assert!(!left.contains(&head), "no second head is made where it was");
    moving.complete().await;
    scene.both_listen_at(1, moving.to, PATIENCE).await;
    scene.works(1_000).await;
    assert_eq!(
        scene.lineages(),
        [0, 0],
        "no head was made anew, and no history forked"
    );
    scene.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_a_slot_that_is_given_away_while_nobody_tells_is_found_by_the_next_heartbeat() {
    let scene = Scene::start().await;
    let moving = Move::begin(&scene.cluster, 1).await;
    // The server stays a master and answers everything: only for this shard it leads elsewhere.
    scene.proxies[moving.from].weather(Kind::Bus, Passage::Open, Passage::WithoutTakebacks);
    moving.complete().await;
    scene.both_listen_at(1, moving.to, PATIENCE).await;
    assert!(
        scene.proxies[moving.from].swallowed() > 0,
        "the server took the channel back, and nobody heard it"
    );
    scene.works(1_000).await;
    assert_eq!(scene.lineages(), [0, 0], "the history went on");
    scene.shutdown().await;
}
