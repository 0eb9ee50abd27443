//! Crowds of bookers on the stores that need no server.
//!
//! The same crowd on PostgreSQL is in the binary of that environment; `cargo xtask stress` runs all at any size.

use std::sync::Arc;

use bookings_sqlite::SqliteBookings;
use marketplace::{ManualClock, MemoryBookings, StoreTime};
use tests::stress::{Size, stress};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_in_memory_is_linearizable() {
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    // By default it forgets what a crowd of the full size did at its start.
    let store = Arc::new(MemoryBookings::with_log_rows(clock.clone(), 10_000_000));
    let judged = stress(store, clock, Size::asked_for(), async {}).await;
    eprintln!("memory: {judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_in_a_file_is_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = SqliteBookings::open(&folder.path().join("bookings.db"), clock.clone()).unwrap();
    let judged = stress(Arc::new(store), clock, Size::asked_for(), async {}).await;
    eprintln!("sqlite: {judged:?}");
}
