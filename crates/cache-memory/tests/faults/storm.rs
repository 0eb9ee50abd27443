//! Every fault at once, twice.
//!
//! It judges nothing but that the two runs are the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{BusMessage, EventBus, Inbox, Lane, Permille, ReadFrom, SharedStore};
use cache_memory::Faults;
use testkit::keys_in;
use tokio::time::{Instant, advance};

use crate::scene::{Scene, millis};

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let runs: Vec<String> = [5, 5, 6].into_iter().map(storm).collect();
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// A run with every fault at once, as text: what each node saw, and when.
fn storm(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let scene = Scene::new(seed).await;
        let start = Instant::now();
        let seen = Arc::new(Journal {
            start,
            lines: Mutex::default(),
        });
        let link = scene
            .writer
            .subscribe(Lane::Bulk, Arc::clone(&seen) as _)
            .await
            .expect("reachable");
        scene.hub.set_faults(Faults {
            event_loss: Permille(80),
            duplicate: Permille(50),
            reorder: Permille(50),
            event_delay: millis(0)..=millis(5),
            tail: Permille(20),
            tail_delay: millis(50)..=millis(100),
            request_delay: millis(0)..=millis(3),
            lost_request: Permille(20),
            lost_reply: Permille(30),
            lagging_read: Permille(300),
            ..Faults::NONE
        });
        for value in 0..200 {
            match value {
                50 => scene.hub.freeze("writer", millis(80)),
                100 => scene.hub.failover(3),
                150 => scene.hub.disconnect("reader"),
                _ => {}
            }
            let write = scene.write(value);
            let (one, two) = (scene.writer.clone(), scene.reader.clone());
            let writing = tokio::spawn(async move { one.write(write).await });
            let keys = keys_in(scene.shard(), 1);
            let read = two.read(scene.shard(), &keys, ReadFrom::Any).await;
            seen.note(format!("{:?} {:?}", read, writing.await));
            seen.note(format!("{:?}", link.heads().await.map(|heads| heads.heads[0])));
        }
        advance(Duration::from_secs(5)).await;
        tokio::task::yield_now().await;
        let lines = seen.lines.lock().expect("whole").join("\n");
        format!("{lines}\n{:?}", scene.inbox.messages())
    })
}

/// Everything a node sees, with its time.
struct Journal {
    start: Instant,
    lines: Mutex<Vec<String>>,
}

impl Journal {
    fn note(&self, line: String) {
        let at = self.start.elapsed();
        self.lines.lock().expect("whole").push(format!("{at:?} {line}"));
    }
}

impl Inbox for Journal {
    fn deliver(&self, message: BusMessage) {
        self.note(format!("{message:?}"));
    }
}
