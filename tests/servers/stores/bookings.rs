//! Crowds of bookers on the stores that need no server.
//!
//! The same crowd on PostgreSQL is in the binary of that environment; `cargo xtask stress` runs all at any size.

use std::path::Path;
use std::sync::Arc;

use bookings_sqlite::SqliteBookings;
use marketplace::{ManualClock, MemoryBookings, StoreTime};
use tests_servers::stress::{Size, book_until_killed, stress, stress_killed, this_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_in_memory_is_linearizable() {
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    // By default it forgets what a crowd of the full size did at its start.
    let store = Arc::new(MemoryBookings::with_log_rows(clock.clone(), 10_000_000));
    let judged = stress(store, clock, Size::asked_for(), async {}).await;
    eprintln!("memory: {judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_in_an_sqlite_file_is_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = opened(&folder.path().join("bookings.db"), clock.clone());
    let judged = stress(Arc::new(store), clock, Size::asked_for(), async {}).await;
    eprintln!("sqlite: {judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_in_an_sqlite_file_whose_process_is_killed_is_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bookings.db");
    let child = || {
        let mut program = this_program("bookings::the_crowd_that_is_killed");
        program.env(FILE, &path);
        program
    };
    let open = async |clock| opened(&path, clock);
    let judged = stress_killed(child, open, Size::asked_for()).await;
    eprintln!("sqlite, process killed: {judged:?}");
}

/// Tells the crowd which file to book in.
const FILE: &str = "STRESS_SQLITE_FILE";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it books until it is killed, so only the test above starts it, as another process"]
#[expect(
    clippy::disallowed_methods,
    reason = "its parent hands the file over in the environment"
)]
async fn the_crowd_that_is_killed() {
    let path = std::env::var_os(FILE).unwrap_or_default();
    book_until_killed(async |clock| opened(path.as_ref(), clock)).await;
}

fn opened(path: &Path, clock: Arc<ManualClock>) -> SqliteBookings {
    SqliteBookings::open(path, clock).expect("a file of ours")
}
