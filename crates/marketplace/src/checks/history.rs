//! What was asked of a booking store, when, and what came back.
//!
//! It is a recording: nothing in it was checked yet.

use serde::{Deserialize, Serialize};

use crate::{
    BookingOutcome, CancelRequest, CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, ExtendRequest,
    GpuId, HoldRequest, HoldSeveralRequest, IdempotencyKey, PriceVersion, RequestHash, StoreTime, UserId,
};

/// A moment in the order of a recording; it has no unit.
pub type Tick = u64;

/// All operations of one run, in the order they were begun.
pub type History = Vec<Operation>;

/// One call of a booking store.
///
/// An operation whose answer never came, or was [`Uncertain`](BookingOutcome::Uncertain), stays open: it may have
/// been decided at any time after it began, or never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub call: Call,
    /// When it began.
    pub began: Tick,
    /// The store's time when it began.
    pub earliest: StoreTime,
    /// What came back; `None` while it is open.
    pub answer: Option<Answer>,
}

/// What came back, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The outcome; never `Uncertain`.
    pub outcome: BookingOutcome,
    /// When it came.
    pub ended: Tick,
    /// The store's time when it came.
    pub latest: StoreTime,
}

/// What was asked of a booking store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// [`hold`](crate::BookingStore::hold).
    Hold(HoldRequest),
    /// [`confirm`](crate::BookingStore::confirm).
    Confirm(ConfirmRequest),
    /// [`cancel`](crate::BookingStore::cancel).
    Cancel(CancelRequest),
    /// [`hold_several`](crate::BookingGroups::hold_several).
    HoldSeveral(HoldSeveralRequest),
    /// [`confirm_several`](crate::BookingGroups::confirm_several).
    ConfirmSeveral(ConfirmSeveralRequest),
    /// [`extend`](crate::BookingTerms::extend).
    Extend(ExtendRequest),
    /// [`complete`](crate::BookingTerms::complete).
    Complete(CompleteRequest),
    /// [`reprice`](crate::BookingStore::reprice); its answer counts as `Gone`, which is never looked at.
    Reprice(GpuId, PriceVersion),
}

impl Call {
    /// The key it was made under, and the hash of what it asked; `None` for a call without a key.
    #[must_use]
    pub fn identity(&self) -> Option<(UserId, IdempotencyKey, RequestHash)> {
        match self {
            Self::Hold(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::Confirm(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::Cancel(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::HoldSeveral(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::ConfirmSeveral(request) => {
                Some((request.user.clone(), request.key.clone(), request.hash()))
            }
            Self::Extend(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::Complete(request) => Some((request.user.clone(), request.key.clone(), request.hash())),
            Self::Reprice(..) => None,
        }
    }
}

impl Operation {
    /// The outcome, if one came.
    #[must_use]
    pub fn outcome(&self) -> Option<&BookingOutcome> {
        self.answer.as_ref().map(|answer| &answer.outcome)
    }
}
