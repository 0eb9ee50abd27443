//! Connections for reading, each used by one query at a time on a thread that may block.
//!
//! A reader never waits for the writer: in WAL mode it sees the last commit before it began.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::fault::Fault;
use crate::schema;

/// Connections kept for the next query: more than run at once on a busy node would only hold memory.
const KEPT: usize = 8;

/// Reads the file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self {
            path,
            idle: Arc::default(),
        }
    }

    /// Runs `query` over one state of the file. Dropping the future leaves it running to no effect.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let readers = self.clone();
        let running = tokio::task::spawn_blocking(move || readers.run(query));
        running.await.map_err(|_| Fault::Stopped)?
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let kept = self.idle().pop();
        let mut db = kept.map_or_else(|| schema::reading(&self.path), Ok)?;
        let snapshot = db.transaction()?;
        let found = query(&snapshot)?;
        snapshot.finish()?;
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push(db);
        }
        Ok(found)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
