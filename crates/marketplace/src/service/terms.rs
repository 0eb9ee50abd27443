//! Longer and shorter bookings: decided by the store, then told to every node.
//!
//! What is added passes the same admission as a new booking; its price is the store's rule.

use super::admission::Claim;
use super::news::BookingNews;
use super::{Booked, Effects, MarketError, Marketplace};
use crate::{BookingId, BookingOutcome, BookingState, ChangeKind, CompleteRequest, ExtendRequest, Interval};

impl Marketplace {
    /// Moves the end of a bought booking to a later instant, as [`BookingTerms::extend`](crate::BookingTerms::extend) says.
    ///
    /// `Gone`, with the reason, also when the GPU is out of service or its provider offline: nothing is sold that could
    /// not be booked.
    ///
    /// # Errors
    /// `Refused` when the booking would take longer than one may in all; others when a system of record cannot be
    /// reached, or the new end is not after the present one.
    pub async fn extend_booking(&self, request: ExtendRequest) -> Result<Booked, MarketError> {
        let records = &self.source().records;
        let id = request.id.clone();
        let own = records.ledger.booking(&id).await?;
        let own = own.filter(|booking| booking.user == request.user && booking.fence == request.fence);
        // A request that was carried out before is answered as it was then, whatever has become of the GPU.
        let grows = own.as_ref().filter(|booking| {
            let bought = matches!(booking.state, BookingState::Confirmed | BookingState::Active);
            bought && booking.interval.end() < request.until
        });
        if let Some(booking) = grows
            && let Ok(longer) = Interval::new(booking.interval.start(), request.until)
        {
            let claim = Claim::standing(booking, longer);
            self.admit(&claim).await?;
            if let Some(reason) = self.objection(&claim, booking.created).await? {
                return Ok(Booked::unchanged(BookingOutcome::Gone, Some(reason)));
            }
        }
        let outcome = records.terms.extend(request).await?;
        if let (BookingOutcome::Gone, Some(booking)) = (outcome.decision(), grows) {
            let reason = self.moved(&booking.gpu, booking.quote.version).await;
            return Ok(Booked::unchanged(outcome, reason));
        }
        self.told_of_term(&id, outcome, ChangeKind::Extended).await
    }

    /// Ends a running booking, as [`BookingTerms::complete`](crate::BookingTerms::complete) says.
    ///
    /// # Errors
    /// When a system of record cannot be reached.
    pub async fn complete_booking(&self, request: CompleteRequest) -> Result<Booked, MarketError> {
        let id = request.id.clone();
        let outcome = self.source().records.terms.complete(request).await?;
        self.told_of_term(&id, outcome, ChangeKind::Completed).await
    }

    async fn told_of_term(
        &self,
        id: &BookingId,
        outcome: BookingOutcome,
        change: ChangeKind,
    ) -> Result<Booked, MarketError> {
        let effects = match outcome.won() {
            Some(_) => match self.source().records.ledger.booking(id).await? {
                Some(booking) => {
                    self.spread_booking(&booking.gpu, BookingNews::of(&booking, change))
                        .await
                }
                None => Effects::None,
            },
            None => Effects::None,
        };
        Ok(Booked {
            outcome,
            effects,
            reason: None,
        })
    }
}
