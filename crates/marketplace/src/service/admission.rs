//! Admission: what every interval has to pass before it is held, bought or made longer, in this one place.
//!
//! Whether it is free is not asked here: that is the booking store's decision alone.

use std::time::Duration;

use super::groups::NewGroupBooking;
use super::refusals::{Reason, Refusal, admitted_price};
use super::{MarketError, Marketplace, NewBooking};
use crate::inventory::OperatorStatus;
use crate::{
    Booking, BookingId, BookingOutcome, BookingState, GpuId, Interval, InventoryError, Money, StoreTime,
};

/// An interval on some GPUs as it is to stand. Which rules apply to it follows from how it was made.
#[derive(Debug)]
pub(super) struct Claim<'r> {
    gpus: Vec<Claimed<'r>>,
    interval: Interval,
    /// When the quote of a new interval ends; `None` for one whose price and start stand already.
    quote_ends: Option<StoreTime>,
}

#[derive(Debug, Clone, Copy)]
struct Claimed<'r> {
    gpu: &'r GpuId,
    /// What was quoted for it, where that is still to be judged.
    price: Option<Money>,
}

impl<'r> Claim<'r> {
    /// A new interval on one GPU.
    pub(super) fn new(request: &'r NewBooking) -> Self {
        let (gpu, price) = (&request.gpu, Some(request.quote.price_per_hour));
        Self {
            gpus: vec![Claimed { gpu, price }],
            interval: request.interval,
            quote_ends: Some(request.quote.valid_until),
        }
    }

    /// A new interval on any of the candidates of a group.
    pub(super) fn group(request: &'r NewGroupBooking) -> Self {
        let claimed = request.candidates.list.iter().map(|candidate| Claimed {
            gpu: &candidate.gpu,
            price: Some(candidate.quote.price_per_hour),
        });
        Self {
            gpus: claimed.collect(),
            interval: request.interval,
            quote_ends: Some(request.candidates.valid_until),
        }
    }

    /// The same interval, on those GPUs alone that were held.
    pub(super) fn on(&self, gpus: impl IntoIterator<Item = &'r GpuId>) -> Self {
        let claimed = gpus.into_iter().map(|gpu| Claimed { gpu, price: None });
        Self {
            gpus: claimed.collect(),
            ..*self
        }
    }

    /// A booking as it stands, or with another end: its start and price were admitted before.
    pub(super) fn standing(booking: &'r Booking, interval: Interval) -> Self {
        let gpu = &booking.gpu;
        Self {
            gpus: vec![Claimed { gpu, price: None }],
            interval,
            quote_ends: None,
        }
    }
}

impl Marketplace {
    /// Admission in due form, before a store is asked: what can be said for good, so that a request that passed once passes
    /// again when it is repeated.
    pub(super) async fn admit(&self, claim: &Claim<'_>) -> Result<(), MarketError> {
        self.admit_length(Duration::from_millis(claim.interval.millis()))?;
        if claim.quote_ends.is_some() {
            let (start, latest) = (
                claim.interval.start(),
                self.source().now().plus(self.core.settings.booking_lead),
            );
            if start > latest {
                return Err(Refusal::TooFarAhead { start, latest }.into());
            }
        }
        for Claimed { gpu, price } in &claim.gpus {
            if let Some(price) = price {
                let located = self.source().records.inventory.gpu(gpu).await?;
                let located = located.ok_or_else(|| Refusal::UnknownGpu((*gpu).clone()))?;
                admitted_price(*price, located.gpu.base_price.currency)?;
            }
        }
        Ok(())
    }

    /// Whether a booking may take so long.
    pub(super) fn admit_length(&self, asked: Duration) -> Result<(), Refusal> {
        let longest = self.core.settings.longest_booking;
        if asked > longest {
            return Err(Refusal::TooLong { asked, longest });
        }
        if asked < Duration::from_millis(1) {
            return Err(Refusal::NoLength);
        }
        Ok(())
    }

    /// Admission by the state of things, right before a claim is sold: every GPU in service and its provider online now; of
    /// a new interval also its start and its quote, judged as of `held`, when the store took it, so that a repeated request
    /// is judged alike however late it comes.
    pub(super) async fn objection(
        &self,
        claim: &Claim<'_>,
        held: StoreTime,
    ) -> Result<Option<Reason>, MarketError> {
        let (start, earliest) = (claim.interval.start(), held.minus(self.core.settings.late_start));
        if claim.quote_ends.is_some() && start < earliest {
            return Ok(Some(Reason::InThePast { start, earliest }));
        }
        for Claimed { gpu, .. } in &claim.gpus {
            if !self.in_service(gpu).await? {
                return Ok(Some(Reason::OutOfService((*gpu).clone())));
            }
        }
        match (claim.gpus.first(), claim.quote_ends) {
            (Some(Claimed { gpu, .. }), Some(ends)) if held >= ends => Ok(Some(Reason::QuoteEnded {
                now: self.price_now(gpu).await?,
            })),
            _ => Ok(None),
        }
    }

    /// Since when a granted hold waits to be bought; `None` when that was decided already. A hold that is only replayed
    /// proves no more than that it was granted once: the ledger tells how it stands.
    pub(super) async fn waits_since(
        &self,
        held: &BookingOutcome,
        id: &BookingId,
    ) -> Result<Option<StoreTime>, MarketError> {
        if !matches!(held, BookingOutcome::Replay(_)) {
            return Ok(Some(self.source().now()));
        }
        let booking = self.source().records.ledger.booking(id).await?;
        let waits = booking.filter(|booking| matches!(booking.state, BookingState::Held { .. }));
        Ok(waits.map(|booking| booking.created))
    }

    /// The inventory shows a GPU as offline while its provider is.
    async fn in_service(&self, gpu: &GpuId) -> Result<bool, InventoryError> {
        let located = self.source().records.inventory.gpu(gpu).await?;
        Ok(located.is_some_and(|located| located.gpu.status == OperatorStatus::InService))
    }
}
