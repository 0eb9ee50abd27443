//! The booking ports over one SQLite file.
//!
//! It blocks no thread of the runtime: decisions run on the writing thread, queries where blocking is allowed.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use marketplace::bookings::{BookingDecider, BookingRequest};
use marketplace::{
    Booking, BookingId, BookingLedger, BookingLedgerError, BookingOutcome, BookingStoreError, Changes,
    Cursor, ErrorKind, GpuId, Guarantee, Interval, Occupancy, PriceVersion, StoreClock, StoreTime,
};

use crate::fault::Fault;
use crate::readers::Readers;
use crate::writer::{Ended, Writer};
use crate::{decision, ledger, rows};

/// Keeps bookings in one SQLite file, which it creates when there is none.
///
/// * **Durable.** An answer is given after its transaction is on the disk (`synchronous = full`); a process that is
///   killed loses nothing it answered, and nothing of what it was deciding is half there.
/// * **Cancel-safe.** Dropping a call's future leaves its request decided or not; the same request under the same key
///   tells which.
/// * **Kept.** Keys are forgotten after [`KEY_RETENTION`](marketplace::KEY_RETENTION) and the change log reaches back
///   seven days, both when [`expire_holds`](marketplace::BookingStore::expire_holds) is called; bookings are records and are never
///   deleted.
pub struct SqliteBookings {
    clock: Arc<dyn StoreClock>,
    writer: Writer,
    readers: Readers,
}

impl SqliteBookings {
    /// Opens the file at `path`, whose folder must exist. It waits for the disk: call it where blocking is allowed,
    /// such as at start.
    ///
    /// Instants come from `clock`, but never lie before one the file already knows.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened or another process keeps it locked for 5 s; `Corrupt` when it is
    /// not a file of this store, or of another version of it.
    pub fn open(path: &Path, clock: Arc<dyn StoreClock>) -> Result<Self, BookingStoreError> {
        let opened = || -> Result<Self, Fault> {
            Ok(Self {
                clock,
                writer: Writer::start(path)?,
                readers: Readers::of(path.to_path_buf()),
            })
        };
        opened().map_err(|fault| {
            let error = BookingStoreError::from(fault);
            let kind = error.kind();
            BookingStoreError::new(kind, format!("{} cannot be used", path.display())).caused_by(error)
        })
    }
}

fn not_committed() -> BookingStoreError {
    BookingStoreError::new(ErrorKind::Unavailable, "the transaction was not committed")
}

#[async_trait]
impl BookingDecider for SqliteBookings {
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        let clock = Arc::clone(&self.clock);
        let decided = self
            .writer
            .write(move |db| decision::decide_once(db, &*clock, &request))
            .await;
        match decided? {
            (outcome, Ended::Committed) => Ok(outcome),
            (_, Ended::Unknown) => Ok(BookingOutcome::Uncertain),
            (_, Ended::Undone) => Err(not_committed()),
        }
    }

    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError> {
        let clock = Arc::clone(&self.clock);
        let expired = self
            .writer
            .write(move |db| decision::expire(db, &*clock, limit))
            .await;
        match expired? {
            (count, Ended::Committed) => Ok(count),
            _ => Err(not_committed()),
        }
    }

    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        let gpu = gpu.clone();
        let noted = self
            .writer
            .write(move |db| decision::reprice(db, &gpu, version))
            .await;
        match noted? {
            ((), Ended::Committed) => Ok(()),
            _ => Err(not_committed()),
        }
    }

    fn promises(&self) -> Guarantee {
        Guarantee::DurableLinearizable
    }
}

#[async_trait]
impl BookingLedger for SqliteBookings {
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
        let id = id.clone();
        let stored = self.readers.read(move |db| rows::named(db, &id)).await?;
        let now = self.clock.now();
        Ok(stored.map(|booking| Booking {
            state: booking.state_at(now),
            ..booking
        }))
    }

    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError> {
        let gpus = gpus.to_vec();
        let occupied = self
            .readers
            .read(move |db| gpus.iter().map(|gpu| ledger::occupancy(db, gpu, at)).collect());
        Ok(occupied.await?)
    }

    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
        let (gpus, now) = (gpus.to_vec(), self.clock.now());
        let free = self.readers.read(move |db| {
            gpus.iter()
                .map(|gpu| ledger::free(db, gpu, &window, now))
                .collect()
        });
        Ok(free.await?)
    }

    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
        Ok(self
            .readers
            .read(move |db| ledger::changes(db, cursor, limit))
            .await?)
    }
}
