//! The one thread that writes: it takes the requests that wait, decides them in one transaction, and answers when the
//! commit is on the disk.
//!
//! It knows nothing of bookings. Writers of other processes are held off by SQLite's own lock.
//!
//! One commit for many requests is what makes `synchronous = full` affordable: the disk is waited for once a batch, and
//! while it is, the next batch gathers. Each request runs in a savepoint of its own, so one that fails takes nothing
//! with it.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::schema;

/// The most requests in one transaction: enough that waiting for the disk does not matter, few enough that the first of
/// them does not wait long.
const LARGEST_BATCH: usize = 256;

/// How the transaction around a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is on the disk.
    Committed,
    /// Nothing of it is.
    Undone,
    /// The disk failed at the commit, so either may be found when the file is next opened.
    Unknown,
}

/// Runs a request and says what to tell its caller when the transaction has ended.
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Ended) + Send>;

/// Hands requests to the writing thread, which ends when this is dropped.
pub(crate) struct Writer {
    jobs: Sender<Job>,
}

impl Writer {
    /// Opens the file and starts the thread.
    pub(crate) fn start(path: &Path) -> Result<Self, Fault> {
        let db = schema::writing(path)?;
        let (jobs, waiting) = channel();
        thread::Builder::new()
            .name("bookings-sqlite".to_owned())
            .spawn(move || run(&db, &waiting))
            .map_err(|error| Fault::unreadable(format!("no thread could be started: {error}")))?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction. Dropping the future does not call it off: it is then decided without a listener.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<(T, Ended), Fault> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            let result = isolated(db, work);
            // Nobody listens when the caller's future was dropped.
            Box::new(move |ended| drop(tell.send(result.map(|value| (value, ended)))))
        });
        self.jobs.send(job).map_err(|_| Fault::Stopped)?;
        told.await.map_err(|_| Fault::Stopped)?
    }
}

fn run(db: &Connection, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        // What was begun for a batch that could not be ended stands in the way of every later one.
        if !db.is_autocommit() {
            let _ = db.execute_batch("rollback");
        }
        let begun = db.execute_batch("begin immediate");
        let batch = std::iter::once(first).chain(waiting.try_iter().take(LARGEST_BATCH - 1));
        let answers: Vec<Answer> = batch.map(|job| job(db)).collect();
        let ended = match begun {
            Ok(()) => commit(db),
            Err(_) => Ended::Undone,
        };
        for answer in answers {
            answer(ended);
        }
    }
}

fn commit(db: &Connection) -> Ended {
    if db.is_autocommit() {
        // SQLite itself has rolled back: the disk is full, or a file could not be read.
        return Ended::Undone;
    }
    match db.execute_batch("commit") {
        Ok(()) => Ended::Committed,
        Err(_) if !db.is_autocommit() => match db.execute_batch("rollback") {
            Ok(()) => Ended::Undone,
            Err(_) => Ended::Unknown,
        },
        Err(_) => Ended::Unknown,
    }
}

/// Runs `work` so that it leaves either all of its changes or none.
fn isolated<T>(db: &Connection, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    if db.is_autocommit() {
        return Err(Fault::NotOpen);
    }
    db.execute_batch("savepoint request")?;
    let result = work(db);
    match &result {
        Ok(_) => db.execute_batch("release request")?,
        Err(_) if db.is_autocommit() => {}
        Err(_) => db.execute_batch("rollback to request; release request")?,
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_fails_takes_its_own_changes_with_it_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bookings.db");
        let writer = Writer::start(&path).unwrap();
        let note = |gpu: &'static str| {
            move |db: &Connection| {
                db.execute("insert into gpus values (?1, 0, 0)", [gpu])?;
                Ok(())
            }
        };
        let fails = |db: &Connection| -> Result<(), Fault> {
            db.execute("insert into gpus values ('half', 0, 0)", [])?;
            Err(Fault::unreadable("on purpose"))
        };
        // Polled together, so that they gather in one batch.
        let (first, failed, last) = tokio::join!(
            writer.write(note("a")),
            writer.write(fails),
            writer.write(note("b"))
        );
        assert_eq!(
            (first.unwrap().1, last.unwrap().1),
            (Ended::Committed, Ended::Committed)
        );
        assert!(failed.is_err());
        let kept: String = schema::reading(&path)
            .unwrap()
            .query_row("select group_concat(gpu) from gpus", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "a,b");
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_has_rolled_back_is_answered_as_undone_and_the_next_one_works() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(&folder.path().join("bookings.db")).unwrap();
        let note = |db: &Connection| {
            db.execute("insert into gpus values ('a', 0, 0)", [])?;
            Ok(())
        };
        let lost = |db: &Connection| -> Result<(), Fault> {
            db.execute_batch("rollback")?;
            Err(Fault::unreadable("on purpose"))
        };
        let (first, _) = tokio::join!(writer.write(note), writer.write(lost));
        if first.unwrap().1 == Ended::Undone {
            assert_eq!(writer.write(note).await.unwrap().1, Ended::Committed);
        }
    }

    #[tokio::test]
    async fn a_file_that_another_process_keeps_locked_is_unavailable_and_nothing_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bookings.db");
        let db = schema::writing(&path).unwrap();
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        let other = schema::writing(&path).unwrap();
        other.execute_batch("begin immediate").unwrap();
        let (jobs, waiting) = channel();
        thread::spawn(move || run(&db, &waiting));
        let writer = Writer { jobs };
        let note = |db: &Connection| {
            db.execute("insert into gpus values ('a', 0, 0)", [])?;
            Ok(())
        };
        let refused = writer.write(note).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("another process keeps the file locked"),
            "{refused}"
        );
        other.execute_batch("rollback").unwrap();
        assert_eq!(writer.write(note).await.unwrap().1, Ended::Committed);
    }
}
