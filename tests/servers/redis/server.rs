//! A Redis server in a container of its own, gone with the test.
//!
//! It decides nothing about the image: the task that starts the tests names it.

use std::time::Duration;

use cache_redis::Settings;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

/// A server that keeps nothing on disk, and hears whoever comes.
const QUIET: [&str; 5] = ["redis-server", "--save", "", "--protected-mode", "no"];

/// A server.
pub(crate) struct Server {
    container: Option<ContainerAsync<GenericImage>>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) inside: String,
}

impl Server {
    /// An empty server without limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with further options of its command line.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        Self::start_on(&[], options).await
    }

    /// The same with files, each a path inside and its text.
    pub(crate) async fn start_on(files: &[(&str, &str)], options: &[&str]) -> Self {
        Self::run(files, &[&QUIET, options].concat(), "Ready to accept connections").await
    }

    /// A replica from the start, with such files and options; it has a copy.
    pub(crate) async fn start_replica(master: &Self, files: &[(&str, &str)], options: &[&str]) -> Self {
        let follows = ["--replicaof", &master.inside, "6379"];
        let words = [&QUIET, options, &follows].concat();
        Self::run(files, &words, "REPLICA sync: Finished with success").await
    }

    /// A Sentinel with this configuration, in a file that it also writes to. It knows a replica of what it watches.
    pub(crate) async fn start_sentinel(files: &[(&str, &str)], configuration: &str) -> Self {
        let path = "/data/sentinel.conf";
        let words = ["redis-server", path, "--sentinel", "--protected-mode", "no"];
        Self::run(
            &[files, &[(path, configuration)]].concat(),
            &words,
            "+slave slave",
        )
        .await
    }

    async fn run(files: &[(&str, &str)], words: &[&str], ready: &str) -> Self {
        let image = environment("TEST_REDIS_IMAGE").unwrap_or_else(|| "redis:7.0".to_owned());
        let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
        let port = ContainerPort::Tcp(6379);
        let mut request = GenericImage::new(name, tag)
            .with_exposed_port(port)
            .with_wait_for(WaitFor::message_on_stdout(ready))
            // Named, so that its address there can be asked for.
            .with_network("bridge")
            .with_cmd(words.iter().copied());
        for (path, text) in files {
            request = request.with_copy_to(*path, text.as_bytes().to_vec());
        }
        let container = request.start().await.unwrap_or_else(|error| {
            panic!("cannot start {image}; `cargo xtask test-integration` provides it: {error}")
        });
        let inside = container
            .get_bridge_ip_address()
            .await
            .expect("an address")
            .to_string();
        let host = container.get_host().await.expect("a host").to_string();
        let port = container.get_host_port_ipv4(port).await.expect("a port");
        Self {
            container: Some(container),
            host: if host == "localhost" {
                "127.0.0.1".to_owned()
            } else {
                host
            },
            port,
            inside,
        }
    }

    /// Settings that reach it.
    pub(crate) fn settings(&self) -> Settings {
        Settings::at(&self.host, self.port).with_prefix("test")
    }

    /// A connection for commands that no tier would send.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        self.reach().await.expect("a server that was started")
    }

    async fn reach(&self) -> RedisResult<MultiplexedConnection> {
        redis::Client::open((self.host.as_str(), self.port))?
            .get_multiplexed_async_connection()
            .await
    }

    /// Runs one command.
    pub(crate) async fn command(&self, words: &[&str]) -> Value {
        let answer = self.attempt(words).await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Runs one command, which is answered with text.
    pub(crate) async fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.command(words).await).expect("text")
    }

    /// Runs one command, which may be refused, or get no answer.
    pub(crate) async fn attempt(&self, words: &[&str]) -> RedisResult<Value> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async(&mut self.reach().await?).await
    }

    /// Whether it tells this of its replication. One that changes its role ends its conversations: that is a "not yet".
    pub(crate) async fn replicates_with(&self, line: &str) -> bool {
        let answer = self.attempt(&["INFO", "replication"]).await;
        answer.is_ok_and(|info| redis::from_redis_value::<String>(info).is_ok_and(|info| info.contains(line)))
    }

    /// Whether it was not killed.
    pub(crate) const fn is_up(&self) -> bool {
        self.container.is_some()
    }

    /// Kills it, as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        if let Some(container) = self.container.take() {
            container
                .rm()
                .await
                .expect("a container that runs can be removed");
        }
    }

    /// Ends it and starts it again with what it saved last.
    pub(crate) async fn restart(&mut self) {
        let container = self.container();
        container
            .stop()
            .await
            .expect("a container that runs can be stopped");
        container
            .start()
            .await
            .expect("a stopped container can be started");
        self.port = self.container().get_host_port_ipv4(6379).await.expect("a port");
        self.inside = self
            .container()
            .get_bridge_ip_address()
            .await
            .expect("an address")
            .to_string();
        crate::nodes::eventually("the server answers", Duration::from_secs(20), async || {
            self.attempt(&["PING"]).await.is_ok()
        })
        .await;
    }

    /// Stops its process in the middle of whatever it does, until it is thawed.
    pub(crate) async fn freeze(&self) {
        self.container()
            .pause()
            .await
            .expect("a container that runs can be paused");
    }

    pub(crate) async fn thaw(&self) {
        self.container()
            .unpause()
            .await
            .expect("a paused container can go on");
    }

    /// Becomes a replica of another server, and waits until it holds a copy.
    pub(crate) async fn follow(&self, master: &Self) {
        self.command(&["REPLICAOF", &master.inside, "6379"]).await;
        self.holds_a_copy().await;
    }

    /// Waits until it holds a copy of its master.
    pub(crate) async fn holds_a_copy(&self) {
        crate::nodes::eventually("the replica has a copy", Duration::from_secs(20), async || {
            self.replicates_with("master_link_status:up").await
        })
        .await;
    }

    /// Takes writes from now on, with whatever it holds.
    pub(crate) async fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]).await;
    }

    fn container(&self) -> &ContainerAsync<GenericImage> {
        self.container.as_ref().expect("it was not killed")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test binary is its own composition root"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
