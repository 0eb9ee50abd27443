//! A crowd of bookers on a PostgreSQL server that is killed in the middle.
//!
//! The size is that of every test run, unless `cargo xtask stress` asks for more.

use std::sync::Arc;

use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use marketplace::{ManualClock, StoreTime};
use tests_servers::postgres::Server;
use tests_servers::stress::{Size, book_until_killed, stress, stress_killed, this_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_on_a_server_that_is_killed_in_the_middle_is_linearizable() {
    let server = Arc::new(Server::start(&[]));
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = connected(&address, clock.clone()).await;
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
    eprintln!("postgres, server killed: {judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_whose_process_is_killed_in_the_middle_is_linearizable() {
    let server = Server::start(&[]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let child = || {
        let mut program = this_program("stress::the_crowd_that_is_killed");
        program.env(ADDRESS, &address);
        program
    };
    let open = async |clock| connected(&address, clock).await;
    let judged = stress_killed(child, open, Size::asked_for()).await;
    eprintln!("postgres, process killed: {judged:?}");
}

/// Tells the crowd which database to book in.
const ADDRESS: &str = "STRESS_POSTGRES_ADDRESS";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it books until it is killed, so only the test above starts it, as another process"]
#[expect(
    clippy::disallowed_methods,
    reason = "its parent hands the address over in the environment"
)]
async fn the_crowd_that_is_killed() {
    let address = std::env::var(ADDRESS).unwrap_or_default();
    book_until_killed(async |clock| connected(&address, clock).await).await;
}

async fn connected(address: &str, clock: Arc<ManualClock>) -> PostgresBookings {
    let store = PostgresBookings::connect(address, Settings::default(), Time::Given(clock)).await;
    store.expect("the server answers")
}
