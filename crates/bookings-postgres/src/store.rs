//! The booking ports over one PostgreSQL database.
//!
//! It keeps nothing in the process: any number of nodes may use one database.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::BoxFuture;
use marketplace::bookings::{BookingDecider, BookingRequest, Timeline};
use marketplace::{
    Booking, BookingId, BookingLedger, BookingLedgerError, BookingOutcome, BookingStoreError, Changes,
    Cursor, ErrorKind, Fence, GpuId, Guarantee, Interval, Occupancy, PriceVersion, StoreTime,
};

use crate::fault::Fault;
use crate::pool::{self, Settings};
use crate::rows::{COLUMNS, STANDING};
use crate::time::Time;
use crate::{decision, feed, migration, rows};

/// Keeps bookings in a PostgreSQL database whose schema [`migrate`](crate::migrate) made.
///
/// * **Durable.** An answer is given after its transaction is on the server's disk. That is the guarantee of a single
///   server: a standby that is promoted without having the last commits has lost them.
/// * **Uncertain.** When the way to the server fails after the commit was sent and before its answer, the outcome is
///   [`Uncertain`](BookingOutcome::Uncertain); the same request under the same key tells what became of it.
/// * **Cancel-safe.** Dropping a call's future leaves its request decided or not, and its key tells which.
/// * **Kept.** Keys are forgotten after [`KEY_RETENTION`](marketplace::KEY_RETENTION) and the change log reaches back
///   seven days, both when [`expire_holds`](marketplace::BookingStore::expire_holds) is called; bookings are records and are never
///   deleted.
pub struct PostgresBookings {
    deciding: Pool,
    reading: Pool,
    time: Time,
    patience: Duration,
    guarantee: Guarantee,
}

/// How many holds are expired in one transaction: each locks its GPU until the commit.
const EXPIRED_AT_ONCE: usize = 256;

impl PostgresBookings {
    /// Connects to the database at `url`: `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// `Rejected` when the address cannot be used, or the schema is not this program's (the message names the command
    /// that makes it); `Unavailable` when the server cannot be reached.
    pub async fn connect(url: &str, settings: Settings, time: Time) -> Result<Self, BookingStoreError> {
        let (deciding, reading) = (pool::pool(url, settings)?, pool::pool(url, settings)?);
        let client = deciding.get().await.map_err(Fault::from)?;
        migration::check(&client).await?;
        let row = client.query_one("select current_setting('fsync')", &[]).await;
        let fsync: String = row.and_then(|row| row.try_get(0)).map_err(Fault::from)?;
        drop(client);
        Ok(Self {
            deciding,
            reading,
            time,
            patience: settings.patience,
            // A server that does not wait for its disk may lose what it acknowledged.
            guarantee: if fsync == "on" {
                Guarantee::DurableLinearizable
            } else {
                Guarantee::LinearizableUntilFailover
            },
        })
    }

    /// Runs `work` in a transaction. `None` when it may or may not have been committed.
    async fn transact<T>(
        &self,
        pool: &Pool,
        work: impl for<'t> FnOnce(&'t Transaction<'t>) -> BoxFuture<'t, Result<T, Fault>>,
    ) -> Result<Option<T>, Fault> {
        let mut client = pool.get().await?;
        let ended = self.within(&mut client, work).await;
        if matches!(&ended, Ok(None) | Err(Fault::Silent)) {
            // It may still be waiting for the answer, and would answer the next one with it.
            drop(Object::take(client));
        }
        ended
    }

    async fn within<T>(
        &self,
        client: &mut Object,
        work: impl for<'t> FnOnce(&'t Transaction<'t>) -> BoxFuture<'t, Result<T, Fault>>,
    ) -> Result<Option<T>, Fault> {
        let transaction = client.transaction().await?;
        let value = match work(&transaction).await {
            Ok(value) => value,
            Err(fault) => {
                // Before the client is used again; when this fails the connection is gone, and the transaction with it.
                let _ = transaction.rollback().await;
                return Err(fault);
            }
        };
        match self.answered(transaction.commit()).await {
            Ok(()) => Ok(Some(value)),
            Err(fault) if fault.leaves_a_commit_open() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn answered<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.patience, call).await {
            Ok(answer) => answer.map_err(Fault::from),
            Err(_) => Err(Fault::Silent),
        }
    }
}

fn unanswered() -> BookingStoreError {
    BookingStoreError::new(
        ErrorKind::Unavailable,
        "the commit was not answered; repeating it does no harm",
    )
}

#[async_trait]
impl BookingDecider for PostgresBookings {
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        let time = self.time.clone();
        let decided = self
            .transact(&self.deciding, move |transaction| {
                Box::pin(async move { decision::decide_once(transaction, &time, &request).await })
            })
            .await?;
        Ok(decided.unwrap_or(BookingOutcome::Uncertain))
    }

    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError> {
        let mut expired = 0;
        while expired < limit {
            let at_once = (limit - expired).min(EXPIRED_AT_ONCE);
            let (time, count) = (self.time.clone(), i64::try_from(at_once).unwrap_or(i64::MAX));
            let batch = self
                .transact(&self.deciding, move |transaction| {
                    Box::pin(async move { decision::expire(transaction, &time, count).await })
                })
                .await?
                .ok_or_else(unanswered)?;
            expired += batch;
            if batch < at_once {
                break;
            }
        }
        let time = self.time.clone();
        self.transact(&self.deciding, move |transaction| {
            Box::pin(async move { feed::forget(transaction, time.now(transaction).await?).await })
        })
        .await?
        .ok_or_else(unanswered)?;
        Ok(expired)
    }

    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        let (gpu, version) = (gpu.clone(), version.0.cast_signed());
        self.transact(&self.deciding, move |transaction| {
            Box::pin(async move {
                let note = transaction
                    .prepare_cached(
                        "insert into gpus as known values ($1, 0, $2, $3)
                         on conflict (gpu) do update set price = greatest(known.price, excluded.price)",
                    )
                    .await?;
                transaction
                    .execute(&note, &[&gpu.as_str(), &version, &i64::MIN])
                    .await?;
                Ok(())
            })
        })
        .await?
        .ok_or_else(unanswered)
    }

    fn promises(&self) -> Guarantee {
        self.guarantee
    }
}

#[async_trait]
impl BookingLedger for PostgresBookings {
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
        let client = self.reading.get().await.map_err(Fault::from)?;
        let query = format!("select {COLUMNS} from bookings where id = $1");
        let query = client.prepare_cached(&query).await.map_err(Fault::from)?;
        let row = client
            .query_opt(&query, &[&id.as_str()])
            .await
            .map_err(Fault::from)?;
        let Some(row) = row else { return Ok(None) };
        let now = self.time.now(&client).await.map_err(Fault::from)?;
        let booking = rows::booking(&row)?;
        Ok(Some(Booking {
            state: booking.state_at(now),
            ..booking
        }))
    }

    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError> {
        let client = self.reading.get().await.map_err(Fault::from)?;
        // For each GPU the last that starts no later, and the first after it that has not lapsed by then.
        let query = format!(
            "select {COLUMNS} from unnest($1::text[]) as asked (name), lateral (
                 (select {COLUMNS} from bookings where gpu = asked.name and {STANDING} and starts <= $2
                  order by starts desc limit 1)
                 union all
                 (select {COLUMNS} from bookings where gpu = asked.name and {STANDING} and starts > $2
                      and (state <> 'held' or until > $2)
                  order by starts limit 1)
             ) as near"
        );
        let query = client.prepare_cached(&query).await.map_err(Fault::from)?;
        let names: Vec<&str> = gpus.iter().map(GpuId::as_str).collect();
        let found = client
            .query(&query, &[&names, &at.as_millis()])
            .await
            .map_err(Fault::from)?;
        let near = found.iter().map(rows::booking).collect::<Result<Vec<_>, _>>()?;
        let of_gpu = by_gpu(near);
        let occupancy = |gpu: &GpuId| {
            let near = of_gpu.get(gpu).cloned().unwrap_or_default();
            let (holder, changes_at) = Timeline::loaded(Fence(0), PriceVersion::FIRST, near).at(at);
            Occupancy {
                gpu: gpu.clone(),
                holder,
                changes_at,
            }
        };
        Ok(gpus.iter().map(occupancy).collect())
    }

    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
        let client = self.reading.get().await.map_err(Fault::from)?;
        let query = format!(
            "select {COLUMNS} from bookings
             where gpu = any($1) and {STANDING} and int8range(starts, ends) && int8range($2, $3)"
        );
        let query = client.prepare_cached(&query).await.map_err(Fault::from)?;
        let names: Vec<&str> = gpus.iter().map(GpuId::as_str).collect();
        let (start, end) = (window.start().as_millis(), window.end().as_millis());
        let found = client
            .query(&query, &[&names, &start, &end])
            .await
            .map_err(Fault::from)?;
        let standing = found.iter().map(rows::booking).collect::<Result<Vec<_>, _>>()?;
        let now = self.time.now(&client).await.map_err(Fault::from)?;
        let of_gpu = by_gpu(standing);
        let free = |gpu: &GpuId| {
            let standing = of_gpu.get(gpu).cloned().unwrap_or_default();
            Timeline::loaded(Fence(0), PriceVersion::FIRST, standing).free(&window, now)
        };
        Ok(gpus.iter().map(free).collect())
    }

    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
        // Numbered and committed first: a cursor that was handed out must still mean the same after a crash.
        self.transact(&self.reading, move |transaction| {
            Box::pin(feed::number(transaction))
        })
        .await?
        .ok_or(Fault::Silent)?;
        let changes = self
            .transact(&self.reading, move |transaction| {
                Box::pin(feed::changes(transaction, cursor, limit))
            })
            .await?;
        Ok(changes.ok_or(Fault::Silent)?)
    }
}

fn by_gpu(bookings: Vec<Booking>) -> HashMap<GpuId, Vec<Booking>> {
    let mut of_gpu = HashMap::<GpuId, Vec<Booking>>::new();
    for booking in bookings {
        of_gpu.entry(booking.gpu.clone()).or_default().push(booking);
    }
    of_gpu
}
