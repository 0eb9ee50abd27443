//! The booking ports over one Redis server.
//!
//! It keeps nothing in the process: any number of nodes may use one server.

use std::sync::LazyLock;

use async_trait::async_trait;
use marketplace::bookings::{BookingDecider, BookingRequest};
use marketplace::{
    Booking, BookingId, BookingLedger, BookingLedgerError, BookingOutcome, BookingStoreError, Changes,
    Cursor, GpuId, Guarantee, Interval, KEY_RETENTION, Occupancy, PriceVersion, StoreTime,
};
use redis::Script;

use crate::fault::Fault;
use crate::keys::Keys;
use crate::link::Link;
use crate::settings::{Settings, Time};
use crate::{decision, ledger};

/// Keeps bookings on a Redis server.
///
/// * **Exactly one winner, until the server loses what it acknowledged.** Redis answers before a write is on its disk or its
///   replicas. A server that ends between two writes to its disk (`appendonly`, `appendfsync`), or a replica that takes over
///   without the last writes, has forgotten the last holds, confirmations and keys, and grants their time again. Waiting for
///   [`replicas`](Settings::replicas) makes that unlikely; it is no consensus. So its guarantee is
///   [`LinearizableUntilFailover`](Guarantee::LinearizableUntilFailover), and
///   [`DurableOnly`](marketplace::bookings::DurableOnly) keeps it from selling.
/// * **What remains true after a loss.** Later grants of a GPU have higher fences than lost ones, since fences go on from the
///   clock: the machine that owns the GPU serves one tenant. Names of bookings are never given away twice. A reader of the log
///   who has seen more than the server has left is told that it lagged; one that comes back only when the log is longer again
///   is not.
/// * **Uncertain.** When the answer to a decision does not come, or too few replicas have it in time, the outcome is
///   [`Uncertain`](BookingOutcome::Uncertain); the same request under the same key tells what became of it.
/// * **Cancel-safe.** Dropping a call's future leaves its request decided or not, and its key tells which.
/// * **Kept.** Keys and bookings that are over are forgotten after [`KEY_RETENTION`], when
///   [`expire_holds`](marketplace::BookingStore::expire_holds) is called; the log keeps its newest rows.
/// * **One server's memory.** All keys are of one hash slot, so a cluster does not spread them.
pub struct RedisBookings {
    server: Server,
}

/// The server, and how it is used.
pub(crate) struct Server {
    /// For decisions.
    pub(crate) deciding: Link,
    /// For reading, so that what a node shows does not wait behind what it decides.
    pub(crate) reading: Link,
    pub(crate) keys: Keys,
    pub(crate) settings: Settings,
    time: Time,
}

impl Server {
    /// What counts as now, when the server says it is `server`.
    pub(crate) fn time(&self, server: StoreTime) -> StoreTime {
        match &self.time {
            Time::OfServer => server,
            Time::Given(clock) => clock.now(),
        }
    }

    async fn now(&self) -> Result<StoreTime, Fault> {
        let (seconds, micros): (i64, i64) = self.deciding.command(&redis::cmd("TIME")).await?;
        let server = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
        Ok(self.time(StoreTime::from_millis(server)))
    }
}

/// The layout of the keys; another one is refused.
const LAYOUT: i64 = 1;

/// How many holds are expired in one step: all of their GPUs must stand still for it.
const EXPIRED_AT_ONCE: usize = 32;

/// How many bookings and keys are forgotten in one step, so that it does not hold the server up.
const FORGOTTEN_AT_ONCE: usize = 1_000;

static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget.lua")));

impl RedisBookings {
    /// Connects to the server.
    ///
    /// # Errors
    /// `Rejected` when the settings cannot be used, the server drops keys when its memory is full, or what lies under the
    /// prefix is of another layout; `Unavailable` when the server cannot be reached.
    pub async fn connect(settings: Settings, time: Time) -> Result<Self, BookingStoreError> {
        let client = settings.client()?;
        let server = Server {
            deciding: Link::of(client.clone(), settings.patience),
            reading: Link::of(client, settings.patience),
            keys: Keys::under(&settings.prefix),
            settings,
            time,
        };
        check(&server).await?;
        Ok(Self { server })
    }

    async fn expire_all(&self, limit: usize) -> Result<usize, Fault> {
        let server = &self.server;
        let now = server.now().await?;
        let mut expired = 0;
        while expired < limit {
            let mut due = redis::cmd("ZRANGEBYSCORE");
            due.arg(&server.keys.deadlines).arg("-inf").arg(now.as_millis());
            due.arg("LIMIT")
                .arg(0)
                .arg((limit - expired).min(EXPIRED_AT_ONCE));
            let names: Vec<String> = server.deciding.command(&due).await?;
            if names.is_empty() {
                break;
            }
            let ids: Result<Vec<BookingId>, _> = names.into_iter().map(BookingId::new).collect();
            let ids = ids.map_err(|error| Fault::Unreadable(format!("a deadline's {error}")))?;
            expired += decision::expire(server, &ids).await?;
        }
        let retention = i64::try_from(KEY_RETENTION.as_millis()).unwrap_or(i64::MAX);
        let old = now.as_millis().saturating_sub(retention);
        let keys = &server.keys;
        let mut forget = FORGET.prepare_invoke();
        for key in [
            &keys.bookings,
            &keys.standing,
            &keys.answers,
            &keys.ages,
            &keys.deadlines,
            &keys.over,
        ] {
            forget.key(key);
        }
        forget.arg(old).arg(FORGOTTEN_AT_ONCE);
        let mut forgotten: usize = FORGOTTEN_AT_ONCE;
        while forgotten >= FORGOTTEN_AT_ONCE {
            forgotten = server.deciding.script(&forget).await?;
        }
        Ok(expired)
    }
}

async fn check(server: &Server) -> Result<(), Fault> {
    let memory: String = server.deciding.command(redis::cmd("INFO").arg("memory")).await?;
    let field = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default()
    };
    let policy = field("maxmemory_policy:");
    // Ours never expire by themselves, so only a policy that takes any key would take one.
    if field("maxmemory:") != "0" && policy.starts_with("allkeys") {
        return Err(Fault::Unfit(format!(
            "the server drops keys when its memory is full (maxmemory-policy {policy}), and these are bookings: set \
             noeviction"
        )));
    }
    let layout = layout(server).await?;
    if layout != LAYOUT {
        return Err(Fault::Unfit(format!(
            "what lies under {:?} has layout {layout} and this program knows layout {LAYOUT}: use the program that wrote it",
            server.settings.prefix
        )));
    }
    Ok(())
}

/// The layout of what lies there; a server with nothing is laid out first. Read before it is written: a full server takes no
/// writes, and what it holds can be read all the same.
async fn layout(server: &Server) -> Result<i64, Fault> {
    let head = &server.keys.head;
    let mut asked = redis::cmd("HGET");
    asked.arg(head).arg("layout");
    if let Some(known) = server.deciding.command(&asked).await? {
        return Ok(known);
    }
    let mut laying = redis::pipe();
    laying.cmd("HSETNX").arg(head).arg("layout").arg(LAYOUT).ignore();
    laying.add_command(asked);
    let (layout,) = server.deciding.pipeline(&laying).await?;
    Ok(layout)
}

#[async_trait]
impl BookingDecider for RedisBookings {
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        match decision::decide_once(&self.server, &request).await {
            Err(Fault::Open) => Ok(BookingOutcome::Uncertain),
            decided => Ok(decided?),
        }
    }

    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError> {
        Ok(self.expire_all(limit).await?)
    }

    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        Ok(decision::reprice(&self.server, gpu, version).await?)
    }

    fn promises(&self) -> Guarantee {
        Guarantee::LinearizableUntilFailover
    }
}

#[async_trait]
impl BookingLedger for RedisBookings {
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
        Ok(ledger::booking(&self.server, id).await?)
    }

    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError> {
        Ok(ledger::occupied(&self.server, gpus, at).await?)
    }

    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
        Ok(ledger::free(&self.server, gpus, &window).await?)
    }

    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
        Ok(ledger::changes(&self.server, cursor, limit).await?)
    }
}
