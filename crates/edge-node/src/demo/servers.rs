//! A Redis Cluster of this machine's own `redis-server`, for one run: three masters with a replica each.
//!
//! It keeps nothing on disk beyond the run, and is no way to operate a cluster.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cache_redis::{Address, Servers, Settings};
use futures_util::future::try_join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const HOST: &str = "127.0.0.1";

/// The slots of each master.
const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

/// After this long without an answer, a master is taken for dead: as short as a machine that also runs the whole fleet
/// allows.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the cluster may take to form.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster. Dropping it kills its servers and deletes their folders.
#[derive(Debug)]
pub struct LocalCluster {
    servers: Vec<LocalServer>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct LocalServer {
    process: Child,
    port: u16,
    bus: u16,
}

impl LocalCluster {
    /// Starts this program six times, and waits until they are a cluster that serves all slots.
    ///
    /// # Errors
    /// When the program cannot be started, or the servers do not become a cluster within a minute.
    pub async fn start(program: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder for the servers: {error}"))?;
        let ports = free_ports(4 * SLOTS.len())
            .await
            .map_err(|error| format!("no free port: {error}"))?;
        let start = |ports: &[u16]| LocalServer::start(program, folder.path(), ports[0], ports[1]);
        let servers = ports.chunks_exact(2).map(start).collect::<Result<Vec<_>, _>>()?;
        let cluster = Self {
            servers,
            _folder: folder,
        };
        match timeout(PATIENCE, cluster.form()).await {
            Ok(formed) => formed?,
            Err(_elapsed) => return Err(format!("the servers are no cluster after {PATIENCE:?}")),
        }
        Ok(cluster)
    }

    /// Settings that reach it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let seeds = self.servers.iter().map(|server| Address::new(HOST, server.port));
        Settings::of(Servers::Cluster(seeds.collect()))
    }

    /// Kills the first of the masters, as `kill -9` does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill_a_master(&mut self) -> Result<(), String> {
        let killed = self.servers[0].process.kill();
        killed.map_err(|error| format!("a master cannot be killed: {error}"))
    }

    async fn form(&self) -> Result<(), String> {
        for server in &self.servers {
            server.answers().await;
        }
        let (masters, replicas) = self.servers.split_at(SLOTS.len());
        for (server, (first, last)) in masters.iter().zip(SLOTS) {
            server
                .order(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"))
                .await?;
        }
        for (epoch, server) in (1..).zip(&self.servers) {
            server.order(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}")).await?;
        }
        for other in &self.servers[1..] {
            let meet = format!("CLUSTER MEET {HOST} {} {}", other.port, other.bus);
            masters[0].order(&meet).await?;
        }
        for (replica, master) in replicas.iter().zip(masters) {
            let master = master.order("CLUSTER MYID").await?;
            // Refused until it has heard of its master.
            until(async || {
                replica
                    .order(&format!("CLUSTER REPLICATE {master}"))
                    .await
                    .is_ok()
            })
            .await;
            until(async || replica.says("INFO replication", "master_link_status:up").await).await;
        }
        try_join_all(self.servers.iter().map(async |server| {
            until(async || server.says("CLUSTER INFO", "cluster_state:ok").await).await;
            until(async || server.says("CLUSTER INFO", "cluster_known_nodes:6").await).await;
            Ok(())
        }))
        .await
        .map(|_| ())
    }
}

impl LocalServer {
    fn start(program: &Path, folder: &Path, port: u16, bus: u16) -> Result<Self, String> {
        let folder = folder.join(port.to_string());
        std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut command = Command::new(program);
        // A terminal's ctrl-c goes to a whole group of processes: the servers are still needed while the run drains.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = command
            .current_dir(&folder)
            .args([
                "--bind",
                HOST,
                "--port",
                &port.to_string(),
                "--cluster-port",
                &bus.to_string(),
            ])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--maxmemory-policy",
                "volatile-lru",
            ])
            .args([
                "--cluster-enabled",
                "yes",
                "--cluster-require-full-coverage",
                "no",
            ])
            .args(["--cluster-node-timeout", &NODE_TIMEOUT.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!(
                    "{} cannot be started: {error}; install it (apt-get install redis-server), name it with \
                     --redis-server, or name running servers with --redis",
                    program.display()
                )
            })?;
        Ok(Self { process, port, bus })
    }

    async fn answers(&self) {
        until(async || self.order("PING").await.is_ok()).await;
    }

    async fn says(&self, question: &str, line: &str) -> bool {
        self.order(question)
            .await
            .is_ok_and(|answer| answer.contains(line))
    }

    /// One command without spaces in its words, and its answer as text.
    async fn order(&self, command: &str) -> Result<String, String> {
        let answer = async {
            let mut wire = BufReader::new(TcpStream::connect((HOST, self.port)).await?);
            wire.write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut line = String::new();
            wire.read_line(&mut line).await?;
            let mut line = line.trim_end().to_owned();
            if let Some(length) = line.strip_prefix('$').and_then(|length| length.parse().ok()) {
                let mut text = vec![0; length];
                wire.read_exact(&mut text).await?;
                line = format!("+{}", String::from_utf8_lossy(&text));
            }
            Ok::<_, std::io::Error>(line)
        };
        let answer = answer.await.map_err(|error| format!("{command}: {error}"))?;
        match answer.strip_prefix('+') {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("{command}: {answer}")),
        }
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn until(holds: impl AsyncFn() -> bool) {
    while !holds().await {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Ports that were free a moment ago.
async fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners = try_join_all((0..count).map(|_| TcpListener::bind((HOST, 0)))).await?;
    listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}
