//! Crowds of bookers on Redis: on one that is killed in the middle and keeps its word, and with their own process killed.
//!
//! The server writes each command to its disk before it answers; without that, a kill loses bookings, as its guarantee says.

use std::sync::Arc;

use bookings_redis::{RedisBookings, Settings, Time};
use marketplace::{ManualClock, StoreTime};
use tests_servers::redis::Server;
use tests_servers::stress::{Size, book_until_killed, stress, stress_killed, this_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_on_a_server_that_is_killed_and_has_all_on_its_disk_is_linearizable() {
    let server = Arc::new(Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await);
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = connected(&server.url(), clock.clone()).await;
    let killed = server.clone();
    let kill = async move {
        killed.kill();
        killed.start_again().await;
    };
    let judged = stress(Arc::new(store), clock, Size::asked_for(), kill).await;
    assert!(judged.failed > 0, "the kill was felt");
    eprintln!("redis, server killed: {judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_bookers_whose_process_is_killed_in_the_middle_is_linearizable() {
    let server = Server::start(&[]).await;
    let child = || {
        let mut program = this_program("bookings_stress::the_crowd_that_is_killed");
        program.env(ADDRESS, server.url());
        program
    };
    let open = async |clock| connected(&server.url(), clock).await;
    let judged = stress_killed(child, open, Size::asked_for()).await;
    eprintln!("redis, process killed: {judged:?}");
}

/// Tells the crowd which server to book on.
const ADDRESS: &str = "STRESS_REDIS_ADDRESS";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it books until it is killed, so only the test above starts it, as another process"]
async fn the_crowd_that_is_killed() {
    let address = crate::server::environment(ADDRESS).unwrap_or_default();
    book_until_killed(async |clock| connected(&address, clock).await).await;
}

async fn connected(url: &str, clock: Arc<ManualClock>) -> RedisBookings {
    let settings = Settings {
        // The judge reads the log of the whole run.
        log_rows: 10_000_000,
        ..Settings::at(url)
    };
    let store = RedisBookings::connect(settings, Time::Given(clock)).await;
    store.expect("the server answers")
}
