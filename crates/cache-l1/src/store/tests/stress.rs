//! Real threads on a few keys: readers that fill, writers that supersede, and what must be true afterwards.
//!
//! Bounded in steps, not in time; whatever the interleaving, the assertions are the same.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::Ordering;

const KEYS: usize = 8;
const STEPS: usize = 20_000;
const THREADS: u64 = 2;

/// Stands in for the shared store and its events.
#[derive(Default)]
struct Published {
    /// The newest version of every key. A writer raises it first and tells the node afterwards, as an event does; a
    /// reader takes what it finds after its fill has begun.
    newest: [AtomicU64; KEYS],
    /// The newest version of every key of which the node has been told.
    told: [AtomicU64; KEYS],
}

impl Published {
    /// Reads, and checks that what is found is not older than what the node had been told before.
    fn read(&self, store: &dyn LocalStore, id: usize) -> Option<Arc<Entry>> {
        let told = Seq(self.told[id].load(Ordering::SeqCst));
        let entry = store.read(&key(id as u64))?;
        assert!(
            entry.as_of >= told,
            "key {id}: {entry:?} was read after an event at {told}"
        );
        Some(entry)
    }
}

#[test]
fn after_all_threads_no_resident_is_older_than_the_last_event_and_no_slot_is_left() {
    for limits in [
        AMPLE,
        LocalLimits {
            max_bytes: 400,
            max_entries: 4,
        },
    ] {
        let store = MemoryStores.open("test", limits);
        let published = Published::default();
        std::thread::scope(|scope| {
            for seed in 0..THREADS {
                let (store, published) = (&*store, &published);
                scope.spawn(move || fill(store, published, seed));
                scope.spawn(move || write(store, published, seed));
            }
        });
        let usage = store.usage();
        assert_eq!(usage.in_flight, 0);
        assert!(
            usage.entries <= limits.max_entries && usage.bytes <= limits.max_bytes,
            "{usage:?}"
        );
        let mut resident = 0;
        for (id, newest) in published.newest.iter().enumerate() {
            if let Some(entry) = published.read(&*store, id) {
                resident += 1;
                assert_eq!(entry.as_of, Seq(newest.load(Ordering::SeqCst)), "key {id}");
            }
        }
        assert_eq!((usage.entries, usage.bytes), (resident, resident * 100));
    }
}

/// Reads; on a miss leads a fill, repeats it while it is superseded, and checks that versions never go back.
fn fill(store: &dyn LocalStore, published: &Published, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut last = [0; KEYS];
    for step in 0..STEPS {
        let id = random.random_range(0..KEYS);
        let key = key(id as u64);
        if let Some(entry) = published.read(store, id) {
            assert!(
                entry.as_of.0 >= last[id],
                "key {id} went back from {} to {entry:?}",
                last[id]
            );
            last[id] = entry.as_of.0;
            continue;
        }
        // A third of the fills may not be joined, so that they are taken over.
        let join_until = if step % 3 == 0 { 0 } else { 10 };
        let Begun::Lead(ticket) = store.begin(&key, at(1), flight(1, join_until)) else {
            continue;
        };
        let mut brings = (step % 5 != 0).then_some(());
        loop {
            let found = published.newest[id].load(Ordering::SeqCst);
            std::thread::yield_now();
            let entry = brings.map(|()| entry(1, found, 100));
            match store.finish(&key, ticket, entry) {
                Finished::Superseded { floor } => assert!(found < floor.0),
                Finished::Installed | Finished::NotYours => break,
            }
            if random.random_range(0..4) == 0 {
                brings = None;
            }
        }
    }
}

/// Publishes a version, then tells the node, sometimes with the value.
///
/// The first half of the keys is written by all writers, so that events overtake each other; a key of the other
/// half has one writer, who may therefore install: where nothing is resident, a store can not know that the value
/// it is told to install has been overtaken.
fn write(store: &dyn LocalStore, published: &Published, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xface);
    for step in 0..STEPS {
        let id = random.random_range(0..KEYS);
        let shared = id < KEYS / 2;
        if !shared && id as u64 % THREADS != seed {
            continue;
        }
        let seq = published.newest[id].fetch_add(1, Ordering::SeqCst) + 1;
        let replacement = match step % 4 {
            0 => Replacement::IfResident(entry(1, seq, 100)),
            1 if !shared => Replacement::Always(entry(1, seq, 100)),
            _ => Replacement::None,
        };
        store.supersede(&key(id as u64), Seq(seq), replacement);
        published.told[id].fetch_max(seq, Ordering::SeqCst);
        published.read(store, id);
        if step % 64 == 0 {
            store.clear();
        }
        if step % 8 == 0 {
            std::thread::yield_now();
        }
    }
}
