//! What the store makes of a file: its own, another's, one that others use too, and one that is edited by hand.
//!
//! What happens to it when its process dies is tested next door.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Waker};

use bookings_sqlite::SqliteBookings;
use marketplace::checks::{cursors_are_dense, fences_increase, no_overlap};
use marketplace::conformance::{asked, long_hold as hold};
use marketplace::{
    BookingLedger, BookingOutcome, BookingStore, Completeness, Cursor, ErrorKind, ManualClock, StoreTime,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(StoreTime::from_millis(0)))
}

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bookings.db");
    (folder, path)
}

#[tokio::test]
async fn what_was_decided_is_there_when_the_file_is_opened_again() {
    let (_folder, path) = file();
    let store = SqliteBookings::open(&path, clock()).unwrap();
    let won = asked(&store, hold("ada", "gpu-1", 0, 10)).await;
    let changes = store.changes_since(Cursor::START, 10).await.unwrap();
    drop(store);
    let store = SqliteBookings::open(&path, clock()).unwrap();
    assert_eq!(store.changes_since(Cursor::START, 10).await.unwrap(), changes);
    assert_eq!(
        asked(&store, hold("ada", "gpu-1", 0, 10)).await,
        BookingOutcome::Replay(Box::new(won.clone()))
    );
    let (id, fence) = won.won().unwrap();
    assert_eq!(store.booking(&id).await.unwrap().unwrap().fence, fence);
    let (other, later) = asked(&store, hold("bob", "gpu-1", 10, 20)).await.won().unwrap();
    assert!(later > fence && other != id, "numbers go on where they were");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_file_grant_an_interval_once() {
    let (_folder, path) = file();
    let stores = [
        Arc::new(SqliteBookings::open(&path, clock()).unwrap()),
        Arc::new(SqliteBookings::open(&path, clock()).unwrap()),
    ];
    let mut bookers = JoinSet::new();
    for number in 0..200_i64 {
        let store = stores[usize::try_from(number % 2).unwrap()].clone();
        let request = hold(
            &format!("user-{number}"),
            "gpu-1",
            number % 4 * 10,
            number % 4 * 10 + 10,
        );
        bookers.spawn(async move { asked(&*store, request).await.won().is_some() });
    }
    let winners = bookers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 4);
    let changes = stores[0].changes_since(Cursor::START, 1000).await.unwrap();
    assert_eq!(
        changes,
        stores[1].changes_since(Cursor::START, 1000).await.unwrap()
    );
    cursors_are_dense(&changes.rows).unwrap();
    fences_increase(&changes.rows).unwrap();
    no_overlap(&changes.rows).unwrap();
}

#[tokio::test]
async fn a_clock_that_was_set_back_decides_at_the_last_instant_decided_before() {
    let (_folder, path) = file();
    let late = Arc::new(ManualClock::at(StoreTime::from_millis(5_000)));
    asked(
        &SqliteBookings::open(&path, late).unwrap(),
        hold("ada", "gpu-1", 6_000, 7_000),
    )
    .await;
    let store = SqliteBookings::open(&path, clock()).unwrap();
    asked(&store, hold("ada", "gpu-1", 8_000, 9_000)).await;
    let changes = store.changes_since(Cursor::START, 10).await.unwrap();
    assert_eq!(changes.rows[1].at, StoreTime::from_millis(5_000));
}

#[tokio::test]
async fn a_dropped_request_is_decided_once_or_not_at_all_and_its_key_tells() {
    let (_folder, path) = file();
    let store = SqliteBookings::open(&path, clock()).unwrap();
    for number in 0..20 {
        let request = hold("ada", "gpu-1", number * 10, number * 10 + 10);
        let mut call = store.hold(request.clone());
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(call);
        let outcome = asked(&store, request).await;
        assert!(outcome.won().is_some(), "{outcome:?}");
    }
    let changes = store.changes_since(Cursor::START, 100).await.unwrap();
    assert_eq!(changes.rows.len(), 20, "each was granted once");
}

#[tokio::test]
async fn a_change_older_than_a_week_is_dropped_and_a_reader_that_needs_it_is_told() {
    let (_folder, path) = file();
    let clock = clock();
    let store = SqliteBookings::open(&path, clock.clone()).unwrap();
    asked(&store, hold("ada", "gpu-1", 0, 1_000_000_000)).await;
    let week = 7 * 24 * 60 * 60 * 1000;
    clock.advance_to(StoreTime::from_millis(week - 1));
    store.expire_holds(0).await.unwrap();
    let kept = store.changes_since(Cursor::START, 10).await.unwrap();
    assert_eq!((kept.rows.len(), kept.completeness), (1, Completeness::Complete));
    clock.advance_to(StoreTime::from_millis(week));
    store.expire_holds(0).await.unwrap();
    let dropped = store.changes_since(Cursor::START, 10).await.unwrap();
    assert_eq!(
        (dropped.rows.len(), dropped.completeness),
        (0, Completeness::Lagged)
    );
    let known = store.changes_since(Cursor(1), 10).await.unwrap();
    assert_eq!(known.completeness, Completeness::Complete);
}

#[tokio::test]
async fn the_file_itself_refuses_two_bookings_at_once_should_the_decision_be_wrong() {
    let (_folder, path) = file();
    let store = SqliteBookings::open(&path, clock()).unwrap();
    asked(&store, hold("ada", "gpu-1", 10, 20)).await;
    asked(&store, hold("ada", "gpu-1", 30, 40)).await;
    let db = rusqlite::Connection::open(&path).unwrap();
    let mut number = 100;
    let mut forged = |starts: i64, ends: i64| {
        number += 1;
        db.execute(
            "insert into bookings values (?1, 'gpu-1', 'eve', ?2, ?3, 'confirmed', null, 0, 'USD', 0, 0, 0, ?1)",
            (number, starts, ends),
        )
    };
    for (starts, ends) in [(10, 20), (12, 15), (0, 11), (19, 30), (5, 35), (39, 50)] {
        let refused = forged(starts, ends).unwrap_err().to_string();
        assert!(refused.contains("overlap"), "[{starts}, {ends}): {refused}");
    }
    assert_eq!(forged(20, 30).unwrap(), 1, "what only touches is free");
    let moved = db.execute("update bookings set ends = 31 where starts = 20", ());
    assert!(moved.unwrap_err().to_string().contains("overlap"));
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let (folder, path) = file();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("create table cats (name text)").unwrap();
    let error = SqliteBookings::open(&path, clock()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("is a database of something else"), "{cause}");
    let text = folder.path().join("text");
    std::fs::write(&text, "no database at all, but longer than a header".repeat(9)).unwrap();
    assert_eq!(
        SqliteBookings::open(&text, clock()).err().unwrap().kind(),
        ErrorKind::Corrupt
    );
    let missing = folder.path().join("no/such/folder");
    let error = SqliteBookings::open(&missing, clock()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[test]
fn a_file_of_a_later_layout_is_refused_by_number() {
    let (_folder, path) = file();
    drop(SqliteBookings::open(&path, clock()).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 9).unwrap();
    let error = SqliteBookings::open(&path, clock()).err().unwrap();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("has layout 9 and this program knows layout 1"),
        "{cause}"
    );
}
