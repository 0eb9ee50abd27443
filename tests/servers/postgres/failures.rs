//! The server is killed, or the way to it fails: what was answered stands, and what was not is resolved by its key.
//!
//! Failover to a standby is not tested: a standby without the last commits has lost them.

use std::sync::Arc;

use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use marketplace::checks::{cursors_are_dense, fences_increase, no_overlap};
use marketplace::conformance::{asked, long_hold as hold};
use marketplace::{
    BookingLedger, BookingOutcome, BookingStore, Change, Completeness, Cursor, ErrorKind, Guarantee,
    HoldRequest,
};
use tests_servers::postgres::Server;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::proxy::{Failing, Proxy};

/// Far ahead of the server's clock, in milliseconds since 1970: the year 2100.
const LATER: i64 = 4_102_444_800_000;

async fn connected(address: &str) -> Arc<PostgresBookings> {
    let store = PostgresBookings::connect(address, Settings::default(), Time::OfServer).await;
    Arc::new(store.expect("the server answers"))
}

fn request(booker: usize, number: i64) -> HoldRequest {
    // Every fifth is wanted by all, so that some conflict.
    let gpu = if number % 5 == 0 { 0 } else { booker };
    let start = LATER + number * 10;
    hold(
        &format!("user-{booker}"),
        &format!("gpu-{gpu}"),
        start,
        start + 10,
    )
}

async fn changes(store: &PostgresBookings) -> Vec<Change> {
    let changes = store.changes_since(Cursor::START, 1_000_000).await;
    let changes = changes.expect("the server answers");
    assert_eq!(changes.completeness, Completeness::Complete);
    changes.rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_is_uncertain_and_its_key_tells_that_it_was_won() {
    let server = Server::start(&[]);
    migrate(&server.database("bookings")).await.unwrap();
    let proxy = Proxy::to(server.socket());
    let store = connected(&proxy.address("bookings")).await;
    proxy.fail(Failing::AfterCommit);
    assert_eq!(asked(&*store, request(1, 1)).await, BookingOutcome::Uncertain);
    let again = asked(&*store, request(1, 1)).await;
    assert!(matches!(again, BookingOutcome::Replay(_)), "{again:?}");
    assert!(again.won().is_some());

    proxy.fail(Failing::BeforeCommit);
    assert_eq!(asked(&*store, request(1, 2)).await, BookingOutcome::Uncertain);
    let first = asked(&*store, request(1, 2)).await;
    assert!(
        matches!(first, BookingOutcome::Won { .. }),
        "it had not been decided: {first:?}"
    );
    assert_eq!(changes(&store).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_killed_under_load_has_lost_nothing_it_answered_and_left_nothing_half_done() {
    const BOOKERS: usize = 8;
    const EACH: i64 = 60;
    let server = Server::start(&[]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let store = connected(&address).await;
    let restarted = Arc::new(Notify::new());
    let (tell, mut answers) = mpsc::unbounded_channel();
    let mut bookers = JoinSet::new();
    for booker in 0..BOOKERS {
        let (store, restarted, tell) = (store.clone(), restarted.clone(), tell.clone());
        bookers.spawn(async move {
            let mut failures = 0;
            for number in 0..EACH {
                let request = request(booker, number);
                let outcome = loop {
                    let again = restarted.notified();
                    match store.hold(request.clone()).await {
                        Ok(BookingOutcome::Uncertain) => {}
                        Ok(outcome) => break outcome,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
                    }
                    failures += 1;
                    // A booker that began to wait after the restart is let go by the next, or by this timeout.
                    let _ = tokio::time::timeout(std::time::Duration::from_millis(100), again).await;
                };
                tell.send((request, outcome)).unwrap();
            }
            failures
        });
    }
    drop(tell);
    let (mut known, mut kills) = (Vec::new(), 0);
    while let Some(answer) = answers.recv().await {
        known.push(answer);
        if known.len() == 100 * (kills + 1) && kills < 3 {
            server.kill();
            server.start_again();
            restarted.notify_waiters();
            kills += 1;
        }
    }
    let failures: usize = bookers.join_all().await.into_iter().sum();
    assert!(
        kills == 3 && failures >= 3,
        "the kills were felt: {failures} failures"
    );
    for (request, outcome) in known {
        let again = asked(&*store, request).await;
        assert_eq!(again.decision(), outcome.decision());
    }
    let changes = changes(&store).await;
    cursors_are_dense(&changes).unwrap();
    no_overlap(&changes).unwrap();
    fences_increase(&changes).unwrap();
    for change in changes {
        let stored = store.booking(&change.booking.id).await.unwrap();
        assert_eq!(
            stored,
            Some(change.booking),
            "the log and the bookings tell the same"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_the_log_miss_no_change_and_see_none_twice_while_others_commit() {
    const BOOKERS: usize = 8;
    const EACH: i64 = 50;
    let server = Server::start(&["fsync=off"]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let store = connected(&address).await;
    let mut bookers = JoinSet::new();
    for booker in 0..BOOKERS {
        let store = store.clone();
        bookers.spawn(async move {
            for number in 0..EACH {
                let request = HoldRequest {
                    gpu: request(booker + 1, 1).gpu,
                    ..request(booker + 1, number)
                };
                assert!(asked(&*store, request).await.won().is_some());
            }
        });
    }
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let store = store.clone();
        readers.spawn(async move {
            let (mut cursor, mut rows) = (Cursor::START, Vec::new());
            while rows.len() < BOOKERS * usize::try_from(EACH).unwrap() {
                let changes = store.changes_since(cursor, 7).await.unwrap();
                cursor = changes.next;
                rows.extend(changes.rows);
            }
            rows
        });
    }
    bookers.join_all().await;
    let read = readers.join_all().await;
    cursors_are_dense(&read[0]).unwrap();
    fences_increase(&read[0]).unwrap();
    assert_eq!(read[0], read[1], "a cursor means the same to everybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_wait_for_its_disk_is_not_called_durable() {
    let server = Server::start(&["fsync=off"]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    assert_eq!(
        connected(&address).await.guarantee(),
        Guarantee::LinearizableUntilFailover
    );
    drop(server);
    let server = Server::start(&[]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    assert_eq!(
        connected(&address).await.guarantee(),
        Guarantee::DurableLinearizable
    );
}
