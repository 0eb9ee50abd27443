//! Several GPUs in one booking request, and any GPU of a model: candidates from the view, the decision from the store.
//!
//! The caller keeps the list of candidates: a repeated request has to name the same ones.

use std::num::NonZeroUsize;

use super::news::BookingNews;
use super::writes::{HOLD, step};
use super::{Answer, Booked, Effects, MarketError, Marketplace};
use crate::shelf::{Availability, ShelfKey};
use crate::{
    BookingOutcome, CancelRequest, Candidate, ChangeKind, ConfirmSeveralRequest, Gpu, GpuId, Granted,
    HoldSeveralRequest, IdempotencyKey, Interval, Money, Quote, Ranking, SearchFilter, StoreTime, UserId,
};

/// Asks to book several GPUs at once, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroupBooking {
    /// For whom.
    pub user: UserId,
    /// The caller's name for this request, at most 100 bytes: the same again is answered alike and books nothing more.
    pub key: IdempotencyKey,
    /// When.
    pub interval: Interval,
    /// How many GPUs. As many as there are candidates asks for exactly those.
    pub count: NonZeroUsize,
    /// Which would do, the most wanted first: named ones, or what [`Marketplace::candidates`] lists.
    pub candidates: Candidates,
}

/// GPUs that would do, and until when their prices hold.
///
/// ```
/// use marketplace::{Candidates, StoreTime};
/// let nobody = Candidates { list: Vec::new(), valid_until: StoreTime::from_millis(60_000) };
/// assert!(nobody.list.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The GPUs, each with its price.
    pub list: Vec<Candidate>,
    /// The first instant, by the store's clock, at which the prices no longer hold.
    pub valid_until: StoreTime,
}

impl Marketplace {
    /// The GPUs of a shelf that are in service, the cheapest first, of those the fastest: what to hand to
    /// [`create_group_booking`](Self::create_group_booking) for "any GPU of this model in this region". At most `limit`,
    /// none dearer than `at_most` per hour.
    ///
    /// Busy ones are among them, since a booking may begin when they are free.
    ///
    /// # Errors
    /// `Refused` when the region or the model is unknown; `Cache` when a part cannot be read.
    pub async fn candidates(
        &self,
        shelf: &ShelfKey,
        at_most: Option<Money>,
        limit: usize,
    ) -> Result<Answer<Candidates>, MarketError> {
        let filter = SearchFilter {
            region: Some(shelf.region.clone()),
            model: Some(shelf.model.clone()),
            max_price: at_most,
            availability: Availability::InService,
            ..SearchFilter::default()
        };
        let valid_until = self.quotes_end();
        let found = self.ranked(Ranking::Cheapest, limit, filter).await?;
        Ok(found.map(|gpus| Candidates {
            list: gpus.into_iter().map(candidate).collect(),
            valid_until,
        }))
    }

    /// Books several GPUs: holds them and confirms the holds, all or none.
    ///
    /// `Gone`, with the reason, as for [`create_booking`](Self::create_booking): when it is true of any that was held. An
    /// answer that was lost is had again with the same key.
    ///
    /// # Errors
    /// As of [`create_booking`](Self::create_booking).
    pub async fn create_group_booking(&self, request: NewGroupBooking) -> Result<Booked, MarketError> {
        for candidate in &request.candidates.list {
            let price = candidate.quote.price_per_hour;
            self.admitted(&candidate.gpu, &request.interval, price).await?;
        }
        let groups = &self.source().records.groups;
        let hold = HoldSeveralRequest {
            user: request.user.clone(),
            key: step(&request.key, "hold")?,
            interval: request.interval,
            count: request.count,
            candidates: request.candidates.list.clone(),
            ttl: HOLD,
        };
        let held = groups.hold_several(hold).await?;
        if held.granted().is_empty() {
            return Ok(Booked::unchanged(held, None));
        }
        let fresh = !matches!(held, BookingOutcome::Replay(_));
        let gpus: Vec<&GpuId> = held.granted().iter().map(|one| &one.gpu).collect();
        let ends = request.candidates.valid_until;
        let reason = match fresh {
            true => self.objection(&gpus, &request.interval, ends).await?,
            false => None,
        };
        let confirmed = if reason.is_some() {
            BookingOutcome::Gone
        } else {
            let confirm = ConfirmSeveralRequest {
                user: request.user.clone(),
                key: step(&request.key, "confirm")?,
                bookings: held
                    .granted()
                    .iter()
                    .map(|one| (one.id.clone(), one.fence))
                    .collect(),
            };
            groups.confirm_several(confirm).await?
        };
        let effects = match confirmed.decision() {
            BookingOutcome::WonSeveral(_) => self.tell_group(held.granted(), ChangeKind::Confirmed).await?,
            BookingOutcome::Gone => self.withdraw(&request, held.granted()).await?,
            _ => Effects::None,
        };
        Ok(Booked {
            outcome: confirmed,
            effects,
            reason,
        })
    }

    /// The earliest time, of that length, from the interval's start on and within it, at which a GPU of a shelf is free, and
    /// which GPU; the cheapest of those. `None` when all are taken throughout. Asks the ledger, not the cache.
    ///
    /// # Errors
    /// `Ledger` when the ledger cannot be read; otherwise as of [`candidates`](Self::candidates).
    pub async fn next_free(
        &self,
        shelf: &ShelfKey,
        length: std::time::Duration,
        within: Interval,
    ) -> Result<Option<(GpuId, Interval)>, MarketError> {
        let listed = self.candidates(shelf, None, usize::MAX).await?.value.list;
        let gpus: Vec<GpuId> = listed.into_iter().map(|candidate| candidate.gpu).collect();
        let free = self.source().records.ledger.free(&gpus, within).await?;
        let mut earliest: Option<(GpuId, Interval)> = None;
        for (gpu, spans) in gpus.into_iter().zip(free) {
            let fits = spans.iter().find_map(|span| {
                let end = span.start().plus(length);
                (end <= span.end()).then(|| Interval::new(span.start(), end).ok())?
            });
            // The list is in the order of prices: an equally early one later in it is no better.
            if let Some(fits) = fits
                && earliest
                    .as_ref()
                    .is_none_or(|(_, known)| fits.start() < known.start())
            {
                earliest = Some((gpu, fits));
            }
        }
        Ok(earliest)
    }

    /// Nobody will confirm what is left of it.
    async fn withdraw(&self, request: &NewGroupBooking, granted: &[Granted]) -> Result<Effects, MarketError> {
        for (number, one) in granted.iter().enumerate() {
            let withdraw = CancelRequest {
                user: request.user.clone(),
                key: step(&request.key, &format!("withdraw/{number}"))?,
                id: one.id.clone(),
                fence: one.fence,
            };
            self.source().records.bookings.cancel(withdraw).await?;
        }
        self.tell_group(granted, ChangeKind::Cancelled).await
    }

    /// The effects of the last of them: each is told in its turn.
    async fn tell_group(&self, granted: &[Granted], change: ChangeKind) -> Result<Effects, MarketError> {
        let mut effects = Effects::None;
        for one in granted {
            if let Some(booking) = self.source().records.ledger.booking(&one.id).await? {
                effects = self
                    .spread_booking(&one.gpu, BookingNews::of(&booking, change))
                    .await;
            }
        }
        Ok(effects)
    }
}

fn candidate(gpu: Gpu) -> Candidate {
    let quote = Quote {
        price_per_hour: gpu.current_price,
        version: gpu.price_version,
    };
    Candidate { gpu: gpu.id, quote }
}
