//! The node's commands on a PostgreSQL server: migrate, then demonstrate.
//!
//! What the demonstration judges, and how, is tested with the node.

use std::ffi::OsString;

use edge_node::{Ending, end};
use tests_servers::postgres::Server;

fn run(line: &[&str]) -> (Ending, String) {
    let line = std::iter::once("edge-node")
        .chain(line.iter().copied())
        .map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ending = end(line, [], &mut out, &mut err);
    let text = [out, err].concat();
    (ending, String::from_utf8(text).expect("it is text"))
}

#[test]
fn a_fleet_books_in_a_database_once_it_was_migrated_and_books_nothing_twice() {
    let server = Server::start(&[]);
    server.database("bookings");
    let url = server.url("bookings");
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let (hosts, tasks) = (folder.path().join("hosts.csv"), folder.path().join("tasks.csv"));
    let rows: String = (0..40).map(|number| format!("h{number},8,T4\n")).collect();
    std::fs::write(&hosts, format!("sn,gpu,model\n{rows}")).unwrap();
    let rows: String = (0..60)
        .map(|number| format!("t{number},1,{number},{}\n", number + 40))
        .collect();
    std::fs::write(
        &tasks,
        format!("name,num_gpu,creation_time,deletion_time\n{rows}"),
    )
    .unwrap();
    let demo = [
        "demo",
        "--nodes",
        "eu=2",
        "--duration",
        "1",
        "--store",
        &url,
        "--report",
        report.to_str().unwrap(),
    ];

    let (ending, told) = run(&demo);
    assert_eq!(ending, Ending::Refused);
    assert!(told.contains("run `edge-node migrate"), "{told}");
    let (ending, told) = run(&["migrate", "--store", &url]);
    assert_eq!(
        (ending, told.as_str()),
        (Ending::Well, "the schema was brought from version 0 to 1\n")
    );
    let (ending, told) = run(&["migrate", "--store", &url]);
    assert_eq!(
        (ending, told.as_str()),
        (
            Ending::Well,
            "the schema has version 1 already; nothing was done\n"
        )
    );

    let (_, told) = run(&demo);
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(report["store"], "postgres");
    assert_eq!(report["bookings"]["double"], 0, "{told}");
    assert!(report["bookings"]["won"].as_u64() > Some(0), "{told}");
}
