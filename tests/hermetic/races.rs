//! A thread that is stopped between two steps of a read, while the rest of the node goes on.
//!
//! Random interleavings are tried elsewhere; these are the ones that were once wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use cache_core::{
    Begun, CacheKey, Entry, FailSafe, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage,
    Moment, Namespace, Permille, Policy, Replacement, Seq, Ticket,
};
use cache_memory::Cut;
use edge_cache::{CacheError, Receipt};
use tests::{Fleet, FleetOptions};
use tokio::time::sleep;

use crate::doubles::{Says, Source};

const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0)),
);
const BRIEF: Namespace<u64> = Namespace::new(
    "brief",
    Policy::event_driven(Duration::from_millis(200))
        .with_jitter(Permille(0))
        .with_fail_safe(FailSafe {
            max_stale: Duration::from_secs(60),
            throttle: Duration::from_secs(5),
        }),
);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_after_a_queued_invalidation_never_hits_even_if_it_is_published_meanwhile() {
    let (fleet, stop) = stoppable(Step::Read).await;
    let (node, key) = (fleet.nodes[0].clone(), NUMBERS.key(&[("id", &1)]));
    node.put(&key, 1).await.expect("published");
    fleet.hub.partition("node-0", Cut::Data);
    assert_eq!(node.invalidate(&key).await.expect("owed"), Receipt::Queued);
    // The read begins after the acknowledgement, and is stopped once it has looked at the entry, if it does.
    stop.arm();
    let mut reader = tokio::task::spawn_blocking({
        let node = node.clone();
        move || node.peek(&key).expect("registered").map(|value| *value)
    });
    let answer = tokio::select! {
        answer = &mut reader => answer,
        () = stop.reached() => {
            fleet.hub.heal("node-0");
            while node.stats().owed > 0 {
                sleep(Duration::from_millis(5)).await;
            }
            stop.release();
            reader.await
        }
    };
    assert_eq!(answer.expect("read"), None);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_invalidation_is_not_undone_by_a_stand_in_that_was_looked_up_before_it() {
    let (fleet, stop) = stoppable(Step::Begin).await;
    let (node, key, source) = (fleet.nodes[0].clone(), BRIEF.key(&[("id", &1)]), Source::of(1));
    node.get_or_load(&key, source.loader()).await.expect("loaded");
    sleep(Duration::from_millis(300)).await;
    source.set(Says::Error);
    stop.arm();
    let reader = tokio::spawn({
        let (node, key, source) = (node.clone(), key.clone(), source.clone());
        async move { node.get_or_load(&key, source.loader()).await }
    });
    stop.reached().await;
    let receipt = node.invalidate(&key).await.expect("published");
    assert!(receipt.version().is_some(), "{receipt:?}");
    stop.release();
    reader
        .await
        .expect("ended")
        .expect("it began before the invalidation");
    let after = node.get_or_load(&key, source.loader()).await;
    assert!(
        matches!(after, Err(CacheError::Load(_))),
        "served after its own invalidation: {after:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_joins_after_an_invalidation_is_not_given_a_stand_in_that_was_looked_up_before_it() {
    for queued in [true, false] {
        let (fleet, stop) = stoppable(Step::Begin).await;
        let (node, key, source) = (fleet.nodes[0].clone(), BRIEF.key(&[("id", &1)]), Source::of(1));
        source.set(Says::Tagged(1, "eu"));
        node.get_or_load(&key, source.loader()).await.expect("loaded");
        sleep(Duration::from_millis(300)).await;
        source.set(Says::Error);
        let source = source.slow(Duration::from_millis(500));
        stop.arm();
        let read = || {
            let (node, key, source) = (node.clone(), key.clone(), source.clone());
            tokio::spawn(async move { node.get_or_load(&key, source.loader()).await })
        };
        let reader = read();
        stop.reached().await;
        // Neither takes the entry out of memory.
        let told = if queued {
            fleet.hub.partition("node-0", Cut::Data);
            node.invalidate(&key).await
        } else {
            node.invalidate_tag("eu").await
        };
        assert_eq!(told.expect("told") == Receipt::Queued, queued);
        stop.release();
        while source.calls() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let after = read().await.expect("no panic");
        assert!(
            matches!(after, Err(CacheError::Load(_))),
            "served after its own invalidation: {after:?}"
        );
        drop(reader.await.expect("no panic"));
        fleet.hub.heal("node-0");
        fleet.shutdown().await;
    }
}

/// One node, whose memory stops the first thread that takes this step once the stop is armed.
async fn stoppable(step: Step) -> (Fleet, Stop) {
    let (go, wait) = mpsc::channel();
    let stop = Stop {
        step,
        armed: Arc::default(),
        reached: Arc::default(),
        go,
        wait: Arc::new(Mutex::new(wait)),
    };
    let theirs = stop.clone();
    let options = FleetOptions {
        nodes: 1,
        local: Some(Arc::new(move |inner| {
            Arc::new(StoppableStores {
                inner,
                stop: theirs.clone(),
            })
        })),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS).namespace(&BRIEF)).await;
    (fleet, stop)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The entry has been read.
    Read,
    /// A fetch is about to begin.
    Begin,
}

#[derive(Clone)]
struct Stop {
    step: Step,
    armed: Arc<AtomicBool>,
    reached: Arc<tokio::sync::Notify>,
    go: mpsc::Sender<()>,
    wait: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Stop {
    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn reached(&self) {
        self.reached.notified().await;
    }

    fn release(&self) {
        self.go.send(()).expect("a thread waits");
    }

    fn pass(&self, step: Step) {
        if self.step == step && self.armed.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.wait.lock().expect("stop").recv().expect("released");
        }
    }
}

struct StoppableStores {
    inner: Arc<dyn LocalStores>,
    stop: Stop,
}

impl LocalStores for StoppableStores {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(StoppableStore {
            inner: self.inner.open(namespace, limits),
            stop: self.stop.clone(),
        })
    }
}

struct StoppableStore {
    inner: Arc<dyn LocalStore>,
    stop: Stop,
}

impl LocalStore for StoppableStore {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        let found = self.inner.read(key);
        self.stop.pass(Step::Read);
        found
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.stop.pass(Step::Begin);
        self.inner.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.inner.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.inner.supersede(key, seq, replacement)
    }

    fn clear(&self) {
        self.inner.clear();
    }

    fn usage(&self) -> LocalUsage {
        self.inner.usage()
    }
}
