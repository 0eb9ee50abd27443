//! The SQLite store under the conformance suite of the booking ports.
//!
//! What survives a crash is tested next door.

use std::sync::Arc;

use async_trait::async_trait;
use bookings_sqlite::SqliteBookings;
use marketplace::ManualClock;
use marketplace::conformance::{self, Ports, Subject};
use tempfile::TempDir;

struct Files(TempDir);

#[async_trait]
impl Subject for Files {
    async fn open(&self, clock: Arc<ManualClock>) -> Ports {
        let file = tempfile::Builder::new()
            .tempfile_in(self.0.path())
            .expect("a file");
        let (_, path) = file.keep().expect("a file");
        let store = Arc::new(SqliteBookings::open(&path, clock).expect("an empty file is laid out"));
        Ports::of(store)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_to_the_booking_ports() {
    let files = Files(tempfile::tempdir().expect("a folder"));
    conformance::booking_store(&files).await;
}
