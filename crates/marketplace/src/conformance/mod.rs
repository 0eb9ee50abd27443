//! What every booking store must do, as one suite that runs on any of them.
//!
//! It tests the ports and nothing else: not speed, not what survives a crash.

mod groups;
mod keys;
mod ledger;
mod lifecycle;
mod overlap;
mod prices;
mod races;
mod requests;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BookingGroups, BookingId, BookingLedger, BookingOutcome, BookingStore, BookingTerms, CancelRequest,
    Candidate, Change, ConfirmRequest, Cursor, Fence, GpuId, HoldRequest, HoldSeveralRequest, IdempotencyKey,
    ManualClock, StoreTime, SystemOfRecord, UserId,
};

pub use requests::{asked, long_hold};

/// Makes the stores the suite runs on.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A store without bookings whose time is told by `clock` alone.
    async fn open(&self, clock: Arc<ManualClock>) -> Ports;
}

/// One store, by each of its ports.
#[derive(Clone)]
pub struct Ports {
    /// Decides about single bookings.
    pub bookings: Arc<dyn BookingStore>,
    /// Decides about several at once.
    pub groups: Arc<dyn BookingGroups>,
    /// Moves the ends of bookings.
    pub terms: Arc<dyn BookingTerms>,
    /// Reads.
    pub ledger: Arc<dyn BookingLedger>,
}

impl Ports {
    /// The ports of a store that implements all of them.
    #[must_use]
    pub fn of<S: SystemOfRecord + 'static>(store: Arc<S>) -> Self {
        Self {
            bookings: store.clone(),
            groups: store.clone(),
            terms: store.clone(),
            ledger: store,
        }
    }
}

/// Runs the whole suite; every scenario gets a store of its own. Needs a tokio runtime, and to race for real, one
/// with several threads.
///
/// ```
/// # use std::sync::Arc;
/// use async_trait::async_trait;
/// use marketplace::conformance::{self, Ports, Subject};
/// use marketplace::{ManualClock, MemoryBookings};
///
/// struct InMemory;
///
/// #[async_trait]
/// impl Subject for InMemory {
///     async fn open(&self, clock: Arc<ManualClock>) -> Ports {
///         Ports::of(Arc::new(MemoryBookings::new(clock)))
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() {
/// conformance::booking_store(&InMemory).await;
/// # }
/// ```
///
/// # Panics
/// When the store breaks a promise; the message says which.
pub async fn booking_store(subject: &dyn Subject) {
    overlap::holds_that_overlap_conflict_and_touching_ones_do_not(Bench::of(subject).await).await;
    overlap::a_conflict_names_the_earliest_in_the_way_and_the_next_free_start(Bench::of(subject).await).await;
    overlap::a_lapsed_hold_stands_in_nobodys_way(Bench::of(subject).await).await;
    overlap::other_gpus_are_not_concerned(Bench::of(subject).await).await;
    overlap::what_cannot_be_booked_is_rejected(Bench::of(subject).await).await;
    lifecycle::a_booking_passes_from_held_to_done(Bench::of(subject).await).await;
    lifecycle::a_cancelled_booking_frees_its_interval(Bench::of(subject).await).await;
    lifecycle::cancelling_an_active_booking_releases_the_rest(Bench::of(subject).await).await;
    lifecycle::a_hold_lapses_at_its_deadline_and_not_before(Bench::of(subject).await).await;
    lifecycle::only_its_user_at_its_fence_moves_a_booking(Bench::of(subject).await).await;
    lifecycle::a_finished_booking_cannot_be_moved(Bench::of(subject).await).await;
    keys::a_repeated_request_is_replayed_whatever_was_decided(Bench::of(subject).await).await;
    keys::another_request_under_a_used_key_is_refused(Bench::of(subject).await).await;
    keys::keys_of_different_users_are_different(Bench::of(subject).await).await;
    keys::a_key_is_remembered_for_24_hours(Bench::of(subject).await).await;
    prices::a_quote_older_than_the_base_price_is_gone(Bench::of(subject).await).await;
    prices::an_older_price_version_changes_nothing(Bench::of(subject).await).await;
    ledger::every_decision_is_logged_once_and_in_order(Bench::of(subject).await).await;
    ledger::the_log_is_read_in_pieces_without_loss(Bench::of(subject).await).await;
    ledger::occupancy_says_who_has_a_gpu_and_until_when(Bench::of(subject).await).await;
    groups::several_gpus_are_held_all_or_none(Bench::of(subject).await).await;
    groups::of_many_candidates_the_first_that_are_free_are_taken(Bench::of(subject).await).await;
    groups::several_holds_are_confirmed_all_or_none(Bench::of(subject).await).await;
    groups::a_group_that_makes_no_sense_is_rejected(Bench::of(subject).await).await;
    terms::a_booking_is_extended_while_its_gpu_is_free(Bench::of(subject).await).await;
    terms::only_a_bought_booking_at_its_price_is_extended(Bench::of(subject).await).await;
    terms::a_completed_booking_costs_what_was_used(Bench::of(subject).await).await;
    terms::free_time_is_what_nothing_takes(Bench::of(subject).await).await;
    races::crowds_that_want_several_gpus_leave_a_consistent_history(Bench::of(subject).await).await;
    races::of_a_hundred_bookers_exactly_one_wins(Bench::of(subject).await).await;
    races::confirm_cancel_and_expiry_have_one_winner(Bench::of(subject).await).await;
    races::one_key_from_many_threads_is_decided_once(Bench::of(subject).await).await;
    races::a_crowd_on_few_gpus_leaves_a_consistent_history(Bench::of(subject).await).await;
}

/// A fresh store, its clock, and short words for what the scenarios do with it.
struct Bench {
    clock: Arc<ManualClock>,
    store: Arc<dyn BookingStore>,
    groups: Arc<dyn BookingGroups>,
    terms: Arc<dyn BookingTerms>,
    ledger: Arc<dyn BookingLedger>,
}

const TTL: Duration = Duration::from_millis(1_000);

impl Bench {
    async fn of(subject: &dyn Subject) -> Self {
        let clock = Arc::new(ManualClock::at(at(0)));
        let Ports {
            bookings,
            groups,
            terms,
            ledger,
        } = subject.open(clock.clone()).await;
        Self {
            clock,
            store: bookings,
            groups,
            terms,
            ledger,
        }
    }

    async fn hold(&self, user: &str, start: i64, end: i64) -> BookingOutcome {
        self.ask(hold(user, "gpu-1", start, end)).await
    }

    async fn ask(&self, request: HoldRequest) -> BookingOutcome {
        asked(&*self.store, request).await
    }

    /// Holds an interval that is free.
    async fn held(&self, user: &str, start: i64, end: i64) -> (BookingId, Fence) {
        self.hold(user, start, end)
            .await
            .won()
            .expect("the interval is free")
    }

    /// Holds and confirms an interval that is free.
    async fn booked(&self, user: &str, start: i64, end: i64) -> (BookingId, Fence) {
        let (id, fence) = self.held(user, start, end).await;
        self.confirm(user, &id, fence)
            .await
            .won()
            .expect("the hold stands");
        (id, fence)
    }

    async fn confirm(&self, user: &str, id: &BookingId, fence: Fence) -> BookingOutcome {
        self.store
            .confirm(confirm(user, id, fence))
            .await
            .expect("the store answers")
    }

    async fn cancel(&self, user: &str, id: &BookingId, fence: Fence) -> BookingOutcome {
        self.store
            .cancel(cancel(user, id, fence))
            .await
            .expect("the store answers")
    }

    async fn changes(&self) -> Vec<Change> {
        let changes = self.ledger.changes_since(Cursor::START, 1_000_000).await;
        changes.expect("the ledger answers").rows
    }
}

fn at(millis: i64) -> StoreTime {
    StoreTime::from_millis(millis)
}

/// Asks for a hold that waits for [`TTL`].
fn hold(user: &str, gpu: &str, start: i64, end: i64) -> HoldRequest {
    HoldRequest {
        ttl: TTL,
        ..long_hold(user, gpu, start, end)
    }
}

/// Asks for `count` of `gpus`, under the interval's own key.
fn several(user: &str, gpus: &[&str], count: usize, start: i64, end: i64) -> HoldSeveralRequest {
    let single = hold(user, "several", start, end);
    let candidate = |gpu: &&str| Candidate {
        gpu: GpuId::new(gpu).expect("a name"),
        quote: single.quote,
    };
    HoldSeveralRequest {
        user: single.user.clone(),
        key: single.key.clone(),
        interval: single.interval,
        count: count.try_into().expect("one at least"),
        candidates: gpus.iter().map(candidate).collect(),
        ttl: TTL,
    }
}

fn confirm(user: &str, id: &BookingId, fence: Fence) -> ConfirmRequest {
    let (user, key) = (
        UserId::new(user).expect("a name"),
        key(&format!("confirm/{id}/{fence}")),
    );
    ConfirmRequest {
        user,
        key,
        id: id.clone(),
        fence,
    }
}

fn cancel(user: &str, id: &BookingId, fence: Fence) -> CancelRequest {
    let (user, key) = (
        UserId::new(user).expect("a name"),
        key(&format!("cancel/{id}/{fence}")),
    );
    CancelRequest {
        user,
        key,
        id: id.clone(),
        fence,
    }
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("a name")
}

#[cfg(test)]
mod tests;
