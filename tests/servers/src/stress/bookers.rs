//! The bookers: what each of them asks for, at random, one request after the other.
//!
//! They judge no answer; they go on with what they were granted.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use marketplace::checks::Recorder;
use marketplace::{
    BookingGroups, BookingId, BookingOutcome, BookingStore, BookingStoreError, BookingTerms, CancelRequest,
    Candidate, CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, Currency, ErrorKind, ExtendRequest,
    Fence, GpuId, HoldRequest, HoldSeveralRequest, IdempotencyKey, Interval, ManualClock, Money,
    PriceVersion, Quote, StoreClock, StoreTime, UserId,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Size;

pub(super) struct Bookers {
    pub(super) recorder: Recorder,
    clock: Arc<ManualClock>,
    size: Size,
    asked: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) half: Notify,
}

impl Bookers {
    pub(super) fn new(recorder: Recorder, clock: Arc<ManualClock>, size: Size) -> Self {
        Self {
            recorder,
            clock,
            size,
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            half: Notify::new(),
        }
    }

    /// Lets each booker ask from its number in `from` on, which those before it have asked for already.
    pub(super) async fn run(self: &Arc<Self>, from: &[u64]) {
        let mut running = JoinSet::new();
        for (booker, from) in (0..).zip(from.iter().copied()) {
            let bookers = self.clone();
            running.spawn(async move { bookers.book(booker, from).await });
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("no booker fails");
        }
    }

    async fn book(&self, booker: u64, from: u64) {
        let mut rng = SmallRng::seed_from_u64(booker << 32 | from);
        let user = user(booker);
        let mut own: Vec<(BookingId, Fence, StoreTime)> = Vec::new();
        for number in from..self.size.bookings {
            if self.asked.fetch_add(1, Ordering::Relaxed) == self.size.bookers * self.size.bookings / 2 {
                self.half.notify_one();
            }
            self.clock.advance(Duration::from_millis(rng.random_range(0..4)));
            let name = |step: &str| key(number, step);
            let granted = self.hold(&mut rng, &user, name(FIRST)).await;
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
                    resolved(&self.failed, || self.recorder.complete(request.clone())).await;
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
                    let outcome = resolved(&self.failed, || self.recorder.extend(request.clone())).await;
                    own.push((id, fence, if outcome.won().is_some() { until } else { end }));
                }
                _ => {
                    let request = CancelRequest {
                        user: user.clone(),
                        key: name("cancel"),
                        id,
                        fence,
                    };
                    resolved(&self.failed, || self.recorder.cancel(request.clone())).await;
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
            let outcome = resolved(&self.failed, || self.recorder.hold_several(request.clone())).await;
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
        let outcome = resolved(&self.failed, || self.recorder.hold(request.clone())).await;
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
            resolved(&self.failed, || self.recorder.confirm(request.clone())).await;
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
            resolved(&self.failed, || self.recorder.confirm_several(request.clone())).await;
        }
    }
}

/// Repeats a request under its key until it is known how it was decided; counts failures in `failed`.
pub(super) async fn resolved<F>(failed: &AtomicU64, ask: impl Fn() -> F) -> BookingOutcome
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
                failed.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The first request for each of a booker's bookings.
const FIRST: &str = "hold";

fn user(booker: u64) -> UserId {
    UserId::new(format!("user-{booker}")).expect("a name")
}

fn key(number: u64, step: &str) -> IdempotencyKey {
    IdempotencyKey::new(format!("{number}/{step}")).expect("a name")
}

/// Which booker asks for which of its bookings, if this is the first request for it.
pub(super) fn asks_for(user: &UserId, key: &IdempotencyKey) -> Option<(usize, u64)> {
    let (number, step) = key.as_str().split_once('/')?;
    let booker = user.as_str().strip_prefix("user-")?;
    (step == FIRST).then_some((booker.parse().ok()?, number.parse().ok()?))
}

/// GPUs that one request may name together; others are not named with them.
const TOGETHER: u64 = 4;
/// GPUs that one request in ten goes to, so that bookers meet.
const HOT: u64 = 8;
/// The unit of all intervals, in milliseconds.
const SLOT: i64 = 100;
