//! Any request about bookings, what it may touch, and its decision over the timelines it touches.
//!
//! It does not remember keys and loads nothing: a store looks the key up, locks and loads what the request's
//! [`Scope`] and [`Reach`] say, decides, and writes the outcome and every transition in one transaction.

use std::collections::BTreeMap;
use std::ops::DerefMut;

use super::several::{self, not_loaded};
use super::{
    CancelRequest, CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, ExtendRequest, HoldRequest,
    HoldSeveralRequest, RequestHash, Timeline, Transition,
};
use crate::{
    Booking, BookingId, BookingOutcome, BookingStoreError, GpuId, IdempotencyKey, Interval, StoreTime, UserId,
};

/// A request that is decided once under its user's key.
///
/// ```
/// use marketplace::{BookingId, CancelRequest, Fence, IdempotencyKey, UserId};
/// use marketplace::bookings::{BookingRequest, Scope};
/// let cancel = CancelRequest {
///     user: UserId::new("ada")?,
///     key: IdempotencyKey::new("order-7/cancel")?,
///     id: BookingId::new("b-1")?,
///     fence: Fence(1),
/// };
/// let request = BookingRequest::from(cancel.clone());
/// assert_eq!(request.hash(), cancel.hash());
/// assert_eq!(request.scope(), Scope::Bookings(vec![&cancel.id]));
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookingRequest {
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
}

/// The GPUs whose timelines a request is decided over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<'r> {
    /// These.
    Gpus(Vec<&'r GpuId>),
    /// Those of these bookings, as far as there are such bookings.
    Bookings(Vec<&'r BookingId>),
}

/// The part of its timelines a request is decided over: bookings that take time within it, and those it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only the bookings it names.
    Named,
    /// What overlaps the interval. When the decision over that is a conflict, decide again over all from its start
    /// on: where the next free time is depends on what comes later.
    Overlapping(Interval),
}

impl BookingRequest {
    /// In whose name.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Hold(request) => &request.user,
            Self::Confirm(request) => &request.user,
            Self::Cancel(request) => &request.user,
            Self::HoldSeveral(request) => &request.user,
            Self::ConfirmSeveral(request) => &request.user,
            Self::Extend(request) => &request.user,
            Self::Complete(request) => &request.user,
        }
    }

    /// Under which key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        match self {
            Self::Hold(request) => &request.key,
            Self::Confirm(request) => &request.key,
            Self::Cancel(request) => &request.key,
            Self::HoldSeveral(request) => &request.key,
            Self::ConfirmSeveral(request) => &request.key,
            Self::Extend(request) => &request.key,
            Self::Complete(request) => &request.key,
        }
    }

    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        match self {
            Self::Hold(request) => request.hash(),
            Self::Confirm(request) => request.hash(),
            Self::Cancel(request) => request.hash(),
            Self::HoldSeveral(request) => request.hash(),
            Self::ConfirmSeveral(request) => request.hash(),
            Self::Extend(request) => request.hash(),
            Self::Complete(request) => request.hash(),
        }
    }

    /// The GPUs to lock, in the order of their names, before anything about them is read.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        match self {
            Self::Hold(request) => Scope::Gpus(vec![&request.gpu]),
            Self::Confirm(request) => Scope::Bookings(vec![&request.id]),
            Self::Cancel(request) => Scope::Bookings(vec![&request.id]),
            Self::HoldSeveral(request) => Scope::Gpus(
                request
                    .candidates
                    .iter()
                    .map(|candidate| &candidate.gpu)
                    .collect(),
            ),
            Self::ConfirmSeveral(request) => {
                Scope::Bookings(request.bookings.iter().map(|(id, _)| id).collect())
            }
            Self::Extend(request) => Scope::Bookings(vec![&request.id]),
            Self::Complete(request) => Scope::Bookings(vec![&request.id]),
        }
    }

    /// What to load of them. `named` are the bookings of the scope, as they are stored.
    #[must_use]
    pub fn reach(&self, named: &[Booking]) -> Reach {
        match self {
            Self::Hold(request) => Reach::Overlapping(request.interval),
            Self::HoldSeveral(request) => Reach::Overlapping(request.interval),
            Self::Extend(request) => {
                let end = named.first().map(|booking| booking.interval.end());
                let added = end.and_then(|end| Interval::new(end, request.until).ok());
                added.map_or(Reach::Named, Reach::Overlapping)
            }
            Self::Confirm(_) | Self::Cancel(_) | Self::ConfirmSeveral(_) | Self::Complete(_) => Reach::Named,
        }
    }
}

/// Decides a request over the timelines of its scope, all of them locked, at the instant `now`. `next_id` names a new
/// booking; what was changed is added to `out`, in order.
///
/// # Errors
/// `Rejected` when the request is refused as such, and what `next_id` fails with. Nothing may be stored then.
///
/// ```
/// use std::collections::BTreeMap;
/// use marketplace::{BookingId, BookingOutcome, CancelRequest, Fence, GpuId, IdempotencyKey, StoreTime, UserId};
/// use marketplace::bookings::{Timeline, decide};
/// let cancel = CancelRequest {
///     user: UserId::new("ada")?,
///     key: IdempotencyKey::new("order-7/cancel")?,
///     id: BookingId::new("b-1")?,
///     fence: Fence(1),
/// };
/// let mut nothing: BTreeMap<GpuId, Box<Timeline>> = BTreeMap::new();
/// let (now, mut out) = (StoreTime::from_millis(0), vec![]);
/// let outcome = decide(&cancel.into(), &mut nothing, &mut || unreachable!("nothing is granted"), now, &mut out)?;
/// assert_eq!((outcome, out.len()), (BookingOutcome::Gone, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decide<T: DerefMut<Target = Timeline>>(
    request: &BookingRequest,
    timelines: &mut BTreeMap<GpuId, T>,
    next_id: &mut dyn FnMut() -> Result<BookingId, BookingStoreError>,
    now: StoreTime,
    out: &mut Vec<Transition>,
) -> Result<BookingOutcome, BookingStoreError> {
    match request {
        BookingRequest::Hold(request) => {
            let timeline = timelines.get_mut(&request.gpu).ok_or_else(not_loaded)?;
            timeline.hold(request, next_id()?, now, out)
        }
        BookingRequest::Confirm(request) => Ok(of_booking(timelines, &request.id)
            .map_or(BookingOutcome::Gone, |timeline| {
                timeline.confirm(request, now, out)
            })),
        BookingRequest::Cancel(request) => Ok(of_booking(timelines, &request.id)
            .map_or(BookingOutcome::Gone, |timeline| {
                timeline.cancel(request, now, out)
            })),
        BookingRequest::HoldSeveral(request) => several::hold(request, timelines, next_id, now, out),
        BookingRequest::ConfirmSeveral(request) => several::confirm(request, timelines, now, out),
        BookingRequest::Extend(request) => of_booking(timelines, &request.id)
            .map_or(Ok(BookingOutcome::Gone), |timeline| {
                timeline.extend(request, now, out)
            }),
        BookingRequest::Complete(request) => Ok(of_booking(timelines, &request.id)
            .map_or(BookingOutcome::Gone, |timeline| {
                timeline.complete(request, now, out)
            })),
    }
}

fn of_booking<'t, T: DerefMut<Target = Timeline>>(
    timelines: &'t mut BTreeMap<GpuId, T>,
    id: &BookingId,
) -> Option<&'t mut Timeline> {
    timelines
        .values_mut()
        .map(|timeline| &mut **timeline)
        .find(|timeline| timeline.knows(id))
}

macro_rules! from_request {
    ($($variant:ident: $request:ty),+ $(,)?) => {
        $(impl From<$request> for BookingRequest {
            fn from(request: $request) -> Self {
                Self::$variant(request)
            }
        })+
    };
}

from_request!(
    Hold: HoldRequest,
    Confirm: ConfirmRequest,
    Cancel: CancelRequest,
    HoldSeveral: HoldSeveralRequest,
    ConfirmSeveral: ConfirmSeveralRequest,
    Extend: ExtendRequest,
    Complete: CompleteRequest,
);
