//! One request inside an open transaction: its key, what its decision needs, the decision, and what it changed.
//!
//! It neither begins nor commits: the writer does, for a batch of requests at once.

use std::collections::BTreeMap;

use marketplace::bookings::{BookingRequest, Reach, Scope, Timeline, Transition, decide};
use marketplace::{
    Booking, BookingId, BookingOutcome, BookingStoreError, ErrorKind, Fence, GpuId, Interval, KEY_RETENTION,
    PriceVersion, StoreClock, StoreTime,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::rows::{self, COLUMNS};

/// What takes its interval, as the schema's indices have it.
pub(crate) const STANDING: &str = "state in ('held', 'confirmed', 'done')";

/// How long the change log reaches back. A reader further behind is told that it lagged.
const LOG_RETENTION_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many rows one call forgets at most of each kind, so that a batch with it stays short.
const FORGETTING: i64 = 1000;

/// Answers from the request's key, or decides and writes.
pub(crate) fn decide_once(
    db: &Connection,
    clock: &dyn StoreClock,
    request: &BookingRequest,
) -> Result<BookingOutcome, Fault> {
    let mut feed = Feed::read(db)?;
    let now = feed.now(clock);
    if let Some(answer) = remembered(db, request, now)? {
        return Ok(answer);
    }
    let (gpus, named) = scope(db, request)?;
    let reach = request.reach(&named);
    let mut granted = feed.granted;
    let mut over = |part: Part| -> Result<Decided, Fault> {
        let mut timelines = BTreeMap::new();
        for gpu in &gpus {
            timelines.insert(gpu.clone(), Box::new(load(db, gpu, part, &named)?));
        }
        let mut next_id = || {
            granted += 1;
            BookingId::new(format!("b-{granted}")).map_err(|error| {
                BookingStoreError::new(ErrorKind::Rejected, "no id to give").caused_by(error)
            })
        };
        let mut transitions = Vec::new();
        let outcome = decide(request, &mut timelines, &mut next_id, now, &mut transitions)?;
        Ok(Decided {
            outcome,
            timelines,
            transitions,
        })
    };
    let Decided {
        outcome,
        timelines,
        transitions,
    } = match reach {
        Reach::Named => over(Part::Nothing)?,
        Reach::Overlapping(interval) => match over(Part::Overlapping(interval))? {
            decided if decided.is_conflict() => over(Part::From(interval.start()))?,
            decided => decided,
        },
    };
    feed.granted = granted;
    for (gpu, timeline) in &timelines {
        if transitions.iter().any(|(_, booking)| booking.gpu == *gpu) {
            write_gpu(db, gpu, timeline)?;
        }
    }
    feed.append(db, now, &transitions)?;
    remember(db, request, &outcome, now)?;
    Ok(outcome)
}

/// Expires holds that have lapsed, and forgets what is old.
pub(crate) fn expire(db: &Connection, clock: &dyn StoreClock, limit: usize) -> Result<usize, Fault> {
    let mut feed = Feed::read(db)?;
    let now = feed.now(clock);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = format!(
        "select {COLUMNS} from bookings where state = 'held' and until <= ?1 order by until, id limit ?2"
    );
    let lapsed = rows::bookings(db, &query, params![now.as_millis(), limit])?;
    let mut out = Vec::new();
    for booking in &lapsed {
        let mut timeline = Timeline::loaded(booking.fence, PriceVersion::FIRST, [booking.clone()]);
        timeline.expire(&booking.id, now, &mut out);
    }
    feed.append(db, now, &out)?;
    let oldest_key = now
        .as_millis()
        .saturating_sub(i64::try_from(KEY_RETENTION.as_millis()).unwrap_or(i64::MAX));
    db.prepare_cached(
        "delete from keys where (holder, key) in
            (select holder, key from keys where decided <= ?1 order by decided limit ?2)",
    )?
    .execute(params![oldest_key, FORGETTING])?;
    db.prepare_cached(
        "delete from changes where cursor in (select cursor from changes where at <= ?1 order by cursor limit ?2)",
    )?
    .execute(params![now.as_millis().saturating_sub(LOG_RETENTION_MILLIS), FORGETTING])?;
    Ok(lapsed.len())
}

/// Notes the newest version of a GPU's base price.
pub(crate) fn reprice(db: &Connection, gpu: &GpuId, version: PriceVersion) -> Result<(), Fault> {
    db.prepare_cached(
        "insert into gpus values (?1, 0, ?2) on conflict (gpu) do update set price = max(price, excluded.price)",
    )?
    .execute(params![gpu.as_str(), version.0.cast_signed()])?;
    Ok(())
}

struct Decided {
    outcome: BookingOutcome,
    timelines: BTreeMap<GpuId, Box<Timeline>>,
    transitions: Vec<Transition>,
}

impl Decided {
    fn is_conflict(&self) -> bool {
        matches!(self.outcome, BookingOutcome::Conflict { .. })
    }
}

/// The part of a GPU's bookings to load, besides those that were named.
#[derive(Clone, Copy)]
enum Part {
    Nothing,
    Overlapping(Interval),
    From(StoreTime),
}

fn scope(db: &Connection, request: &BookingRequest) -> Result<(Vec<GpuId>, Vec<Booking>), Fault> {
    match request.scope() {
        Scope::Gpus(gpus) => Ok((gpus.into_iter().cloned().collect(), vec![])),
        Scope::Bookings(ids) => {
            let mut named = Vec::new();
            for id in ids {
                named.extend(rows::named(db, id)?);
            }
            Ok((named.iter().map(|booking| booking.gpu.clone()).collect(), named))
        }
    }
}

fn load(db: &Connection, gpu: &GpuId, part: Part, named: &[Booking]) -> Result<Timeline, Fault> {
    let (fence, price): (i64, i64) = db
        .prepare_cached("select fence, price from gpus where gpu = ?1")?
        .query_row([gpu.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    let end = match part {
        Part::Nothing => None,
        Part::Overlapping(interval) => Some((interval.start(), interval.end())),
        Part::From(start) => Some((start, StoreTime::END)),
    };
    let mut bookings = match end {
        None => vec![],
        Some((start, end)) => standing_within(db, gpu, start, end)?,
    };
    bookings.extend(named.iter().filter(|booking| booking.gpu == *gpu).cloned());
    Ok(Timeline::loaded(
        Fence(fence.cast_unsigned()),
        PriceVersion(price.cast_unsigned()),
        bookings,
    ))
}

/// What takes time of the GPU within `[start, end)`, in order. Standing bookings are disjoint, so at most the last that
/// starts no later can reach in from before.
pub(crate) fn standing_within(
    db: &Connection,
    gpu: &GpuId,
    start: StoreTime,
    end: StoreTime,
) -> Result<Vec<Booking>, Fault> {
    let query = format!(
        "select {COLUMNS} from bookings
         where gpu = ?1 and {STANDING} and starts < ?3 and ends > ?2
             and starts >= coalesce((select max(starts) from bookings where gpu = ?1 and {STANDING} and starts <= ?2), ?2)
         order by starts"
    );
    rows::bookings(
        db,
        &query,
        params![gpu.as_str(), start.as_millis(), end.as_millis()],
    )
}

fn write_gpu(db: &Connection, gpu: &GpuId, timeline: &Timeline) -> Result<(), Fault> {
    db.prepare_cached(
        "insert into gpus values (?1, ?2, ?3) on conflict (gpu) do update set fence = excluded.fence
         where fence < excluded.fence",
    )?
    .execute(params![
        gpu.as_str(),
        timeline.fence().0.cast_signed(),
        timeline.price().0.cast_signed()
    ])?;
    Ok(())
}

fn remembered(
    db: &Connection,
    request: &BookingRequest,
    now: StoreTime,
) -> Result<Option<BookingOutcome>, Fault> {
    let record: Option<(String, String, i64)> = db
        .prepare_cached("select hash, outcome, decided from keys where holder = ?1 and key = ?2")?
        .query_row([request.user().as_str(), request.key().as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((hash, outcome, decided)) = record else {
        return Ok(None);
    };
    if StoreTime::from_millis(decided).plus(KEY_RETENTION) <= now {
        return Ok(None);
    }
    if hash != request.hash().to_string() {
        return Ok(Some(BookingOutcome::IdempotencyMismatch));
    }
    let outcome = serde_json::from_str(&outcome).map_err(|error| {
        Fault::unreadable(format!(
            "the outcome under key {} cannot be read: {error}",
            request.key()
        ))
    })?;
    Ok(Some(BookingOutcome::Replay(Box::new(outcome))))
}

fn remember(
    db: &Connection,
    request: &BookingRequest,
    outcome: &BookingOutcome,
    now: StoreTime,
) -> Result<(), Fault> {
    db.prepare_cached("insert or replace into keys values (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            request.user().as_str(),
            request.key().as_str(),
            request.hash().to_string(),
            json(outcome)?,
            now.as_millis()
        ])?;
    Ok(())
}

/// The head of the change log.
struct Feed {
    appended: i64,
    changed: i64,
    granted: i64,
}

impl Feed {
    fn read(db: &Connection) -> Result<Self, Fault> {
        let mut statement = db.prepare_cached("select appended, changed, granted from feed")?;
        Ok(statement.query_row([], |row| {
            Ok(Self {
                appended: row.get(0)?,
                changed: row.get(1)?,
                granted: row.get(2)?,
            })
        })?)
    }

    /// The instant of a decision: the clock's, but never before one that was decided. A machine's clock may be set
    /// back, and other processes have their own.
    fn now(&self, clock: &dyn StoreClock) -> StoreTime {
        clock.now().max(StoreTime::from_millis(self.changed))
    }

    fn append(&mut self, db: &Connection, now: StoreTime, transitions: &[Transition]) -> Result<(), Fault> {
        if transitions.is_empty() {
            return Ok(());
        }
        let mut insert = db.prepare_cached("insert into changes values (?1, ?2, ?3)")?;
        for (kind, booking) in transitions {
            rows::write(db, booking)?;
            self.appended += 1;
            insert.execute(params![self.appended, now.as_millis(), json(&(kind, booking))?])?;
        }
        db.prepare_cached("update feed set appended = ?1, changed = ?2, granted = ?3")?
            .execute(params![self.appended, now.as_millis(), self.granted])?;
        Ok(())
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| Fault::unreadable(format!("a record cannot be written: {error}")))
}
