//! A node in a process of its own, which the system stops and lets go on.
//!
//! It is this very test program, started once more with one test of it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::nodes::{bound_passes, key, read, warm};
use crate::server::{Server, environment};

/// Where the node's server is.
const WHERE: &str = "TEST_NODE_URL";

/// Begins what the node says, since the test program says things too.
const SAYS: &str = "node: ";

struct Process {
    child: Child,
    ask: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(server: &Server) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([
                "--exact",
                "processes::a_node_of_its_own",
                "--ignored",
                "--nocapture",
            ])
            .env(WHERE, format!("redis://{}:{}", server.host, server.port))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let ask = child.stdin.take().expect("piped");
        let says = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut this = Self { child, ask, says };
        assert_eq!(this.said(), "ready");
        this
    }

    fn said(&mut self) -> String {
        for line in &mut self.says {
            if let Some((_, said)) = line.expect("what it says").split_once(SAYS) {
                return said.to_owned();
            }
        }
        panic!("the node has ended");
    }

    fn ask(&mut self, ids: std::ops::Range<u64>) {
        let questions: String = ids.map(|id| format!("{id}\n")).collect();
        self.ask.write_all(questions.as_bytes()).expect("it listens");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([signal, &id])
            .status()
            .expect("a shell's kill");
        assert!(sent.success(), "{signal} to our own child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_stopped_process_answers_nothing_old_when_it_goes_on() {
    let server = Server::start().await;
    let writer = warm(server.settings()).await;
    for id in 0..20 {
        writer.put(&key(id), id).await.expect("put");
    }
    let mut node = Process::start(&server);
    for _ in 0..2 {
        node.ask(0..20);
        for id in 0..20 {
            assert_eq!(node.said(), id.to_string());
        }
    }
    node.signal("-STOP");
    for id in 0..20 {
        writer.put(&key(id), 1_000 + id).await.expect("put");
    }
    bound_passes().await;
    bound_passes().await;
    // What it does first is what it was asked meanwhile.
    node.ask(0..20);
    node.signal("-CONT");
    for id in 0..20 {
        let said = node.said();
        assert!(
            said == (1_000 + id).to_string() || said == "nothing",
            "{id} is {said}"
        );
    }
    writer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the program of a node, which another test starts"]
async fn a_node_of_its_own() {
    let url = environment(WHERE).expect("a server");
    let settings = cache_redis::Settings::from_url(&url).expect("an address");
    let node = warm(settings.with_prefix("test")).await;
    println!("{SAYS}ready");
    for id in std::io::stdin().lines() {
        let id = id.expect("a question").parse().expect("a number");
        match read(&node, id).await {
            Some(value) => println!("{SAYS}{value}"),
            None => println!("{SAYS}nothing"),
        }
    }
}
