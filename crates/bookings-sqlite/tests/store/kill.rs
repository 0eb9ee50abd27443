//! A process that books is killed in the middle, again and again, and the file is read by another.
//!
//! It proves nothing about the loss of power: that is what `synchronous = full` and the disk promise.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bookings_sqlite::SqliteBookings;
use marketplace::checks::{cursors_are_dense, fences_increase, no_overlap};
use marketplace::conformance::{asked, long_hold as hold};
use marketplace::{BookingLedger, BookingOutcome, Cursor, HoldRequest, ManualClock, StoreTime};

/// Tells the child which file to book in; without it the child's test does nothing.
const FILE: &str = "BOOKINGS_SQLITE_KILL_FILE";
const ROUND: &str = "BOOKINGS_SQLITE_KILL_ROUND";
const ROUNDS: i64 = 12;
const BOOKERS: i64 = 8;

fn store(path: &Path) -> SqliteBookings {
    SqliteBookings::open(path, Arc::new(ManualClock::at(StoreTime::from_millis(0)))).expect("a file of ours")
}

/// Each round asks for other intervals, most of them free and some taken by another booker.
fn request(round: i64, booker: i64, number: i64) -> HoldRequest {
    let start = round * 1_000_000 + number * 10;
    let gpu = if number % 5 == 0 { 0 } else { booker };
    hold(
        &format!("user-{booker}"),
        &format!("gpu-{gpu}"),
        start,
        start + 10,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_killed_while_it_books_has_lost_nothing_it_answered_and_left_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bookings.db");
    for round in 0..ROUNDS {
        // Sooner or later in the life of a batch: the child is in the middle of something at any of its lines.
        let answered = killed_after(&path, round, 20 + round * 37);
        let store = store(&path);
        let mut asked_last: HashMap<i64, i64> = HashMap::new();
        for (booker, number) in &answered {
            let request = request(round, *booker, *number);
            let again = asked(&store, request.clone()).await;
            assert!(
                matches!(again, BookingOutcome::Replay(_)),
                "{request:?} was answered and is forgotten"
            );
            let last = asked_last.entry(*booker).or_default();
            *last = (*last).max(*number);
        }
        for (booker, last) in asked_last {
            // What was under way was decided or was not; its key tells, and decides it now if need be.
            let outcome = asked(&store, request(round, booker, last + 1)).await;
            assert_ne!(outcome, BookingOutcome::Uncertain);
        }
        let changes = store.changes_since(Cursor::START, usize::MAX).await.unwrap();
        cursors_are_dense(&changes.rows).unwrap();
        no_overlap(&changes.rows).unwrap();
        fences_increase(&changes.rows).unwrap();
        for change in &changes.rows {
            let stored = store.booking(&change.booking.id).await.unwrap();
            assert_eq!(
                stored.as_ref(),
                Some(&change.booking),
                "the log and the bookings tell the same"
            );
        }
    }
}

/// Lets a child book in the file until it has given `lines` answers, kills it, and returns all answers it gave.
fn killed_after(path: &Path, round: i64, lines: i64) -> Vec<(i64, i64)> {
    let mut child = Command::new(std::env::current_exe().expect("the child runs"))
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "kill::the_child_books_until_it_is_killed",
        ])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child runs");
    let mut answers = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("the child runs")).lines() {
        let line = line.expect("the child runs");
        let Some(answer) = line.strip_prefix("answered ") else {
            continue;
        };
        let (booker, number) = answer.split_once(' ').expect("the child runs");
        let (Ok(booker), Ok(number)) = (booker.parse(), number.parse()) else {
            continue; // the line it was killed in
        };
        answers.push((booker, number));
        if i64::try_from(answers.len()).expect("the child runs") == lines {
            child.kill().expect("the child runs");
        }
    }
    child.wait().expect("the child runs");
    assert!(
        i64::try_from(answers.len()).expect("the child runs") >= lines,
        "the child ended by itself"
    );
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it books until it is killed, so only the test above starts it, as another process"]
#[expect(
    clippy::disallowed_methods,
    reason = "its parent hands the file over in the environment"
)]
async fn the_child_books_until_it_is_killed() {
    use std::io::Write;

    let (Some(path), Ok(round)) = (std::env::var_os(FILE), std::env::var(ROUND)) else {
        return;
    };
    let round: i64 = round.parse().unwrap();
    let store = Arc::new(store(&PathBuf::from(path)));
    let mut bookers = tokio::task::JoinSet::new();
    for booker in 0..BOOKERS {
        let store = store.clone();
        bookers.spawn(async move {
            for number in 0.. {
                asked(&*store, request(round, booker, number)).await;
                // One write for a line, so that no other booker's can come in between.
                let line = format!("answered {booker} {number}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    bookers.join_all().await;
}
