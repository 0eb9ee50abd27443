//! The network between bookers and their store, which loses answers.
//!
//! It loses no request, and nothing of what the log tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use marketplace::{
    BookingGroups, BookingOutcome, BookingStore, BookingStoreError, BookingTerms, CancelRequest,
    CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, ExtendRequest, GpuId, HoldRequest,
    HoldSeveralRequest, PriceVersion, SystemOfRecord,
};

/// Loses one answer in twenty on the way back.
pub(super) struct Lossy<S> {
    store: Arc<S>,
    asked: AtomicU64,
}

impl<S> Lossy<S> {
    pub(super) fn of(store: Arc<S>) -> Self {
        let asked = AtomicU64::new(0);
        Self { store, asked }
    }

    fn carried(
        &self,
        answer: Result<BookingOutcome, BookingStoreError>,
    ) -> Result<BookingOutcome, BookingStoreError> {
        // Every twentieth by count: which booker's that is, the machine draws.
        if self.asked.fetch_add(1, Ordering::Relaxed) % 20 != 19 {
            return answer;
        }
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
