//! The commands of `edge-node` that are about servers, on real ones.
//!
//! What settings mean to the shared tier is tested where they are turned into its own.

use edge_node::Ending;

use crate::cluster::Cluster;
use crate::nodes::{eventually, key, read, shard, warm};
use crate::server::Server;

/// Runs the program with the settings that reach a server.
pub(crate) async fn run(server: &Server, words: &[&str]) -> (Ending, String) {
    let (host, port) = (server.host.clone(), server.port.to_string());
    let settings = ["--redis-host", &host, "--redis-port", &port, "--redis-db", "0"];
    run_with(&[words, &settings].concat()).await
}

pub(crate) async fn run_with(words: &[&str]) -> (Ending, String) {
    let words: Vec<_> = ["edge-node"]
        .iter()
        .chain(words)
        .map(std::ffi::OsString::from)
        .collect();
    let running = tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ending = edge_node::end(words, [], &mut out, &mut err);
        out.extend(err);
        (ending, String::from_utf8(out).expect("text"))
    });
    running.await.expect("the program ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_on_the_server_of_the_settings_and_ends_with_what_it_found() {
    let server = Server::start().await;
    let (ending, said) = run(&server, &["check"]).await;
    assert_eq!(ending, Ending::Well, "{said}");
    assert!(said.contains("version") && said.contains("nothing"), "{said}");
    let info = server.text(&["INFO", "server"]).await;
    let own = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let called = match own("valkey_version:") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", own("redis_version:").expect("a version")),
    };
    assert!(said.contains(&called), "{said}");
    server
        .command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .await;
    let (ending, said) = run(&server, &["check"]).await;
    assert_eq!(ending, Ending::Broken, "{said}");
    assert!(said.contains("maxmemory-policy is allkeys-lru"), "{said}");
    server
        .command(&["CONFIG", "SET", "requirepass", "open sesame"])
        .await;
    let (ending, said) = run(&server, &["check", "--redis-password", "shut sesame"]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(!said.contains("sesame"), "{said}");
    let (ending, _) = run(&server, &["check", "--redis-password", "open sesame"]).await;
    assert_eq!(ending, Ending::Broken, "it is reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_missing_is_asked_for_by_the_name_of_its_setting() {
    let server = Server::start_with(&["--requirepass", "sesame"]).await;
    for command in ["check", "owned"] {
        let (ending, said) = run(&server, &[command]).await;
        assert_eq!(ending, Ending::Refused, "{said}");
        assert!(
            said.contains("asks for a password, and none is set") && said.contains("set redis.password"),
            "{said}"
        );
    }
    let url = format!("redis://{}:{}", server.host, server.port);
    let (ending, said) = run_with(&["demo", "--duration", "1", "--redis", &url]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("redis://USER:PASSWORD@HOST"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_redis_is_named_by_what_it_says() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let serving = tokio::spawn(async move {
        while let Ok((mut wire, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut wire, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .expect("it listens");
        }
    });
    let (ending, said) = run_with(&["check", "--redis-host", "127.0.0.1", "--redis-port", &port]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(
        said.contains("no Redis; it said \"HTTP/1.1 400 Bad Request\"") && said.contains("redis.port"),
        "{said}"
    );
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_a_refusal() {
    let (ending, said) = run_with(&["check", "--redis-host", "127.0.0.1", "--redis-port", "1"]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_owns_is_listed_and_removed_when_that_is_confirmed() {
    let server = Server::start().await;
    let node = warm(server.settings()).await;
    node.put(&key(1), 1).await.expect("put");
    let (ending, said) = run(&server, &["owned", "--prefix", "test"]).await;
    assert_eq!(ending, Ending::Well, "{said}");
    assert!(said.contains(&shard(1).to_string()), "{said}");
    let (_, said) = run(&server, &["owned", "--prefix", "other"]).await;
    assert!(said.contains("nothing there has the prefix other"), "{said}");
    node.shutdown().await;
    let (ending, said) = run(&server, &["forget", "--prefix", "test"]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("130 shards") && said.contains("--yes"), "{said}");
    let (_, said) = run(&server, &["owned", "--prefix", "test"]).await;
    assert!(
        said.contains(&shard(1).to_string()),
        "nothing was removed: {said}"
    );
    let (ending, said) = run(&server, &["forget", "--prefix", "test", "--yes"]).await;
    assert_eq!(
        (ending, said.as_str()),
        (Ending::Well, "removed 130 shards of test\n")
    );
    let (_, said) = run(&server, &["owned", "--prefix", "test"]).await;
    assert!(said.contains("nothing there"), "{said}");
    let newcomer = warm(server.settings()).await;
    eventually("it begins anew", crate::nodes::PATIENCE, async || {
        newcomer.put(&key(1), 2).await.is_ok() && read(&newcomer, 1).await == Some(2)
    })
    .await;
    newcomer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_none_for_who_names_one_server_of_it() {
    let cluster = Cluster::start().await;
    let (ending, said) = run(&cluster.servers[0], &["check"]).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("one of a cluster"), "{said}");
}
