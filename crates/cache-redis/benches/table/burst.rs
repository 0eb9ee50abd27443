//! How fast a node applies a burst of invalidations that lies ready for it, beside a plain subscriber's rate.
//!
//! Both are kept from reading while the burst is sent, so that neither waits for whoever sends it.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::nodes::{Node, client, key, node, plain, value};
use crate::table::Table;

const BURST: usize = 20_000;
const BATCH: usize = 500;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let writer = node(&arguments.settings).await;
    let (ours, theirs) = (
        nodes_rate(arguments, &writer).await,
        subscribers_rate(arguments).await,
    );
    table.compare("burst of 20,000 invalidations, applied", "a second", ours, theirs);
    writer.cache.shutdown().await;
}

async fn nodes_rate(arguments: &Arguments, writer: &Node) -> f64 {
    let ids: Vec<usize> = (0..BURST).collect();
    for ids in ids.chunks(BATCH) {
        let puts = ids
            .iter()
            .map(async |id| writer.cache.put(&key(*id), value(*id)).await);
        for receipt in join_all(puts).await {
            receipt.expect("put");
        }
    }
    let settings = arguments.settings.clone();
    let receiver = Held::start(async move {
        let mut node = node(&settings).await;
        for ids in (0..BURST).collect::<Vec<_>>().chunks(BATCH) {
            let keys: Vec<_> = ids.iter().map(|id| key(*id)).collect();
            node.cache.get_many(&keys).await.expect("answered");
        }
        // What was written before is no part of the burst.
        while tokio::time::timeout(Duration::from_millis(200), node.superseded.recv())
            .await
            .is_ok()
        {}
        let (cache, superseded) = (node.cache, node.superseded);
        let end = async move || cache.shutdown().await;
        (superseded, end)
    })
    .await;
    for ids in ids.chunks(BATCH) {
        for receipt in join_all(
            ids.iter()
                .map(async |id| writer.cache.invalidate(&key(*id)).await),
        )
        .await
        {
            receipt.expect("published");
        }
    }
    receiver.rate().await
}

async fn subscribers_rate(arguments: &Arguments) -> f64 {
    let (settings, channel) = (
        arguments.settings.clone(),
        format!("{}:burst", arguments.settings.prefix),
    );
    let subscribed = channel.clone();
    let receiver = Held::start(async move {
        let mut pubsub = client(&settings).get_async_pubsub().await.expect("a server");
        pubsub.subscribe(subscribed).await.expect("subscribed");
        let (sender, heard) = unbounded_channel();
        let listening = tokio::spawn(async move {
            let mut messages = pubsub.on_message();
            while messages.next().await.is_some() && sender.send(Instant::now()).is_ok() {}
        });
        let end = async move || listening.abort();
        (heard, end)
    })
    .await;
    let mut plain = plain(&arguments.settings).await;
    for _batch in 0..BURST / BATCH {
        let mut pipe = redis::pipe();
        for _ in 0..BATCH {
            // As many bytes as an event of ours has.
            pipe.cmd("PUBLISH").arg(&channel).arg(&[b'x'; 64][..]).ignore();
        }
        pipe.exec_async(&mut plain).await.expect("published");
    }
    receiver.rate().await
}

/// Somebody who receives on a thread and a runtime of its own, and can be kept from it.
struct Held {
    received: UnboundedReceiver<Instant>,
    release: Sender<()>,
    ended: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Held {
    /// Starts it and holds it as soon as it is ready. `ready` hands over where it tells what it has received, and how it ends.
    async fn start<E, F>(
        ready: impl Future<Output = (UnboundedReceiver<Instant>, E)> + Send + 'static,
    ) -> Self
    where
        E: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (release, released) = channel();
        let (tell, told) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let (received, ending) = ready.await;
                let _ = tell.send(received);
                // The whole runtime stands still, its connections with it.
                let _ = released.recv();
                let _ = end.await;
                ending().await;
            });
        });
        let received = told.await.expect("it becomes ready");
        Self {
            received,
            release,
            ended,
            thread,
        }
    }

    /// Lets it go; how many it receives a second from then on, until the burst is over.
    async fn rate(mut self) -> f64 {
        let _ = self.release.send(());
        let (began, mut last) = (Instant::now(), Instant::now());
        for _ in 0..BURST {
            last = self.received.recv().await.expect("it lives");
        }
        let rate = BURST as f64 / last.duration_since(began).as_secs_f64();
        drop(self.ended);
        self.thread.join().expect("it ends");
        rate
    }
}
