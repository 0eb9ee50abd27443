//! Bookers that ask a store for everything it can decide, at once and at random, over a network that loses answers; and the
//! judgement over all of it.
//!
//! What is drawn comes from a seed; the order in which the requests meet is the machine's.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use marketplace::checks::{
    Recorder, cursors_are_dense, fences_increase, linearizable, no_overlap, one_outcome_per_key,
};
use marketplace::{
    BookingGroups, BookingId, BookingOutcome, BookingStore, BookingStoreError, BookingTerms, CancelRequest,
    Candidate, Change, CompleteRequest, Completeness, ConfirmRequest, ConfirmSeveralRequest, Currency,
    Cursor, ErrorKind, ExtendRequest, Fence, GpuId, HoldRequest, HoldSeveralRequest, IdempotencyKey,
    Interval, ManualClock, Money, PriceVersion, Quote, StoreClock, StoreTime, SystemOfRecord, UserId,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bookers at once.
    pub bookers: u64,
    /// How many bookings each of them asks for.
    pub bookings: u64,
    /// GPUs there are.
    pub gpus: u64,
}

impl Size {
    /// The 16 bookers and 500 GPUs that the promise is made for; the number of bookings is what one has time for, in
    /// `STRESS_BOOKINGS`, or few enough for every test run.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test program is its own composition root"
    )]
    pub fn asked_for() -> Self {
        let bookings = std::env::var("STRESS_BOOKINGS")
            .ok()
            .and_then(|text| text.parse().ok());
        Self {
            bookers: 16,
            bookings: bookings.unwrap_or(120),
            gpus: 500,
        }
    }
}

/// What became of a run that was judged well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Requests in the recording, repeats included.
    pub requests: usize,
    /// Changes in the log.
    pub changes: usize,
    /// Answers that were lost on the way.
    pub lost: u64,
    /// Requests that failed and were repeated.
    pub failed: u64,
}

/// GPUs that one request may name together; others are not named with them.
const TOGETHER: u64 = 4;
/// GPUs that one request in ten goes to, so that bookers meet.
const HOT: u64 = 8;
/// The unit of all intervals, in milliseconds.
const SLOT: i64 = 100;

/// Runs `bookers` against `store`, whose time is told by `clock`, and judges: linearizable, one outcome for each key, no
/// overlap, increasing fences, dense cursors, and no booking lost that was answered. `at_half` runs once half of the
/// bookings were asked for.
///
/// # Panics
/// When a promise was broken; the message says which.
pub async fn stress<S: SystemOfRecord + 'static>(
    store: Arc<S>,
    clock: Arc<ManualClock>,
    size: Size,
    at_half: impl Future<Output = ()> + Send + 'static,
) -> Judged {
    let lossy = Arc::new(Lossy {
        store: store.clone(),
        lost: AtomicU64::new(0),
        asked: AtomicU64::new(0),
    });
    let recorder = Recorder::new(lossy.clone(), clock.clone()).with(lossy.clone(), lossy.clone());
    let booking = Arc::new(Bookers {
        recorder,
        clock,
        size,
        asked: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        half: tokio::sync::Notify::new(),
    });
    let mut running = JoinSet::new();
    for booker in 0..size.bookers {
        let booking = booking.clone();
        running.spawn(async move { booking.run(booker).await });
    }
    let halfway = booking.clone();
    let disturbing = tokio::spawn(async move {
        halfway.half.notified().await;
        at_half.await;
    });
    while let Some(ended) = running.join_next().await {
        ended.expect("no booker fails");
    }
    disturbing.await.expect("the disturbance ends");

    let history = booking.recorder.history();
    let changes = whole_log(&*store).await;
    for check in [
        linearizable(&history),
        one_outcome_per_key(&history),
        no_overlap(&changes),
        fences_increase(&changes),
        cursors_are_dense(&changes),
    ] {
        check.unwrap_or_else(|violation| panic!("{violation}"));
    }
    let granted: std::collections::HashSet<_> = changes.iter().map(|change| &change.booking.id).collect();
    for operation in &history {
        if let Some((id, _)) = operation.outcome().and_then(BookingOutcome::won) {
            assert!(granted.contains(&id), "{id} was won and is not in the log");
        }
    }
    Judged {
        requests: history.len(),
        changes: changes.len(),
        lost: lossy.lost.load(Ordering::Relaxed),
        failed: booking.failed.load(Ordering::Relaxed),
    }
}

async fn whole_log(store: &dyn SystemOfRecord) -> Vec<Change> {
    let (mut log, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let changes = store
            .changes_since(cursor, 10_000)
            .await
            .expect("the ledger answers");
        assert_eq!(
            changes.completeness,
            Completeness::Complete,
            "the store keeps the log of a whole run"
        );
        if changes.rows.is_empty() {
            return log;
        }
        cursor = changes.next;
        log.extend(changes.rows);
    }
}

struct Bookers {
    recorder: Recorder,
    clock: Arc<ManualClock>,
    size: Size,
    asked: AtomicU64,
    failed: AtomicU64,
    half: tokio::sync::Notify,
}

impl Bookers {
    async fn run(&self, booker: u64) {
        let mut rng = SmallRng::seed_from_u64(booker);
        let user = UserId::new(format!("user-{booker}")).expect("a name");
        let mut own: Vec<(BookingId, Fence, StoreTime)> = Vec::new();
        for number in 0..self.size.bookings {
            if self.asked.fetch_add(1, Ordering::Relaxed) == self.size.bookers * self.size.bookings / 2 {
                self.half.notify_one();
            }
            self.clock.advance(Duration::from_millis(rng.random_range(0..4)));
            let name = |step: &str| IdempotencyKey::new(format!("{number}/{step}")).expect("a name");
            let granted = self.hold(&mut rng, &user, name("hold")).await;
            if !granted.is_empty() && rng.random_ratio(4, 5) {
                self.confirm(&user, name("confirm"), &granted).await;
            }
            own.extend(granted);
            if own.is_empty() || !rng.random_ratio(2, 3) {
                continue;
            }
            let (id, fence, end) = own.swap_remove(rng.random_range(0..own.len()));
            match rng.random_range(0..6) {
                0 => {
                    let request = CompleteRequest {
                        user: user.clone(),
                        key: name("complete"),
                        id,
                        fence,
                    };
                    self.resolved(|| self.recorder.complete(request.clone())).await;
                }
                1 => {
                    let until = end.plus(Duration::from_millis(SLOT.unsigned_abs()));
                    let request = ExtendRequest {
                        user: user.clone(),
                        key: name("extend"),
                        id: id.clone(),
                        fence,
                        until,
                    };
                    let outcome = self.resolved(|| self.recorder.extend(request.clone())).await;
                    own.push((id, fence, if outcome.won().is_some() { until } else { end }));
                }
                _ => {
                    let request = CancelRequest {
                        user: user.clone(),
                        key: name("cancel"),
                        id,
                        fence,
                    };
                    self.resolved(|| self.recorder.cancel(request.clone())).await;
                }
            }
            if rng.random_ratio(1, 50) {
                // When the store is away, whoever comes next expires them.
                let _ = self.recorder.expire_holds(100).await;
            }
        }
    }

    async fn hold(
        &self,
        rng: &mut SmallRng,
        user: &UserId,
        key: IdempotencyKey,
    ) -> Vec<(BookingId, Fence, StoreTime)> {
        let number = if rng.random_ratio(1, 10) {
            rng.random_range(0..HOT)
        } else {
            rng.random_range(0..self.size.gpus)
        };
        let gpu = |number: u64| GpuId::new(format!("gpu-{number}")).expect("a name");
        let now = self.clock.now().as_millis() / SLOT;
        let start = (now + rng.random_range(0..8)) * SLOT;
        let end = start + SLOT * rng.random_range(1..4);
        let at = StoreTime::from_millis;
        let interval = Interval::new(at(start), at(end)).expect("not empty");
        let quote = Quote {
            price_per_hour: Money::from_micros(1_000_000, Currency::USD),
            version: PriceVersion::FIRST,
        };
        let (user, ttl) = (user.clone(), Duration::from_millis(rng.random_range(20..400)));
        if number >= HOT && rng.random_ratio(1, 10) {
            let first = number / TOGETHER * TOGETHER;
            let candidates = (first..first + TOGETHER)
                .map(|number| Candidate {
                    gpu: gpu(number),
                    quote,
                })
                .collect();
            let count = rng.random_range(1..=3).try_into().expect("not zero");
            let request = HoldSeveralRequest {
                user,
                key,
                interval,
                count,
                candidates,
                ttl,
            };
            let outcome = self
                .resolved(|| self.recorder.hold_several(request.clone()))
                .await;
            return outcome
                .granted()
                .iter()
                .map(|one| (one.id.clone(), one.fence, interval.end()))
                .collect();
        }
        let request = HoldRequest {
            user,
            key,
            gpu: gpu(number),
            interval,
            quote,
            ttl,
        };
        let outcome = self.resolved(|| self.recorder.hold(request.clone())).await;
        outcome
            .won()
            .map(|(id, fence)| (id, fence, interval.end()))
            .into_iter()
            .collect()
    }

    async fn confirm(&self, user: &UserId, key: IdempotencyKey, granted: &[(BookingId, Fence, StoreTime)]) {
        if let [(id, fence, _)] = granted {
            let request = ConfirmRequest {
                user: user.clone(),
                key,
                id: id.clone(),
                fence: *fence,
            };
            self.resolved(|| self.recorder.confirm(request.clone())).await;
        } else {
            let bookings = granted
                .iter()
                .map(|(id, fence, _)| (id.clone(), *fence))
                .collect();
            let request = ConfirmSeveralRequest {
                user: user.clone(),
                key,
                bookings,
            };
            self.resolved(|| self.recorder.confirm_several(request.clone()))
                .await;
        }
    }

    /// Repeats a request under its key until it is known how it was decided.
    async fn resolved<F>(&self, ask: impl Fn() -> F) -> BookingOutcome
    where
        F: Future<Output = Result<BookingOutcome, BookingStoreError>>,
    {
        loop {
            match ask().await {
                Ok(BookingOutcome::Uncertain) => {}
                Ok(outcome) => return outcome,
                // Refused as such: extending what was extended to the same end already, or an interval that time has
                // overtaken while the store was away. It is decided as little as what is gone.
                Err(error) if error.kind() == ErrorKind::Rejected => return BookingOutcome::Gone,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// Loses one answer in twenty on the way back.
struct Lossy<S> {
    store: Arc<S>,
    asked: AtomicU64,
    lost: AtomicU64,
}

impl<S> Lossy<S> {
    fn carried(
        &self,
        answer: Result<BookingOutcome, BookingStoreError>,
    ) -> Result<BookingOutcome, BookingStoreError> {
        // Every twentieth by count: which booker's that is, the machine draws.
        if self.asked.fetch_add(1, Ordering::Relaxed) % 20 != 19 {
            return answer;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        Ok(BookingOutcome::Uncertain)
    }
}

#[async_trait::async_trait]
impl<S: SystemOfRecord> BookingStore for Lossy<S> {
    async fn hold(&self, request: HoldRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.hold(request).await)
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.confirm(request).await)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.cancel(request).await)
    }

    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError> {
        self.store.expire_holds(limit).await
    }

    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.store.reprice(gpu, version).await
    }

    fn guarantee(&self) -> marketplace::Guarantee {
        self.store.guarantee()
    }
}

#[async_trait::async_trait]
impl<S: SystemOfRecord> BookingGroups for Lossy<S> {
    async fn hold_several(&self, request: HoldSeveralRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.hold_several(request).await)
    }

    async fn confirm_several(
        &self,
        request: ConfirmSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.confirm_several(request).await)
    }
}

#[async_trait::async_trait]
impl<S: SystemOfRecord> BookingTerms for Lossy<S> {
    async fn extend(&self, request: ExtendRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.extend(request).await)
    }

    async fn complete(&self, request: CompleteRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.carried(self.store.complete(request).await)
    }
}
