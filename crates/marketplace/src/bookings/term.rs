//! The end of a bought booking, later or earlier: what is asked, and the port that decides it.
//!
//! Giving back what has not begun is not here: that is a cancellation.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::request::{Digest, RequestHash};
use crate::{
    BookingGroups, BookingId, BookingLedger, BookingOutcome, BookingStore, BookingStoreError, Fence,
    IdempotencyKey, StoreTime, UserId,
};

/// Moves the end of a bought booking. What [`BookingStore`] says of keys holds here too.
///
/// ```
/// use marketplace::{BookingOutcome, BookingStoreError, BookingTerms, CompleteRequest};
/// async fn is_over(store: &dyn BookingTerms, request: CompleteRequest) -> Result<bool, BookingStoreError> {
///     Ok(store.complete(request).await?.won().is_some())
/// }
/// ```
#[async_trait]
pub trait BookingTerms: Send + Sync {
    /// Moves the end of a confirmed or active booking to a later instant, at the price and with the fence it has.
    ///
    /// `Won` when the GPU is free from the old end to the new; `Conflict` when it is not, with the earliest start from the
    /// old end on at which the time added is free; `Gone` when the booking is not the user's, not at that fence, not
    /// bought, over, or was quoted before the GPU's base price last changed: what is added would be too cheap, so it has
    /// to be booked anew.
    ///
    /// # Errors
    /// `Rejected` when the new end is not after the present one, or the cost does not fit.
    async fn extend(&self, request: ExtendRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// Ends an active booking now, because its work is done: it costs what was used.
    ///
    /// `Gone` when the booking is not the user's, not at that fence, or does not run.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn complete(&self, request: CompleteRequest) -> Result<BookingOutcome, BookingStoreError>;
}

/// Everything a system of record for bookings does. Whatever implements the four ports is one.
pub trait SystemOfRecord: BookingStore + BookingGroups + BookingTerms + BookingLedger {}

impl<T: BookingStore + BookingGroups + BookingTerms + BookingLedger> SystemOfRecord for T {}

/// Asks to keep a GPU for longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendRequest {
    /// Whose booking it is.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The booking.
    pub id: BookingId,
    /// Its fence.
    pub fence: Fence,
    /// The end it is to have, in milliseconds by the store's clock.
    pub until: StoreTime,
}

/// Says that a booking's work is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteRequest {
    /// Whose booking it is.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The booking.
    pub id: BookingId,
    /// Its fence.
    pub fence: Fence,
}

impl ExtendRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        Digest::of("extend")
            .text(self.id.as_str())
            .number(self.fence.0)
            .number(self.until.as_millis().cast_unsigned())
            .hash()
    }
}

impl CompleteRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        Digest::of("complete")
            .text(self.id.as_str())
            .number(self.fence.0)
            .hash()
    }
}
