//! A Redis server of a test's own: a process with a temporary folder, reached by a socket in it, gone with the test.
//!
//! It is no container: what is killed here starts again over the same files. It installs nothing: without `redis-server` it
//! says what to install, and the test fails.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

/// A running server, stopped when dropped.
pub struct Server {
    folder: TempDir,
    options: Vec<String>,
    process: Mutex<Option<Child>>,
}

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Server {
    /// Whether there is a `redis-server`.
    #[must_use]
    pub fn is_installed() -> bool {
        let asked = Command::new(PROGRAM)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// Starts an empty server with these options of its command line over its defaults.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(options: &[&str]) -> Self {
        let server = Self {
            folder: tempfile::Builder::new()
                .prefix("redis-")
                .tempdir()
                .expect("a temporary folder"),
            options: options.iter().copied().map(str::to_owned).collect(),
            process: Mutex::new(None),
        };
        server.start_again().await;
        server
    }

    /// Starts it once more after [`kill`](Self::kill), over what it had written to its folder.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&self) {
        let process = Command::new(PROGRAM)
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.socket())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{PROGRAM} cannot be started ({error}). On Debian: apt-get install redis-server")
            });
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.answers().await {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{PROGRAM} does not answer after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it at once, without a word. Returns when it is gone.
    ///
    /// # Panics
    /// When it is not running.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut process = process.expect("it is running");
        process.kill().expect("it is running");
        process.wait().expect("it was started");
    }

    /// Listens on a port of this machine from now on, for replicas, and returns it.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn listen(&self) -> u16 {
        // The port is free again when the listener is dropped; nobody else is given it at once.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        drop(listener);
        let () = self.command(&["CONFIG", "SET", "port", &port.to_string()]).await;
        port
    }

    /// Becomes a replica of another server, and waits until it holds a copy.
    ///
    /// # Panics
    /// When it does not within 20 s.
    pub async fn follow(&self, port: u16) {
        let () = self.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let info: String = self.command(&["INFO", "replication"]).await;
            if info.contains("master_link_status:up") {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "there is no copy: {info}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs one command over a connection of its own.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("a server that was started");
        let answer = command.query_async(&mut connection).await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    async fn answers(&self) -> bool {
        let client = redis::Client::open(self.url()).expect("an address");
        match client.get_multiplexed_async_connection().await {
            Ok(mut connection) => redis::cmd("PING").exec_async(&mut connection).await.is_ok(),
            Err(_not_yet) => false,
        }
    }
}

const PROGRAM: &str = "redis-server";

impl Drop for Server {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut process) = process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
