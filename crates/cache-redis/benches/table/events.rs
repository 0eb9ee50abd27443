//! From a write on one node to its effect on fourteen others, beside a PUBLISH to as many plain subscribers; and
//! what a node costs that does nothing.
//!
//! The plain subscribers use the same client.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use crate::arguments::Arguments;
use crate::nodes::{client, key, node, plain, value};
use crate::table::{Table, percentiles};

const OTHERS: usize = 14;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let settings = &arguments.settings;
    let writer = node(settings).await;
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(node(settings).await);
    }
    idle(arguments, table).await;
    let channel = format!("{}:plain", settings.prefix);
    let mut heard = Vec::new();
    for _ in 0..OTHERS {
        heard.push(subscriber(arguments, &channel).await);
    }
    let mut plain = plain(settings).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds.min(1_000) {
        let id = round % 50;
        let sent = Instant::now();
        writer.cache.put(&key(id), value(round)).await.expect("put");
        for other in &mut others {
            let effect = other.superseded.recv().await.expect("a node lives");
            ours.push(effect.duration_since(sent));
        }
        let sent = Instant::now();
        redis::cmd("PUBLISH")
            .arg(&channel)
            .arg(value(round))
            .exec_async(&mut plain)
            .await
            .expect("publish");
        for heard in &mut heard {
            let arrived = heard.recv().await.expect("a subscriber lives");
            theirs.push(arrived.duration_since(sent));
        }
    }
    let ([p50, p99], [plain50, plain99]) = (percentiles(ours), percentiles(theirs));
    table.compare("write to its effect on 14 other nodes, p50", "us", p50, plain50);
    table.compare("write to its effect on 14 other nodes, p99", "us", p99, plain99);
    for other in others {
        other.cache.shutdown().await;
    }
    writer.cache.shutdown().await;
}

async fn subscriber(arguments: &Arguments, channel: &str) -> UnboundedReceiver<Instant> {
    let client = client(&arguments.settings);
    let mut pubsub = client.get_async_pubsub().await.expect("a server");
    pubsub.subscribe(channel).await.expect("subscribed");
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        let mut messages = pubsub.on_message();
        while messages.next().await.is_some() && sender.send(Instant::now()).is_ok() {}
    });
    receiver
}

/// Commands that the server ran for 15 nodes that do nothing.
async fn idle(arguments: &Arguments, table: &mut Table) {
    let mut plain = plain(&arguments.settings).await;
    let mut count = async || -> u64 {
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut plain)
            .await
            .expect("info");
        let role = info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_role:calls="));
        role.and_then(|rest| rest.split(',').next())
            .map_or(0, |calls| calls.parse().expect("a number"))
    };
    let (span, before) = (Duration::from_secs(5), count().await);
    sleep(span).await;
    let beats = (count().await - before) as f64 / span.as_secs_f64() / (OTHERS + 1) as f64;
    table.tell("heartbeats of an idle node", "a second", beats);
}
