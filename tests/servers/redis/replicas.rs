//! Replicas that answer reads in their master's place: lagging, dying, frozen. Nobody may notice but the master, who has less to do.
//!
//! A replica lags here because it is told to hold back what its master sends, while it answers reads as before.

use std::collections::BTreeMap;

use cache_core::{ReadFrom, Seq, SharedStore as _};
use cache_redis::{Address, RedisTier, Settings};
use edge_cache::EdgeCache;

use crate::cluster::Cluster;
use crate::nodes::{NONE, PATIENCE, bound_passes, cold, eventually, key, read, shard, stale, through, warm};
use crate::proxy::{Kind, Passage, Proxy};
use crate::server::Server;

/// Keys that a node has not in memory.
const KEYS: std::ops::Range<u64> = 0..40;

/// A master and its replica, and a node that writes and reads at the master alone.
struct Scene {
    master: Server,
    replica: Server,
    writer: EdgeCache,
}

impl Scene {
    async fn start() -> Self {
        let (master, replica) = (Server::start().await, Server::start().await);
        replica.follow(&master).await;
        let writer = warm(master.settings()).await;
        let scene = Self {
            master,
            replica,
            writer,
        };
        scene.write(0).await;
        scene.replica.has_all_of(&scene.master).await;
        scene
    }

    /// Settings with which a node reads from the replica.
    fn settings(&self) -> Settings {
        let mut settings = self.master.settings();
        settings.read_replicas = true;
        let reached = Address::new(&self.replica.host, self.replica.port);
        settings.reached_at = BTreeMap::from([(Address::new(&self.replica.inside, 6379), reached)]);
        settings
    }

    async fn write(&self, more: u64) {
        for id in KEYS {
            self.writer.put(&key(id), more + id).await.expect("put");
        }
    }

    async fn shutdown(self, reader: EdgeCache) {
        reader.shutdown().await;
        self.writer.shutdown().await;
    }
}

impl Server {
    /// How often a command was called.
    async fn calls(&self, command: &str) -> u64 {
        let stats = self.text(&["INFO", "commandstats"]).await;
        let begin = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|line| line.strip_prefix(&begin));
        let calls = calls.and_then(|rest| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse().expect("a number"))
    }

    /// Waits until it has all that another has at this moment.
    async fn has_all_of(&self, master: &Self) {
        let offset = async |server: &Self, field: &str| -> u64 {
            let info = server.text(&["INFO", "replication"]).await;
            let found = info.lines().find_map(|line| line.strip_prefix(field));
            found.map_or(0, |offset| offset.trim().parse().expect("a number"))
        };
        let all = offset(master, "master_repl_offset:").await;
        eventually("the replica has caught up", PATIENCE, async || {
            offset(self, "slave_repl_offset:").await >= all
        })
        .await;
    }

    /// Holds back what its master sends, and answers reads as before.
    async fn lag(&self) {
        self.command(&["CLIENT", "PAUSE", "600000", "WRITE"]).await;
    }

    async fn catch_up(&self) {
        self.command(&["CLIENT", "UNPAUSE"]).await;
    }
}

/// Reads what a node has not in memory, while it is sure of its shards: every read finds what was written.
async fn each_is_found(node: &EdgeCache, ids: std::ops::Range<u64>, more: u64) {
    for id in ids {
        assert_eq!(read(node, id).await, Some(more + id), "{id}");
    }
}

/// Waits until a node has connected to each of these and asks them: nobody is kept waiting for that.
pub(crate) async fn meets(node: &EdgeCache, replicas: &[Server]) {
    for replica in replicas {
        let before = replica.calls("mget").await;
        eventually("the replica is asked", PATIENCE, async || {
            // Nobody has these, and so they are nowhere in memory.
            for id in 9_000..9_030 {
                read(node, id).await;
            }
            replica.calls("mget").await > before
        })
        .await;
    }
}

async fn forgets(node: &EdgeCache, ids: std::ops::Range<u64>) {
    eventually("the events have come", PATIENCE, async || {
        let mut held = ids
            .clone()
            .map(|id| node.peek(&key(id)).is_ok_and(|held| held.is_some()));
        !held.any(|held| held)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_reads_if_the_settings_allow_it_and_only_then() {
    let scene = Scene::start().await;
    let before = scene.replica.calls("mget").await;
    let plain = warm(scene.master.settings()).await;
    each_is_found(&plain, KEYS, 0).await;
    assert_eq!(scene.replica.calls("mget").await, before, "nobody asked for it");
    // A replica that was slow once is left alone for a while, as on a busy machine: then the next node's reads tell.
    eventually("the replica answers most reads", PATIENCE, async || {
        let reader = warm(scene.settings()).await;
        meets(&reader, std::slice::from_ref(&scene.replica)).await;
        let before = scene.replica.calls("mget").await;
        each_is_found(&reader, KEYS, 0).await;
        let answered = scene.replica.calls("mget").await - before;
        reader.shutdown().await;
        answered > KEYS.end / 2
    })
    .await;
    scene.shutdown(plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_has_all_a_node_knows_is_believed_and_the_master_is_not_asked() {
    let scene = Scene::start().await;
    let proxy = Proxy::to(&scene.master).await;
    let mut settings = through(&proxy);
    (settings.read_replicas, settings.reached_at) = (true, scene.settings().reached_at);
    let reader = warm(settings).await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    // The events go on; whoever asks the master for a value would wait in vain.
    proxy.weather(Kind::Data, Passage::Open, Passage::Frozen);
    for id in KEYS {
        // On a busy machine a replica may once take longer than a node waits for it, and is asked again later.
        eventually("the replica has answered", PATIENCE, async || {
            read(&reader, id).await == Some(id)
        })
        .await;
    }
    proxy.calm();
    scene.shutdown(reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_a_replica_that_lags_behind_an_event_is_not_believed_and_the_master_is_asked() {
    let scene = Scene::start().await;
    let reader = warm(scene.settings()).await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    each_is_found(&reader, KEYS, 0).await;
    scene.replica.lag().await;
    scene.write(1_000).await;
    forgets(&reader, KEYS).await;
    let before = scene.replica.calls("mget").await;
    each_is_found(&reader, KEYS, 1_000).await;
    let asked = scene.replica.calls("mget").await - before;
    assert!(
        asked > 0,
        "the replica was asked {asked} times, and had old values"
    );
    // The fault is real: this is what the replica says, and how far its head tells that it is.
    let tier = RedisTier::new(scene.settings()).expect("right settings");
    let raw = [key(1).raw().clone()];
    let seq = async |from| -> Seq {
        let reply = tier.read(shard(1), &raw, from).await.expect("an answer");
        reply.head.expect("a head").seq
    };
    eventually("the replica answers what it has", PATIENCE, async || {
        seq(ReadFrom::Any).await < seq(ReadFrom::Primary).await
    })
    .await;
    scene.replica.catch_up().await;
    scene.replica.has_all_of(&scene.master).await;
    assert_eq!(seq(ReadFrom::Any).await, seq(ReadFrom::Primary).await);
    bound_passes().await;
    assert_eq!(stale(&reader, KEYS, |id| 1_000 + id).await, NONE);
    scene.shutdown(reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_cut_off_long_ago_takes_no_value_back() {
    let scene = Scene::start().await;
    let reader = warm(scene.settings()).await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    each_is_found(&reader, 0..1, 0).await;
    // It keeps its copy and its connections; nobody sends it anything more, and its master does not name it any more.
    scene.replica.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    scene.write(1_000).await;
    forgets(&reader, 0..1).await;
    each_is_found(&reader, KEYS, 1_000).await;
    bound_passes().await;
    assert_eq!(stale(&reader, KEYS, |id| 1_000 + id).await, NONE);
    scene.shutdown(reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_lacks_is_read_at_the_master() {
    let scene = Scene::start().await;
    scene.replica.lag().await;
    // What is loaded is no event: the heads are the same, and the replica has no record.
    let key = key(500);
    let loaded = scene
        .writer
        .get_or_load(&key, |_| async { Ok::<_, std::io::Error>(7) });
    assert_eq!(loaded.await.expect("loaded").as_deref(), Some(&7));
    let reader = warm(scene.settings()).await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    assert_eq!(read(&reader, 500).await, Some(7));
    scene.replica.catch_up().await;
    scene.shutdown(reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_or_freezes_in_the_middle_costs_no_read() {
    let mut scene = Scene::start().await;
    let reader = warm(scene.settings()).await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    each_is_found(&reader, 0..10, 0).await;
    scene.replica.freeze().await;
    each_is_found(&reader, 10..20, 0).await;
    scene.replica.thaw().await;
    meets(&reader, std::slice::from_ref(&scene.replica)).await;
    let killing = async { scene.replica.kill().await };
    let reading = each_is_found(&reader, 20..40, 0);
    tokio::join!(killing, reading);
    scene.write(1_000).await;
    forgets(&reader, KEYS).await;
    each_is_found(&reader, KEYS, 1_000).await;
    scene.shutdown(reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_a_cluster_answer_reads_and_one_that_dies_costs_none() {
    let mut cluster = Cluster::start().await;
    let writer = warm(cluster.settings()).await;
    for id in KEYS {
        writer.put(&key(id), id).await.expect("put");
    }
    for master in 0..3 {
        let (master, replica) = (
            &cluster.servers[master],
            &cluster.servers[Cluster::partner(master)],
        );
        replica.has_all_of(master).await;
    }
    let mut settings = cluster.settings();
    settings.read_replicas = true;
    let reader = warm(settings).await;
    meets(&reader, &cluster.servers[3..]).await;
    let answered = async |cluster: &Cluster| {
        let mut answered = Vec::new();
        for replica in &cluster.servers[3..] {
            answered.push(if replica.is_up() {
                replica.calls("mget").await
            } else {
                0
            });
        }
        answered
    };
    let before = answered(&cluster).await;
    each_is_found(&reader, 0..20, 0).await;
    let after = answered(&cluster).await;
    let answers = after.iter().sum::<u64>() - before.iter().sum::<u64>();
    assert!(
        answers >= 10,
        "replicas answered {before:?} and then {after:?} reads"
    );
    let replica = Cluster::partner(cluster.number_of(&crate::promotions::stream(21)).await);
    let killing = async { cluster.servers[replica].kill().await };
    tokio::join!(killing, each_is_found(&reader, 20..40, 0));
    reader.shutdown().await;
    writer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_promoted_is_followed_by_nodes_that_read_from_it() {
    let cluster = Cluster::start().await;
    let mut settings = cluster.settings();
    settings.read_replicas = true;
    let nodes = [warm(settings.clone()).await, warm(settings).await];
    for (round, promoted) in [Some(3), Some(0), None].into_iter().enumerate() {
        let more = 1_000 * round as u64;
        for id in KEYS {
            eventually("written", PATIENCE, async || {
                nodes[0].put(&key(id), more + id).await.is_ok()
            })
            .await;
            eventually("read", PATIENCE, async || {
                read(&nodes[1], id).await == Some(more + id)
            })
            .await;
        }
        bound_passes().await;
        for node in &nodes {
            assert_eq!(stale(node, KEYS, |id| more + id).await, NONE);
        }
        if let Some(promoted) = promoted {
            cluster.servers[promoted].take_over().await;
        }
    }
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_where_no_replica_can_be_reached() {
    let scene = Scene::start().await;
    let mut settings = scene.settings();
    // The address that the master tells leads nowhere.
    settings.reached_at.clear();
    let inside = Address::new(&scene.replica.inside, 6379);
    settings.reached_at.insert(inside, Address::new("127.0.0.1", 1));
    let reader = cold(settings);
    assert!(reader.ready(PATIENCE).await, "the master is well");
    each_is_found(&reader, KEYS, 0).await;
    scene.shutdown(reader).await;
}
