//! A booking store in memory: one lock per GPU, for tests, demonstrations and single-process use.
//!
//! It survives nothing: when the process ends, so do its bookings. It does not know which GPUs exist.

mod keys;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dashmap::DashMap;

use self::keys::Keys;
use self::log::Log;
use super::{
    BookingDecider, BookingLedger, BookingOutcome, BookingRequest, ChangeKind, Changes, Cursor, Guarantee,
    Occupancy, Scope, Timeline, Transition, decide,
};
use crate::{
    Booking, BookingId, BookingLedgerError, BookingState, BookingStoreError, ErrorKind, GpuId, Interval,
    PriceVersion, StoreClock, StoreTime,
};

/// Keeps bookings in memory. Requests about different GPUs do not wait for one another.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::{BookingStore, Guarantee, ManualClock, MemoryBookings, StoreTime};
/// let store = MemoryBookings::new(Arc::new(ManualClock::at(StoreTime::from_millis(0))));
/// assert_eq!(store.guarantee(), Guarantee::LinearizableUntilFailover);
/// ```
///
/// Locks are taken in the order key, GPU, then one of deadlines, owners or log; never the other way round.
pub struct MemoryBookings {
    clock: Arc<dyn StoreClock>,
    keys: Keys,
    timelines: DashMap<GpuId, Arc<Mutex<Timeline>>>,
    owners: DashMap<BookingId, GpuId>,
    deadlines: Mutex<BTreeSet<(StoreTime, BookingId)>>,
    log: Mutex<Log>,
    granted: AtomicU64,
}

/// Changes the log keeps by default: a quarter of a million is minutes behind at the highest rate one process
/// reaches, at roughly 100 MB.
const LOG_ROWS: usize = 1 << 18;

impl MemoryBookings {
    /// An empty store that reads its time from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn StoreClock>) -> Self {
        Self::with_log_rows(clock, LOG_ROWS)
    }

    /// An empty store whose change log keeps the newest `rows` changes; a reader further behind is told that it
    /// [lagged](super::Completeness::Lagged).
    #[must_use]
    pub fn with_log_rows(clock: Arc<dyn StoreClock>, rows: usize) -> Self {
        Self {
            clock,
            keys: Keys::default(),
            timelines: DashMap::new(),
            owners: DashMap::new(),
            deadlines: Mutex::default(),
            log: Mutex::new(Log::keeping(rows)),
            granted: AtomicU64::new(0),
        }
    }

    /// Runs `decide` on the GPU's timeline under its lock, at one instant, and publishes what it changed before
    /// the lock is released: the log has changes of one GPU in the order they were decided.
    fn on<T>(
        &self,
        gpu: &GpuId,
        decide: impl FnOnce(&mut Timeline, StoreTime, &mut Vec<Transition>) -> T,
    ) -> T {
        let timeline = Arc::clone(&self.timelines.entry(gpu.clone()).or_default());
        let mut timeline = locked(&timeline);
        let now = self.clock.now();
        let mut transitions = Vec::new();
        let decision = decide(&mut timeline, now, &mut transitions);
        for id in timeline.forget_before(now) {
            self.owners.remove(&id);
        }
        self.publish(now, transitions);
        decision
    }

    fn publish(&self, now: StoreTime, transitions: Vec<Transition>) {
        for (kind, booking) in transitions {
            if let (ChangeKind::Held, BookingState::Held { until }) = (kind, booking.state) {
                self.owners.insert(booking.id.clone(), booking.gpu.clone());
                locked(&self.deadlines).insert((until, booking.id.clone()));
            }
            locked(&self.log).append(now, kind, booking);
        }
    }

    /// Decides a request over all the timelines of its scope, locked in the order of their GPUs' names, at one instant.
    fn decide_over(&self, request: &BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        let gpus: BTreeSet<GpuId> = match request.scope() {
            Scope::Gpus(gpus) => gpus.into_iter().cloned().collect(),
            Scope::Bookings(ids) => ids.into_iter().filter_map(|id| self.gpu_of(id)).collect(),
        };
        let timelines: Vec<(GpuId, Arc<Mutex<Timeline>>)> = gpus
            .into_iter()
            .map(|gpu| {
                let timeline = Arc::clone(&self.timelines.entry(gpu.clone()).or_default());
                (gpu, timeline)
            })
            .collect();
        let mut held: BTreeMap<GpuId, MutexGuard<'_, Timeline>> = timelines
            .iter()
            .map(|(gpu, timeline)| (gpu.clone(), locked(timeline)))
            .collect();
        let now = self.clock.now();
        let mut transitions = Vec::new();
        let decision = decide(request, &mut held, &mut || self.next_id(), now, &mut transitions);
        for timeline in held.values_mut() {
            for id in timeline.forget_before(now) {
                self.owners.remove(&id);
            }
        }
        self.publish(now, transitions);
        decision
    }

    fn decide_once(&self, request: &BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        let (user, key) = (request.user(), request.key());
        self.keys.once(user, key, request.hash(), &*self.clock, || {
            self.decide_over(request)
        })
    }

    fn gpu_of(&self, id: &BookingId) -> Option<GpuId> {
        self.owners.get(id).map(|gpu| gpu.clone())
    }

    fn next_id(&self) -> Result<BookingId, BookingStoreError> {
        let number = self.granted.fetch_add(1, Ordering::Relaxed) + 1;
        BookingId::new(format!("b-{number}"))
            .map_err(|error| BookingStoreError::new(ErrorKind::Rejected, "no id to give").caused_by(error))
    }

    fn lapsed(&self, now: StoreTime, limit: usize) -> Vec<BookingId> {
        let mut deadlines = locked(&self.deadlines);
        let due = deadlines
            .iter()
            .take_while(|(until, _)| *until <= now)
            .take(limit);
        let due: Vec<(StoreTime, BookingId)> = due.cloned().collect();
        for entry in &due {
            deadlines.remove(entry);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }
}

#[async_trait]
impl BookingDecider for MemoryBookings {
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide_once(&request)
    }

    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError> {
        let now = self.clock.now();
        self.keys.forget_before(now);
        let mut expired = 0;
        while expired < limit {
            let lapsed = self.lapsed(now, limit - expired);
            if lapsed.is_empty() {
                break;
            }
            for id in lapsed {
                let Some(gpu) = self.gpu_of(&id) else { continue };
                expired += usize::from(self.on(&gpu, |timeline, now, out| timeline.expire(&id, now, out)));
            }
        }
        Ok(expired)
    }

    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.on(gpu, |timeline, _, _| timeline.reprice(version));
        Ok(())
    }

    fn promises(&self) -> Guarantee {
        Guarantee::LinearizableUntilFailover
    }
}

#[async_trait]
impl BookingLedger for MemoryBookings {
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
        let Some(gpu) = self.gpu_of(id) else {
            return Ok(None);
        };
        Ok(self.on(&gpu, |timeline, now, _| timeline.booking(id, now)))
    }

    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError> {
        let occupancy = |gpu: &GpuId| {
            let timeline = self.timelines.get(gpu).map(|timeline| Arc::clone(&timeline));
            let (holder, changes_at) = timeline.map_or((None, None), |timeline| locked(&timeline).at(at));
            Occupancy {
                gpu: gpu.clone(),
                holder,
                changes_at,
            }
        };
        Ok(gpus.iter().map(occupancy).collect())
    }

    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
        let now = self.clock.now();
        let free = |gpu: &GpuId| {
            let timeline = self.timelines.get(gpu).map(|timeline| Arc::clone(&timeline));
            timeline.map_or_else(|| vec![window], |timeline| locked(&timeline).free(&window, now))
        };
        Ok(gpus.iter().map(free).collect())
    }

    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
        Ok(locked(&self.log).since(cursor, limit))
    }
}

/// A panic while a lock was held leaves nothing half done: decisions are written after they are made.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
