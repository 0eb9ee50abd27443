//! The node's demonstration with its bookings on a Redis server, which sells only what it is told it may lose.
//!
//! What the demonstration judges, and how, is tested with the node.

use std::ffi::OsString;

use edge_node::{Ending, end};
use tests_servers::redis::Server;

fn run(line: &[&str]) -> (Ending, String) {
    let line = line.iter().copied().map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ending = end(line, [], &mut out, &mut err);
    (
        ending,
        String::from_utf8([out, err].concat()).expect("it is text"),
    )
}

#[test]
fn a_fleet_books_on_a_server_once_its_losses_are_accepted_and_books_nothing_twice() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let demo = [
        "edge-node",
        "demo",
        "--nodes",
        "eu=2",
        "--duration",
        "1",
        "--report",
        report.to_str().unwrap(),
        "--store",
        &server.url(),
    ];
    let (ending, told) = run(&demo);
    assert_eq!(ending, Ending::Refused);
    assert!(told.contains("add --allow-lossy-bookings"), "{told}");
    let (_, told) = run(&[&demo[..], &["--allow-lossy-bookings"]].concat());
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(report["store"], "redis");
    assert_eq!(report["bookings"]["double"], 0, "{told}");
    assert!(report["bookings"]["won"].as_u64() > Some(0), "{told}");
}
