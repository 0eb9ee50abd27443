//! A node whose line to the server is cut while another publishes 100,000 events, and is then whole again: how long until the
//! node has made up for all of them.
//!
//! It is the one measure here that also judges: what was flushed would have been made up for in no time.

use std::collections::BTreeSet;
use std::time::Duration;

use cache_core::{Lane, ShardCount};
use cache_redis::{Address, Servers, Settings};
use futures_util::future::join_all;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::arguments::Arguments;
use crate::nodes::{Node, key, node, value};
use crate::table::Table;

const EVENTS: usize = 100_000;

/// Keys whose events are missed, from here on; below, those that tell whether a shard is alive.
const FIRST: usize = 100_000;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let settings = &arguments.settings;
    let line = Line::to(settings).await;
    let mut through = settings.clone();
    through.servers = Servers::Single(Address::new("127.0.0.1", line.port));
    let (writer, cut_off) = (node(settings).await, node(&through).await);
    let markers = markers(&writer, &cut_off).await;
    let before = cut_off.cache.stats().events[Lane::Bulk.index()];
    line.whole.send_replace(false);
    let keys: Vec<_> = (FIRST..FIRST + EVENTS).map(key).collect();
    for keys in keys.chunks(500) {
        for receipt in join_all(keys.iter().map(|key| writer.cache.invalidate(key))).await {
            receipt.expect("published");
        }
    }
    until("every lease is over", async || alive(&cut_off, &markers) == 0).await;
    line.whole.send_replace(true);
    let healed = Instant::now();
    until("every shard is alive", async || {
        alive(&cut_off, &markers) == markers.len()
    })
    .await;
    let took = healed.elapsed();
    let after = cut_off.cache.stats().events[Lane::Bulk.index()];
    assert_eq!(after.flushes, before.flushes, "read from the logs, not given up");
    assert_eq!(after.applied - before.applied, EVENTS as u64, "all of them");
    table.tell(
        "100,000 missed events made up for, by replays",
        "ms",
        took.as_secs_f64() * 1e3,
    );
    for node in [writer, cut_off] {
        node.cache.shutdown().await;
    }
}

/// A key of every shard that both nodes hold in memory: it is answered from there while its shard is alive, and not after a
/// flush.
async fn markers(writer: &Node, other: &Node) -> Vec<usize> {
    let mut shards = BTreeSet::new();
    let ids: Vec<_> = (0..FIRST)
        .filter(|id| shards.insert(key(*id).shard(ShardCount::DEFAULT).index()))
        .collect();
    for id in &ids {
        writer.cache.put(&key(*id), value(*id)).await.expect("put");
    }
    until("the node holds them", async || {
        for id in &ids {
            let _ = other.cache.get(&key(*id)).await;
        }
        alive(other, &ids) == ids.len()
    })
    .await;
    ids
}

fn alive(node: &Node, markers: &[usize]) -> usize {
    let held = |id: &&usize| node.cache.peek(&key(**id)).is_ok_and(|held| held.is_some());
    markers.iter().filter(held).count()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// A way to the server that can be cut: everything on it is lost then, and nobody new is let through.
struct Line {
    port: u16,
    whole: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Line {
    async fn to(settings: &Settings) -> Self {
        let Servers::Single(Address { host, port }) = settings.servers.clone() else {
            unreachable!("the arguments name one server");
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let (whole, mut state) = watch::channel(true);
        let mut accepting = JoinSet::new();
        let here = listener.local_addr().expect("an address").port();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok(()) = state.changed() => if !*state.borrow_and_update() {
                        connections.shutdown().await;
                    },
                    Ok((mut node, _)) = listener.accept() => if *state.borrow() {
                        let host = host.clone();
                        connections.spawn(async move {
                            if let Ok(mut server) = TcpStream::connect((host, port)).await {
                                let _ = (node.set_nodelay(true), server.set_nodelay(true));
                                let _ = copy_bidirectional(&mut node, &mut server).await;
                            }
                        });
                    },
                }
            }
        });
        Self {
            port: here,
            whole,
            _accepting: accepting,
        }
    }
}
