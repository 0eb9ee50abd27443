//! A Redis Cluster: three masters with a replica each, every server in a container of its own.
//!
//! Servers tell each other's addresses inside; from outside, each is reached by a port of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use cache_redis::{Address, Servers, Settings};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::nodes::{PATIENCE, SHARDS, eventually};
use crate::proxy::Proxy;
use crate::server::Server;

/// Masters; there are as many replicas.
const MASTERS: usize = 3;

/// After this long without an answer, a master is taken for dead. Short, since tests wait for it; not so short that a busy
/// machine is.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);

/// After this, a replica that was told to take over is told again: the servers' own limit is five seconds.
const HANDING_OVER: Duration = Duration::from_secs(6);

/// Where the servers of the first cluster talk to each other. Every cluster has a port of its own: a server inherits the address
/// of one that is gone, and Valkey introduces itself anew, as to one of its own, to whoever has the address of a lost server.
const FIRST_BUS: u16 = 17_000;

/// A cluster: the masters first, then the replica of each, as it was when it began.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    /// A cluster that serves all slots, and whose replicas hold copies.
    pub(crate) async fn start() -> Self {
        static CLUSTERS: AtomicU16 = AtomicU16::new(0);
        let timeout = NODE_TIMEOUT.as_millis().to_string();
        let bus = (FIRST_BUS + CLUSTERS.fetch_add(1, Ordering::Relaxed)).to_string();
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            &timeout,
            // A part that works goes on working.
            "--cluster-require-full-coverage",
            "no",
            "--cluster-port",
            &bus,
        ];
        let servers = join_all((0..2 * MASTERS).map(|_| Server::start_with(&options))).await;
        let cluster = Self { servers };
        cluster.form(&bus).await;
        cluster
    }

    async fn form(&self, bus: &str) {
        for (number, server) in self.servers.iter().enumerate() {
            let epoch = (number + 1).to_string();
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        for other in &self.servers[1..] {
            self.servers[0]
                .command(&["CLUSTER", "MEET", &other.inside, "6379", bus])
                .await;
        }
        for (number, range) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")]
            .iter()
            .enumerate()
        {
            self.servers[number]
                .command(&["CLUSTER", "ADDSLOTSRANGE", range.0, range.1])
                .await;
        }
        self.each_says("cluster_known_nodes:6").await;
        for number in 0..MASTERS {
            let master = self.servers[number].id().await;
            let replica = &self.servers[MASTERS + number];
            eventually("the replica knows its master", PATIENCE, async || {
                replica.attempt(&["CLUSTER", "REPLICATE", &master]).await.is_ok()
            })
            .await;
            replica.holds_a_copy().await;
        }
        self.each_says("cluster_state:ok").await;
        eventually("all agree on who follows whom", PATIENCE, async || {
            join_all(self.servers.iter().map(Server::replicas_known))
                .await
                .iter()
                .all(|known| *known == MASTERS)
        })
        .await;
    }

    async fn each_says(&self, line: &str) {
        eventually(line, PATIENCE, async || {
            let said = join_all(
                self.servers
                    .iter()
                    .map(|server| server.text(&["CLUSTER", "INFO"])),
            )
            .await;
            said.iter().all(|said| said.contains(line))
        })
        .await;
    }

    /// Settings that reach it.
    pub(crate) fn settings(&self) -> Settings {
        self.reached(|server| Address::new(&server.host, server.port))
    }

    /// Settings that reach it through these proxies, of which there is one for each server.
    pub(crate) fn through(&self, proxies: &[Proxy]) -> Settings {
        let mut proxies = proxies.iter();
        self.reached(|_| Address::new("127.0.0.1", proxies.next().expect("one for each").port))
    }

    /// A proxy for each server.
    pub(crate) async fn proxies(&self) -> Vec<Proxy> {
        join_all(self.servers.iter().map(Proxy::to)).await
    }

    fn reached(&self, at: impl FnMut(&Server) -> Address) -> Settings {
        let addresses: Vec<_> = self.servers.iter().map(at).collect();
        let inside = self
            .servers
            .iter()
            .map(|server| Address::new(&server.inside, 6379));
        let mut settings = Settings::of(Servers::Cluster(addresses[..2].to_vec())).with_prefix("test");
        settings.shards = SHARDS;
        settings.reached_at = inside.zip(addresses).collect::<BTreeMap<_, _>>();
        settings
    }

    /// The number of the server that takes writes under this name.
    pub(crate) async fn number_of(&self, name: &str) -> usize {
        for (number, server) in self.servers.iter().enumerate() {
            if server.is_up() && server.attempt(&["XLEN", name]).await.is_ok() {
                return number;
            }
        }
        panic!("no server has {name}");
    }

    /// The server that takes writes under this name.
    pub(crate) async fn master_of(&self, name: &str) -> &Server {
        &self.servers[self.number_of(name).await]
    }

    /// The server that began as the replica of another, and the other way round.
    pub(crate) const fn partner(number: usize) -> usize {
        (number + MASTERS) % (2 * MASTERS)
    }
}

impl Server {
    /// Takes the place of its master, who lives and agrees. The servers give that up in silence when they are not through with
    /// it after five seconds, as when the replica is still being brought up to date: then they are asked again.
    pub(crate) async fn take_over(&self) {
        let asked = Cell::new(None::<Instant>);
        eventually("the replica takes over", PATIENCE * 2, async || {
            if asked.get().is_none_or(|asked| asked.elapsed() > HANDING_OVER) {
                // Refused by a master, and by a replica that has lost its own for the moment.
                let _ = self.attempt(&["CLUSTER", "FAILOVER"]).await;
                asked.set(Some(Instant::now()));
            }
            self.replicates_with("role:master").await
        })
        .await;
    }

    /// Its name among the others of its cluster.
    pub(crate) async fn id(&self) -> String {
        self.text(&["CLUSTER", "MYID"]).await
    }

    async fn replicas_known(&self) -> usize {
        let nodes = self.text(&["CLUSTER", "NODES"]).await;
        nodes.lines().filter(|line| line.contains("slave")).count()
    }
}
