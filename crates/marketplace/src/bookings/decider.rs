//! What is left for a store to do that decides every request in one way: then the three deciding ports follow.
//!
//! It adds nothing to what the ports say.

use async_trait::async_trait;

use super::{
    BookingGroups, BookingOutcome, BookingRequest, BookingStore, BookingTerms, CancelRequest,
    CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, ExtendRequest, Guarantee, HoldRequest,
    HoldSeveralRequest,
};
use crate::{BookingStoreError, GpuId, PriceVersion};

/// A store with one way to decide whatever is asked. Whoever implements it is a [`BookingStore`], and decides
/// [`BookingGroups`] and [`BookingTerms`] too.
///
/// ```
/// use async_trait::async_trait;
/// use marketplace::bookings::{BookingDecider, BookingRequest};
/// use marketplace::{BookingOutcome, BookingStore, BookingStoreError, GpuId, Guarantee, PriceVersion};
///
/// /// Grants nothing.
/// struct Closed;
///
/// #[async_trait]
/// impl BookingDecider for Closed {
///     async fn decide(&self, _: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
///         Ok(BookingOutcome::Gone)
///     }
///     async fn expire(&self, _: usize) -> Result<usize, BookingStoreError> {
///         Ok(0)
///     }
///     async fn note_price(&self, _: &GpuId, _: PriceVersion) -> Result<(), BookingStoreError> {
///         Ok(())
///     }
///     fn promises(&self) -> Guarantee {
///         Guarantee::DurableLinearizable
///     }
/// }
///
/// let store: &dyn BookingStore = &Closed;
/// assert_eq!(store.guarantee(), Guarantee::DurableLinearizable);
/// ```
#[async_trait]
pub trait BookingDecider: Send + Sync {
    /// Decides the request once under its key, as the port it belongs to says.
    ///
    /// # Errors
    /// As that port says.
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// See [`BookingStore::expire_holds`].
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError>;

    /// See [`BookingStore::reprice`].
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError>;

    /// See [`BookingStore::guarantee`].
    fn promises(&self) -> Guarantee;
}

#[async_trait]
impl<D: BookingDecider> BookingStore for D {
    async fn hold(&self, request: HoldRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }

    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError> {
        self.expire(limit).await
    }

    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.note_price(gpu, version).await
    }

    fn guarantee(&self) -> Guarantee {
        self.promises()
    }
}

#[async_trait]
impl<D: BookingDecider> BookingGroups for D {
    async fn hold_several(&self, request: HoldSeveralRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }

    async fn confirm_several(
        &self,
        request: ConfirmSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }
}

#[async_trait]
impl<D: BookingDecider> BookingTerms for D {
    async fn extend(&self, request: ExtendRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }

    async fn complete(&self, request: CompleteRequest) -> Result<BookingOutcome, BookingStoreError> {
        self.decide(request.into()).await
    }
}
