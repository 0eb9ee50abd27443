//! Several GPUs at once, all or none: what is asked, and the port that decides it.
//!
//! It knows no models and no regions: who asks for "any GPU of this model, the cheapest first" lists the candidates in that
//! order, from a view that may be old, and the store takes the first that are free.

use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::request::{Digest, RequestHash};
use crate::{
    BookingId, BookingOutcome, BookingStoreError, Fence, GpuId, IdempotencyKey, Interval, Quote, UserId,
};

/// The most GPUs or bookings one request may name. Each is locked until the request is decided.
pub const LARGEST_GROUP: usize = 1_000;

/// Decides about several GPUs in one step. What [`BookingStore`](crate::BookingStore) says of keys holds here too.
///
/// ```
/// use marketplace::{BookingGroups, BookingStoreError, HoldSeveralRequest};
/// async fn ids(store: &dyn BookingGroups, request: HoldSeveralRequest) -> Result<usize, BookingStoreError> {
///     Ok(store.hold_several(request).await?.granted().len())
/// }
/// ```
#[async_trait]
pub trait BookingGroups: Send + Sync {
    /// Takes as many of the candidates as are wanted, the first that are free, each as a booking of its own.
    ///
    /// `WonSeveral` when there were enough; `Conflict` when too many were taken, with the earliest booking in the way on
    /// the first taken candidate, and the earliest start at which enough are free; `Gone` when too few candidates have a
    /// quote of the newest base price.
    ///
    /// # Errors
    /// `Rejected` when the request wants more than it names, names a GPU twice or more than [`LARGEST_GROUP`], its
    /// interval is already over, or a cost does not fit.
    async fn hold_several(&self, request: HoldSeveralRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// Makes held bookings bought ones: all of them, or none when one of them can not be.
    ///
    /// `WonSeveral` or `Gone`.
    ///
    /// # Errors
    /// `Rejected` when the request names no booking, one twice, or more than [`LARGEST_GROUP`].
    async fn confirm_several(
        &self,
        request: ConfirmSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError>;
}

/// Asks for several GPUs for an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSeveralRequest {
    /// For whom.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// When.
    pub interval: Interval,
    /// How many. As many as there are candidates asks for exactly those.
    pub count: NonZeroUsize,
    /// Which, the most wanted first.
    pub candidates: Vec<Candidate>,
    /// How long the holds wait to be confirmed; they lapse at the interval's end at the latest.
    pub ttl: Duration,
}

/// A GPU that would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The GPU.
    pub gpu: GpuId,
    /// The price the user was shown for it.
    pub quote: Quote,
}

/// Asks to buy what was held, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmSeveralRequest {
    /// Whose bookings they are.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The bookings and their fences, as the hold was answered.
    pub bookings: Vec<(BookingId, Fence)>,
}

/// One booking of several that were granted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The GPU.
    pub gpu: GpuId,
    /// The booking.
    pub id: BookingId,
    /// Its fence.
    pub fence: Fence,
}

impl HoldSeveralRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        let digest = Digest::of("hold several")
            .interval(&self.interval)
            .number(self.count.get() as u64)
            .number(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        self.candidates
            .iter()
            .fold(digest, |digest, candidate| {
                digest.text(candidate.gpu.as_str()).quote(&candidate.quote)
            })
            .hash()
    }
}

impl ConfirmSeveralRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        self.bookings
            .iter()
            .fold(Digest::of("confirm several"), |digest, (id, fence)| {
                digest.text(id.as_str()).number(fence.0)
            })
            .hash()
    }
}
