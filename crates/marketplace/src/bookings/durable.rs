//! A guard in front of a store that may lose what it acknowledged: it holds and gives back, and sells nothing.
//!
//! It makes no store more durable. Whoever accepts the loss leaves it out.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

use super::{
    BookingDecider, BookingLedger, BookingOutcome, BookingRequest, Changes, Cursor, Guarantee, Occupancy,
};
use crate::{
    Booking, BookingId, BookingLedgerError, BookingStoreError, ErrorKind, GpuId, Interval, PriceVersion,
    StoreTime,
};

/// Passes on all that is asked of a store, but refuses to confirm where the store's guarantee ends with a failover: a hold
/// that is lost is an annoyance, a booking that was paid for and is lost is a debt.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::bookings::{DurableOnly, LossyStore};
/// use marketplace::{BookingId, BookingStore, ConfirmRequest, ErrorKind, Fence, IdempotencyKey, ManualClock,
///     MemoryBookings, StoreTime, UserId};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
/// let store = DurableOnly::over(MemoryBookings::new(clock));
/// let confirm = ConfirmRequest {
///     user: UserId::new("ada")?,
///     key: IdempotencyKey::new("order-7/confirm")?,
///     id: BookingId::new("b-1")?,
///     fence: Fence(1),
/// };
/// let refused = store.confirm(confirm).await.expect_err("it may be lost");
/// assert_eq!(refused.kind(), ErrorKind::Rejected);
/// let cause = std::error::Error::source(&refused).expect("it says why");
/// assert!(cause.is::<LossyStore>());
/// # Ok(()) }
/// ```
pub struct DurableOnly<S>(S);

/// Why a store may not confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossyStore;

impl<S> DurableOnly<S> {
    /// Guards `store`. One that is durable is not hindered.
    pub fn over(store: S) -> Self {
        Self(store)
    }
}

#[async_trait]
impl<S: BookingDecider> BookingDecider for DurableOnly<S> {
    async fn decide(&self, request: BookingRequest) -> Result<BookingOutcome, BookingStoreError> {
        let sells = matches!(
            request,
            BookingRequest::Confirm(_) | BookingRequest::ConfirmSeveral(_)
        );
        if sells && self.0.promises() == Guarantee::LinearizableUntilFailover {
            return Err(
                BookingStoreError::new(ErrorKind::Rejected, "nothing is confirmed here")
                    .caused_by(LossyStore),
            );
        }
        self.0.decide(request).await
    }

    async fn expire(&self, limit: usize) -> Result<usize, BookingStoreError> {
        self.0.expire(limit).await
    }

    async fn note_price(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        self.0.note_price(gpu, version).await
    }

    fn promises(&self) -> Guarantee {
        self.0.promises()
    }
}

#[async_trait]
impl<S: BookingLedger> BookingLedger for DurableOnly<S> {
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError> {
        self.0.booking(id).await
    }

    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError> {
        self.0.occupied(gpus, at).await
    }

    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError> {
        self.0.free(gpus, window).await
    }

    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError> {
        self.0.changes_since(cursor, limit).await
    }
}

impl fmt::Display for LossyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this store may lose what it has confirmed when its server ends or fails over: use a durable store, or allow \
             lossy bookings in the settings",
        )
    }
}

impl Error for LossyStore {}
