//! A crowd of bookers on a PostgreSQL server that is killed in the middle.
//!
//! The size is that of every test run, unless `cargo xtask stress` asks for more.

use std::sync::Arc;

use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use marketplace::{ManualClock, StoreTime};
use tests::postgres::Server;
use tests::stress::{Size, stress};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_on_a_server_that_is_killed_in_the_middle_is_linearizable() {
    let server = Arc::new(Server::start(&[]));
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = PostgresBookings::connect(&address, Settings::default(), Time::Given(clock.clone()))
        .await
        .unwrap();
    let killed = server.clone();
    let kill = async move {
        let killing = tokio::task::spawn_blocking(move || {
            killed.kill();
            killed.start_again();
        });
        killing.await.unwrap();
    };
    let judged = stress(Arc::new(store), clock, Size::asked_for(), kill).await;
    assert!(judged.failed > 0, "the kill was felt");
    eprintln!("postgres: {judged:?}");
}
