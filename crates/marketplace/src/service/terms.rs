//! Longer and shorter bookings: decided by the store, then told to every node.
//!
//! Prices of the time added are the store's rule, not this one's.

use super::news::BookingNews;
use super::{Booked, Effects, MarketError, Marketplace};
use crate::{BookingId, BookingOutcome, ChangeKind, CompleteRequest, ExtendRequest};

impl Marketplace {
    /// Moves the end of a bought booking to a later instant, as [`BookingTerms::extend`](crate::BookingTerms::extend) says.
    ///
    /// # Errors
    /// When a system of record cannot be reached, or the new end is not after the present one.
    pub async fn extend_booking(&self, request: ExtendRequest) -> Result<Booked, MarketError> {
        let id = request.id.clone();
        let outcome = self.source().records.terms.extend(request).await?;
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
