//! The PostgreSQL store under the conformance suite of the booking ports.
//!
//! What happens when the server or the way to it fails is tested next door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use marketplace::ManualClock;
use marketplace::conformance::{self, Ports, Subject};
use tests_servers::postgres::Server;

struct Databases {
    server: Server,
    made: AtomicU32,
}

#[async_trait]
impl Subject for Databases {
    async fn open(&self, clock: Arc<ManualClock>) -> Ports {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let address = self.server.database(&format!("bookings_{number}"));
        migrate(&address).await.expect("an empty database is migrated");
        let settings = Settings {
            connections: 6.try_into().expect("not zero"),
            ..Settings::default()
        };
        let store = PostgresBookings::connect(&address, settings, Time::Given(clock)).await;
        let store = Arc::new(store.expect("a migrated database is used"));
        Ports::of(store)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_to_the_booking_ports() {
    let databases = Databases {
        server: Server::start(&["max_connections=600"]),
        made: AtomicU32::new(0),
    };
    conformance::booking_store(&databases).await;
}
