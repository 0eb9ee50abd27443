//! The demonstration on a server, told to stop before its time.
//!
//! It runs in a process of its own, which is this very test program with one test of it: the signal is for it alone.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use edge_node::Ending;

use crate::commands::run_with;
use crate::server::{Server, environment};

/// Where the demonstration's server is.
const WHERE: &str = "TEST_DEMO_URL";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_shows_its_prefix_first_and_leaves_nothing_that_never_ends() {
    let server = Server::start().await;
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--exact", "signals::a_run_of_its_own", "--ignored", "--nocapture"])
        .env(WHERE, format!("redis://{}:{}", server.host, server.port))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut said = String::new();
    for line in BufReader::new(child.stderr.as_mut().expect("piped")).lines() {
        said = format!("{said}{}\n", line.expect("it is text"));
        if said.contains("running for") {
            break;
        }
    }
    let prefix = said
        .split_whitespace()
        .find(|word| word.starts_with("demo-"))
        .unwrap_or_else(|| panic!("its prefix is shown: {said}"))
        .trim_end_matches(',')
        .to_owned();
    assert!(!owned(&server).await.is_empty(), "it has laid out heads");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("a shell's kill").success());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    ended.expect("it ends").expect("it ends");
    let left = owned(&server).await;
    assert!(left.is_empty(), "under {prefix}: {left:?}");
}

/// The names on the server that do not end by themselves.
async fn owned(server: &Server) -> Vec<String> {
    let all: Vec<String> = redis::from_redis_value(server.command(&["KEYS", "*"]).await).expect("names");
    let mut endless = Vec::new();
    for name in all {
        if server.command(&["PTTL", &name]).await == redis::Value::Int(-1) {
            endless.push(name);
        }
    }
    endless
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the program of a demonstration, which another test starts"]
async fn a_run_of_its_own() {
    let url = environment(WHERE).expect("a server");
    let words = ["demo", "--nodes", "eu=2", "--duration", "600", "--redis", &url];
    let (ending, said) = run_with(&words).await;
    assert_eq!(ending, Ending::Well, "{said}");
}
