//! A booking in two steps: a GPU is held at the price that was quoted, and bought or not before the hold lapses.
//!
//! A hold that lapses needs nobody: the store lets it expire, and whoever follows the changes tells of it.

use std::time::Duration;

use super::admission::Claim;
use super::news::BookingNews;
use super::refusals::Refusal;
use super::writes::step;
use super::{Booked, Effects, MarketError, Marketplace, NewBooking, Reason};
use crate::{
    BookingId, BookingOutcome, BookingState, CancelRequest, ChangeKind, ConfirmRequest, Fence, HoldRequest,
    Quote,
};

/// The longest a GPU is held for one user to decide: long enough to pay, too short to keep others out by holding.
pub const LONGEST_HOLD: Duration = Duration::from_secs(15 * 60);

/// How a request for a hold was answered.
pub(super) enum Taken {
    /// It is granted, now or before.
    Held(Held),
    /// It is not.
    Not(Booked),
}

/// A granted hold.
pub(super) struct Held {
    /// The store's answer.
    pub(super) outcome: BookingOutcome,
    pub(super) id: BookingId,
    pub(super) fence: Fence,
    pub(super) standing: Standing,
}

/// How a granted hold stands.
pub(super) enum Standing {
    /// It waits to be bought, which the reason forbids, if there is one.
    Waits(Option<Reason>),
    /// This is a repeated request, and the hold was bought, given back or has lapsed before.
    Decided,
}

impl Standing {
    pub(super) fn objection(self) -> Option<Reason> {
        match self {
            Self::Waits(reason) => reason,
            Self::Decided => None,
        }
    }
}

impl Marketplace {
    /// Holds a GPU for `lasts`, for the user to [confirm](Self::confirm_booking), and shows every node that it is taken. The
    /// price is kept while the hold lasts, also when the quote has ended by then.
    ///
    /// `Gone`, with the reason, as for [`create_booking`](Self::create_booking).
    ///
    /// # Errors
    /// As of [`create_booking`](Self::create_booking); `Refused` also when it is to last longer than [`LONGEST_HOLD`].
    pub async fn hold_booking(&self, request: NewBooking, lasts: Duration) -> Result<Booked, MarketError> {
        if lasts > LONGEST_HOLD {
            let (asked, longest) = (lasts, LONGEST_HOLD);
            return Err(Refusal::LongHold { asked, longest }.into());
        }
        let held = match self.take(&request, lasts).await? {
            Taken::Held(held) => held,
            Taken::Not(booked) => return Ok(booked),
        };
        let Held {
            outcome,
            id,
            fence,
            standing,
        } = held;
        let reason = match standing {
            Standing::Decided => return Ok(Booked::unchanged(outcome, None)),
            Standing::Waits(reason) => reason,
        };
        if reason.is_some() {
            // Nobody was told of the hold, or whoever was will be told that it lapsed.
            let key = step(&request.key, "withdraw")?;
            let user = request.user;
            self.source()
                .records
                .bookings
                .cancel(CancelRequest { user, key, id, fence })
                .await?;
            return Ok(Booked::unchanged(BookingOutcome::Gone, reason));
        }
        let effects = self.tell_of(&id, ChangeKind::Held).await?;
        Ok(Booked {
            outcome,
            effects,
            reason: None,
        })
    }

    /// Takes a GPU for an interval that is admitted, and says what stands in the way of buying it now.
    ///
    /// A request that failed anywhere after its hold is repeated with the same key: the hold is replayed then, and what
    /// may have changed since is looked at again while the hold waits.
    pub(super) async fn take(&self, request: &NewBooking, lasts: Duration) -> Result<Taken, MarketError> {
        let claim = Claim::new(request);
        self.admit(&claim).await?;
        let hold = HoldRequest {
            user: request.user.clone(),
            key: step(&request.key, "hold")?,
            gpu: request.gpu.clone(),
            interval: request.interval,
            quote: request.quote.price(),
            ttl: lasts,
        };
        let outcome = self.source().records.bookings.hold(hold).await?;
        let Some((id, fence)) = outcome.won() else {
            let reason = match &outcome {
                BookingOutcome::Gone => self.moved(&request.gpu, request.quote.version).await,
                _ => None,
            };
            return Ok(Taken::Not(Booked::unchanged(outcome, reason)));
        };
        let standing = match self.waits_since(&outcome, &id).await? {
            Some(since) => Standing::Waits(self.objection(&claim, since).await?),
            None => Standing::Decided,
        };
        Ok(Taken::Held(Held {
            outcome,
            id,
            fence,
            standing,
        }))
    }

    /// Buys what was held, at the price it was held at.
    ///
    /// `Gone`, with the reason, when the provider has changed the base price since or the GPU is out of service; the hold
    /// is given back then. `Gone` without a reason when it has lapsed, or is not the user's.
    ///
    /// # Errors
    /// When a system of record cannot be reached.
    pub async fn confirm_booking(&self, request: ConfirmRequest) -> Result<Booked, MarketError> {
        let records = &self.source().records;
        let ConfirmRequest { user, key, id, fence } = request.clone();
        let held = records.ledger.booking(&id).await?;
        let held = held.filter(|booking| booking.user == user && booking.fence == fence);
        let Some(held) = held else {
            return Ok(Booked::unchanged(records.bookings.confirm(request).await?, None));
        };
        let waits = matches!(held.state, BookingState::Held { .. });
        let Quote { version, .. } = held.quote;
        if waits {
            let claim = Claim::standing(&held, held.interval);
            self.admit(&claim).await?;
            if let Some(reason) = self.objection(&claim, held.created).await? {
                return self.give_up(request, (id, fence), Some(reason)).await;
            }
        }
        let outcome = records
            .bookings
            .confirm(ConfirmRequest { user, key, id, fence })
            .await?;
        match outcome.decision() {
            BookingOutcome::Won { id, .. } => {
                let effects = self.tell_of(id, ChangeKind::Confirmed).await?;
                Ok(Booked {
                    outcome,
                    effects,
                    reason: None,
                })
            }
            BookingOutcome::Gone => match self.moved(&held.gpu, version).await {
                Some(reason) if waits => self.give_up(request, (held.id, fence), Some(reason)).await,
                reason => Ok(Booked::unchanged(outcome, reason)),
            },
            _ => Ok(Booked::unchanged(outcome, None)),
        }
    }

    /// Gives back what will not be bought, and tells of it.
    async fn give_up(
        &self,
        request: ConfirmRequest,
        (id, fence): (BookingId, Fence),
        reason: Option<Reason>,
    ) -> Result<Booked, MarketError> {
        let withdraw = CancelRequest {
            user: request.user,
            key: step(&request.key, "withdraw")?,
            id: id.clone(),
            fence,
        };
        let given_back = self.source().records.bookings.cancel(withdraw).await?;
        let effects = match given_back.won() {
            Some(_) => self.tell_of(&id, ChangeKind::Cancelled).await?,
            None => Effects::None,
        };
        Ok(Booked {
            outcome: BookingOutcome::Gone,
            effects,
            reason,
        })
    }

    async fn tell_of(&self, id: &BookingId, change: ChangeKind) -> Result<Effects, MarketError> {
        let booking = self.source().records.ledger.booking(id).await?;
        Ok(match booking {
            Some(booking) => {
                self.spread_booking(&booking.gpu, BookingNews::of(&booking, change))
                    .await
            }
            None => Effects::None,
        })
    }
}
