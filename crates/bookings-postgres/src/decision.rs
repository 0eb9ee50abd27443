//! One request inside an open transaction: its key, the locks and rows its decision needs, the decision, and what it
//! changed.
//!
//! It neither begins nor commits. Transactions lock their key first and then their GPUs in the order of names, so no two
//! wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use futures_util::future::try_join_all;
use marketplace::bookings::{BookingRequest, Reach, Scope, Timeline, Transition, decide};
use marketplace::{
    Booking, BookingId, BookingOutcome, BookingStoreError, ErrorKind, Fence, GpuId, KEY_RETENTION,
    PriceVersion, StoreTime,
};
use serde::Serialize;
use tokio_postgres::types::ToSql;

use crate::fault::Fault;
use crate::rows::{self, COLUMNS, STANDING};
use crate::time::Time;
use crate::unlocked;

/// Answers from the request's key, or decides and writes.
pub(crate) async fn decide_once(
    transaction: &Transaction<'_>,
    time: &Time,
    request: &BookingRequest,
) -> Result<BookingOutcome, Fault> {
    let asked = time.now(transaction).await?;
    let (answer, crowded) = tokio::try_join!(
        take_key(transaction, request, asked),
        unlocked::is_crowded(transaction, request),
    )?;
    if let Some(answer) = answer {
        return Ok(answer);
    }
    if let (BookingRequest::Hold(hold), true) = (request, crowded)
        && let Some(refused) = unlocked::refusal(transaction, time, hold).await?
    {
        remember(transaction, request, &refused, asked).await?;
        return Ok(refused);
    }
    let gpus = scope(transaction, request).await?;
    let locked = lock(transaction, &gpus).await?;
    // Sent together: the server answers them in one round trip.
    let (now, named, number) = tokio::try_join!(
        locked.now(transaction, time),
        named(transaction, request),
        number(transaction, request),
    )?;
    let (outcome, timelines, transitions) = match request.reach(&named) {
        Reach::Named => over(request, locked.timelines(vec![], &named), number, now)?,
        Reach::Overlapping(interval) => {
            let near = standing(transaction, &gpus, interval.start(), interval.end()).await?;
            match over(request, locked.timelines(near, &named), number, now)? {
                (BookingOutcome::Conflict { .. }, ..) => {
                    let all = standing(transaction, &gpus, interval.start(), StoreTime::END).await?;
                    over(request, locked.timelines(all, &named), number, now)?
                }
                decided => decided,
            }
        }
    };
    tokio::try_join!(
        write(transaction, &timelines, &transitions, now),
        remember(transaction, request, &outcome, now),
    )?;
    Ok(outcome)
}

/// Expires holds that have lapsed.
pub(crate) async fn expire(transaction: &Transaction<'_>, time: &Time, limit: i64) -> Result<usize, Fault> {
    let query = format!(
        "select {COLUMNS} from bookings where state = 'held' and until <= $1 order by until, id limit $2"
    );
    let query = transaction.prepare_cached(&query).await?;
    let asked = time.now(transaction).await?;
    let lapsed = transaction.query(&query, &[&asked.as_millis(), &limit]).await?;
    let lapsed = lapsed.iter().map(rows::booking).collect::<Result<Vec<_>, _>>()?;
    let gpus: BTreeSet<GpuId> = lapsed.iter().map(|booking| booking.gpu.clone()).collect();
    let locked = lock(transaction, &gpus).await?;
    let now = locked.now(transaction, time).await?;
    // What was seen before the GPUs were locked may have been confirmed or cancelled since.
    let ids: Vec<&str> = lapsed.iter().map(|booking| booking.id.as_str()).collect();
    let still = by_id(transaction, &ids).await?;
    let mut timelines = locked.timelines(vec![], &still);
    let mut transitions = Vec::new();
    let mut expired = 0;
    for booking in &still {
        if let Some(timeline) = timelines.get_mut(&booking.gpu) {
            expired += usize::from(timeline.expire(&booking.id, now, &mut transitions));
        }
    }
    write(transaction, &timelines, &transitions, now).await?;
    Ok(expired)
}

/// What a decision over timelines brings about.
type Decided = (BookingOutcome, Timelines, Vec<Transition>);
type Timelines = BTreeMap<GpuId, Box<Timeline>>;

/// `number` names the bookings this request is granted, and no other request's.
fn over(
    request: &BookingRequest,
    mut timelines: Timelines,
    number: i64,
    now: StoreTime,
) -> Result<Decided, Fault> {
    let mut granted = 0;
    let mut next_id = || {
        granted += 1;
        let id = match granted {
            1 => format!("b-{number}"),
            granted => format!("b-{number}-{granted}"),
        };
        BookingId::new(id)
            .map_err(|error| BookingStoreError::new(ErrorKind::Rejected, "no id to give").caused_by(error))
    };
    let mut transitions = Vec::new();
    let outcome = decide(request, &mut timelines, &mut next_id, now, &mut transitions)?;
    Ok((outcome, timelines, transitions))
}

/// Takes the key for this transaction, or returns what was answered under it. A request that is under way under the same
/// key is waited for.
async fn take_key(
    transaction: &Transaction<'_>,
    request: &BookingRequest,
    now: StoreTime,
) -> Result<Option<BookingOutcome>, Fault> {
    let (user, key, hash) = (
        request.user().as_str(),
        request.key().as_str(),
        request.hash().to_string(),
    );
    // A record that is too old to count is taken over, as if it had been forgotten.
    let take = transaction
        .prepare_cached(
            "insert into keys as known values ($1, $2, $3, null, $4)
             on conflict (holder, key) do update set hash = excluded.hash, outcome = null, decided = excluded.decided
                 where known.decided <= $5
             returning true",
        )
        .await?;
    let retention = i64::try_from(KEY_RETENTION.as_millis()).unwrap_or(i64::MAX);
    let too_old = now.as_millis().saturating_sub(retention);
    let taken = transaction
        .query_opt(&take, &[&user, &key, &hash, &now.as_millis(), &too_old])
        .await?;
    if taken.is_some() {
        return Ok(None);
    }
    let recall = transaction
        .prepare_cached("select hash, outcome from keys where holder = $1 and key = $2")
        .await?;
    let row = transaction.query_one(&recall, &[&user, &key]).await?;
    if row.try_get::<_, &str>(0)? != hash {
        return Ok(Some(BookingOutcome::IdempotencyMismatch));
    }
    let outcome: &str = row.try_get(1)?;
    let outcome = serde_json::from_str(outcome)
        .map_err(|error| Fault::Unreadable(format!("the outcome under key {key} cannot be read: {error}")))?;
    Ok(Some(BookingOutcome::Replay(Box::new(outcome))))
}

async fn remember(
    transaction: &Transaction<'_>,
    request: &BookingRequest,
    outcome: &BookingOutcome,
    now: StoreTime,
) -> Result<(), Fault> {
    let update = transaction
        .prepare_cached("update keys set outcome = $3, decided = $4 where holder = $1 and key = $2")
        .await?;
    let (user, key) = (request.user().as_str(), request.key().as_str());
    transaction
        .execute(&update, &[&user, &key, &json(outcome)?, &now.as_millis()])
        .await?;
    Ok(())
}

/// A booking never moves to another GPU, so its GPU can be looked up before it is locked.
async fn scope(transaction: &Transaction<'_>, request: &BookingRequest) -> Result<BTreeSet<GpuId>, Fault> {
    match request.scope() {
        Scope::Gpus(gpus) => Ok(gpus.into_iter().cloned().collect()),
        Scope::Bookings(_) => {
            let named = named(transaction, request).await?;
            Ok(named.into_iter().map(|booking| booking.gpu).collect())
        }
    }
}

async fn named(transaction: &Transaction<'_>, request: &BookingRequest) -> Result<Vec<Booking>, Fault> {
    match request.scope() {
        Scope::Gpus(_) => Ok(vec![]),
        Scope::Bookings(ids) => {
            let ids: Vec<&str> = ids.into_iter().map(BookingId::as_str).collect();
            by_id(transaction, &ids).await
        }
    }
}

async fn by_id(transaction: &Transaction<'_>, ids: &[&str]) -> Result<Vec<Booking>, Fault> {
    let query = format!("select {COLUMNS} from bookings where id = any($1) order by until, id");
    let query = transaction.prepare_cached(&query).await?;
    let found = transaction.query(&query, &[&ids]).await?;
    found.iter().map(rows::booking).collect()
}

/// GPUs that are locked until the transaction ends.
struct Locked {
    gpus: Vec<(GpuId, Fence, PriceVersion)>,
    /// The latest decision about any of them.
    decided: StoreTime,
}

impl Locked {
    /// The instant of the decision, read only now that nobody else decides about these GPUs, and never before the last
    /// decision about one of them.
    async fn now(&self, transaction: &Transaction<'_>, time: &Time) -> Result<StoreTime, Fault> {
        Ok(time.now(transaction).await?.max(self.decided))
    }

    fn timelines(&self, standing: Vec<Booking>, named: &[Booking]) -> Timelines {
        let mut of_gpu: BTreeMap<GpuId, Vec<Booking>> = BTreeMap::new();
        for booking in standing.into_iter().chain(named.iter().cloned()) {
            of_gpu.entry(booking.gpu.clone()).or_default().push(booking);
        }
        let timeline = |(gpu, fence, price): &(GpuId, Fence, PriceVersion)| {
            let bookings = of_gpu.remove(gpu).unwrap_or_default();
            (gpu.clone(), Box::new(Timeline::loaded(*fence, *price, bookings)))
        };
        self.gpus.iter().map(timeline).collect()
    }
}

async fn lock(transaction: &Transaction<'_>, gpus: &BTreeSet<GpuId>) -> Result<Locked, Fault> {
    let names: Vec<&str> = gpus.iter().map(GpuId::as_str).collect();
    let lock = transaction
        .prepare_cached(
            "select gpu, fence, price, decided from gpus where gpu = any($1) order by gpu for update",
        )
        .await?;
    let mut found = transaction.query(&lock, &[&names]).await?;
    if found.len() < names.len() {
        let add = transaction
            .prepare_cached(
                "insert into gpus select gpu, 0, 0, $2 from unnest($1::text[]) as new (gpu)
                 order by gpu collate \"C\" on conflict do nothing",
            )
            .await?;
        transaction.execute(&add, &[&names, &i64::MIN]).await?;
        found = transaction.query(&lock, &[&names]).await?;
    }
    let mut locked = Locked {
        gpus: vec![],
        decided: StoreTime::from_millis(i64::MIN),
    };
    for row in &found {
        let name: &str = row.try_get(0)?;
        let gpu = GpuId::new(name).map_err(|error| Fault::Unreadable(format!("a GPU's {error}")))?;
        let fence = Fence(row.try_get::<_, i64>(1)?.cast_unsigned());
        let price = PriceVersion(row.try_get::<_, i64>(2)?.cast_unsigned());
        locked.decided = locked.decided.max(StoreTime::from_millis(row.try_get(3)?));
        locked.gpus.push((gpu, fence, price));
    }
    Ok(locked)
}

/// A number that no other request has; 0 for a request that is granted nothing.
async fn number(transaction: &Transaction<'_>, request: &BookingRequest) -> Result<i64, Fault> {
    if matches!(request.scope(), Scope::Bookings(_)) {
        return Ok(0);
    }
    let draw = transaction
        .prepare_cached("select nextval('booking_numbers')")
        .await?;
    Ok(transaction.query_one(&draw, &[]).await?.try_get(0)?)
}

/// What takes time of the GPUs within `[start, end)`.
async fn standing(
    transaction: &Transaction<'_>,
    gpus: &BTreeSet<GpuId>,
    start: StoreTime,
    end: StoreTime,
) -> Result<Vec<Booking>, Fault> {
    let names: Vec<&str> = gpus.iter().map(GpuId::as_str).collect();
    let query = format!(
        "select {COLUMNS} from bookings
         where gpu = any($1) and {STANDING} and int8range(starts, ends) && int8range($2, $3)"
    );
    let query = transaction.prepare_cached(&query).await?;
    let found = transaction
        .query(&query, &[&names, &start.as_millis(), &end.as_millis()])
        .await?;
    found.iter().map(rows::booking).collect()
}

async fn write(
    transaction: &Transaction<'_>,
    timelines: &Timelines,
    transitions: &[Transition],
    now: StoreTime,
) -> Result<(), Fault> {
    if transitions.is_empty() {
        return Ok(());
    }
    let changed: BTreeSet<&GpuId> = transitions.iter().map(|(_, booking)| &booking.gpu).collect();
    let advance = transaction
        .prepare_cached("update gpus set fence = $2, decided = $3 where gpu = $1")
        .await?;
    let append = transaction
        .prepare_cached("insert into changes (at, change) values ($1, $2)")
        .await?;
    let writing = rows::Writing::prepare(transaction).await?;
    let advance_all = try_join_all(changed.into_iter().map(|gpu| {
        let fence = timelines.get(gpu).map_or(Fence(0), |timeline| timeline.fence());
        let (advance, now) = (&advance, now.as_millis());
        async move {
            let of: [&(dyn ToSql + Sync); 3] = [&gpu.as_str(), &fence.0.cast_signed(), &now];
            transaction.execute(advance, &of).await.map_err(Fault::from)
        }
    }));
    // One after the other: a hold that lapsed has to be out of the way before the next is written.
    let write_all = async {
        for (kind, booking) in transitions {
            let change = json(&(kind, booking))?;
            let of: [&(dyn ToSql + Sync); 2] = [&now.as_millis(), &change];
            tokio::try_join!(writing.write(transaction, booking), async {
                transaction.execute(&append, &of).await.map_err(Fault::from)
            })?;
        }
        Ok(())
    };
    tokio::try_join!(advance_all, write_all)?;
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| Fault::Unreadable(format!("a record cannot be written: {error}")))
}
