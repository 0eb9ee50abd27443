//! The suite against stores that break one promise each: it must fail on every one.
//!
//! That it passes on a store that keeps them is that store's test.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Barrier, Mutex};

use super::*;
use crate::{
    BookingStoreError, CompleteRequest, ConfirmSeveralRequest, ExtendRequest, Guarantee, MemoryBookings,
    PriceVersion,
};

#[derive(Clone, Copy, Debug)]
enum Mutation {
    /// Keeps every promise.
    Nothing,
    /// Forgets keys.
    EveryRequestIsNew,
    /// Grants what is taken.
    ConflictsAreGranted,
    /// Confirms what was cancelled or has lapsed.
    GoneIsConfirmed,
    /// Checks and acts in two steps, as if without a lock: two that check at once both act.
    ChecksBeforeItActs,
    /// Never expires anything.
    HoldsAreKept,
    /// Does not look at price versions.
    PricesAreIgnored,
    /// Holds what is free of a group when not all of it is.
    GroupsAreHalved,
    /// Confirms a group one by one, up to the first that is gone.
    GroupsAreConfirmedOneByOne,
    /// Extends as far as was asked, whatever is in the way.
    ExtendsOverOthers,
    /// Completes what has not begun.
    CompletesTooEarly,
}

struct Mutant {
    store: Arc<MemoryBookings>,
    mutation: Mutation,
    requests: AtomicU64,
    granted: Mutex<Vec<HoldRequest>>,
    both_checked: Barrier,
}

impl Mutant {
    fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    fn forged(&self) -> BookingOutcome {
        let number = self.request() + 1_000;
        BookingOutcome::Won {
            id: BookingId::new(format!("forged-{number}")).unwrap(),
            fence: Fence(number),
        }
    }

    async fn overlaps(&self, request: &HoldRequest) -> bool {
        let granted = self.granted.lock().await;
        granted
            .iter()
            .any(|other| other.gpu == request.gpu && other.interval.overlaps(&request.interval))
    }
}

#[async_trait]
impl BookingStore for Mutant {
    async fn hold(&self, mut request: HoldRequest) -> Result<BookingOutcome, BookingStoreError> {
        match self.mutation {
            Mutation::EveryRequestIsNew => request.key = key(&format!("{}/{}", request.key, self.request())),
            Mutation::ChecksBeforeItActs if request.user.as_str().starts_with("user-") => {
                if self.overlaps(&request).await {
                    return self.store.hold(request).await;
                }
                if self.request() < 2 {
                    self.both_checked.wait().await;
                }
                self.granted.lock().await.push(request.clone());
                let outcome = self.store.hold(request).await?;
                return Ok(outcome.won().map_or_else(|| self.forged(), |_| outcome.clone()));
            }
            _ => {}
        }
        let outcome = self.store.hold(request).await?;
        let forged = matches!(
            (self.mutation, &outcome),
            (Mutation::ConflictsAreGranted, BookingOutcome::Conflict { .. })
                | (Mutation::PricesAreIgnored, BookingOutcome::Gone)
        );
        Ok(if forged { self.forged() } else { outcome })
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError> {
        let (id, fence) = (request.id.clone(), request.fence);
        let outcome = self.store.confirm(request).await?;
        let forged = matches!(
            (self.mutation, &outcome),
            (Mutation::GoneIsConfirmed, BookingOutcome::Gone)
        );
        Ok(if forged {
            BookingOutcome::Won { id, fence }
        } else {
            outcome
        })
    }

    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.store.cancel(request).await
    }

    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError> {
        match self.mutation {
            Mutation::HoldsAreKept => Ok(0),
            _ => self.store.expire_holds(limit).await,
        }
    }

    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.store.reprice(gpu, version).await
    }

    fn guarantee(&self) -> Guarantee {
        self.store.guarantee()
    }
}

#[async_trait]
impl BookingGroups for Mutant {
    async fn hold_several(
        &self,
        mut request: HoldSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let outcome = self.store.hold_several(request.clone()).await?;
        let fewer = std::num::NonZeroUsize::new(request.count.get() - 1);
        match (self.mutation, &outcome, fewer) {
            (Mutation::GroupsAreHalved, BookingOutcome::Conflict { .. }, Some(fewer)) => {
                request.count = fewer;
                request.key = key(&format!("{}/{}", request.key, self.request()));
                self.store.hold_several(request).await
            }
            _ => Ok(outcome),
        }
    }

    async fn confirm_several(
        &self,
        request: ConfirmSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let outcome = self.store.confirm_several(request.clone()).await?;
        if matches!(
            (self.mutation, &outcome),
            (Mutation::GroupsAreConfirmedOneByOne, BookingOutcome::Gone)
        ) {
            for (id, fence) in request.bookings {
                let (user, key) = (request.user.clone(), key(&format!("{}/{id}", request.key)));
                self.store
                    .confirm(ConfirmRequest { user, key, id, fence })
                    .await?;
            }
        }
        Ok(outcome)
    }
}

#[async_trait]
impl BookingTerms for Mutant {
    async fn extend(&self, request: ExtendRequest) -> Result<BookingOutcome, BookingStoreError> {
        let (id, fence) = (request.id.clone(), request.fence);
        let outcome = self.store.extend(request).await?;
        let forged = matches!(
            (self.mutation, &outcome),
            (Mutation::ExtendsOverOthers, BookingOutcome::Conflict { .. })
        );
        Ok(if forged {
            BookingOutcome::Won { id, fence }
        } else {
            outcome
        })
    }

    async fn complete(&self, request: CompleteRequest) -> Result<BookingOutcome, BookingStoreError> {
        let (id, fence) = (request.id.clone(), request.fence);
        let outcome = self.store.complete(request).await?;
        let forged = matches!(
            (self.mutation, &outcome),
            (Mutation::CompletesTooEarly, BookingOutcome::Gone)
        );
        Ok(if forged {
            BookingOutcome::Won { id, fence }
        } else {
            outcome
        })
    }
}

#[async_trait]
impl Subject for Mutation {
    async fn open(&self, clock: Arc<ManualClock>) -> Ports {
        let ledger = Arc::new(MemoryBookings::new(clock));
        let store = Mutant {
            store: ledger.clone(),
            mutation: *self,
            requests: AtomicU64::new(0),
            granted: Mutex::default(),
            both_checked: Barrier::new(2),
        };
        let store = Arc::new(store);
        Ports {
            bookings: store.clone(),
            groups: store.clone(),
            terms: store,
            ledger,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_breaks_one_promise_fails_the_suite() {
    for mutation in [
        Mutation::EveryRequestIsNew,
        Mutation::ConflictsAreGranted,
        Mutation::GoneIsConfirmed,
        Mutation::ChecksBeforeItActs,
        Mutation::HoldsAreKept,
        Mutation::PricesAreIgnored,
        Mutation::GroupsAreHalved,
        Mutation::GroupsAreConfirmedOneByOne,
        Mutation::ExtendsOverOthers,
        Mutation::CompletesTooEarly,
    ] {
        let run = tokio::spawn(async move { booking_store(&mutation).await }).await;
        assert!(
            run.is_err_and(|error| error.is_panic()),
            "{mutation:?} was not found"
        );
    }
    booking_store(&Mutation::Nothing).await;
}
