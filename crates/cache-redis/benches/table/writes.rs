//! Writes, one by one and from many tasks, beside SET of as many bytes.
//!
//! A write here is value, version, log entry and event; a SET is the value alone.

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::nodes::{key, node, plain, value};
use crate::reads::plain_key;
use crate::table::{Table, percentiles};

/// Writers at once.
const CROWD: usize = 64;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let (node, mut plain) = (node(&arguments.settings).await, plain(&arguments.settings).await);
    let set = |id: usize| {
        let mut command = redis::cmd("SET");
        command
            .arg(plain_key(arguments, id))
            .arg(value(id))
            .arg("PX")
            .arg(600_000);
        command
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for id in 0..arguments.rounds {
        let began = Instant::now();
        node.cache.put(&key(id), value(id)).await.expect("put");
        ours.push(began.elapsed());
        let command = set(id);
        let began = Instant::now();
        command.exec_async(&mut plain).await.expect("set");
        theirs.push(began.elapsed());
    }
    let ([p50, p99], [plain50, plain99]) = (percentiles(ours), percentiles(theirs));
    table.compare("write, p50", "us", p50, plain50);
    table.compare("write, p99", "us", p99, plain99);
    let count = arguments.rounds * 4;
    let began = Instant::now();
    let cache = &node.cache;
    stream::iter(0..count)
        .map(|id| async move { cache.put(&key(id % 1_000), value(id)).await.expect("put") })
        .buffer_unordered(CROWD)
        .for_each(async |_| {})
        .await;
    let ours = count as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let (plain, set) = (&plain, &set);
    stream::iter(0..count)
        .map(|id| async move { set(id % 1_000).exec_async(&mut plain.clone()).await.expect("set") })
        .buffer_unordered(CROWD)
        .for_each(async |()| {})
        .await;
    let theirs = count as f64 / began.elapsed().as_secs_f64();
    table.compare("writes of 64 tasks", "a second", ours, theirs);
    node.cache.shutdown().await;
}
