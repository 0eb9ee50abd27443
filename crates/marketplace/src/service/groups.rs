//! Several GPUs in one booking request, and any GPU of a model: candidates from the view, the decision from the store.
//!
//! The caller keeps the list of candidates: a repeated request has to name the same ones.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::admission::Claim;
use super::news::BookingNews;
use super::refusals::Reason;
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
    /// The GPUs of a shelf that are in service and free for the whole of `interval`, the cheapest first, of those the
    /// fastest: what to hand to [`create_group_booking`](Self::create_group_booking) for "any GPU of this model in this
    /// region". At most `limit`, none dearer than `at_most` per hour.
    ///
    /// Prices and states come from the cache; whether they are free, from the ledger. By the time of the booking some may
    /// be taken: list more than are wanted.
    ///
    /// # Errors
    /// `Refused` when the region or the model is unknown, or the interval is longer than a booking may be; `Cache` when a
    /// part cannot be read; `Ledger` when the ledger cannot be read.
    pub async fn candidates(
        &self,
        shelf: &ShelfKey,
        interval: Interval,
        at_most: Option<Money>,
        limit: usize,
    ) -> Result<Answer<Candidates>, MarketError> {
        self.admit_length(Duration::from_millis(interval.millis()))?;
        let filter = on_shelf(shelf, at_most, Availability::InService);
        self.free_throughout(filter, interval, limit).await
    }

    /// Those that pass and are free for the whole interval, the cheapest first.
    ///
    /// The view cannot be asked for that, so it is asked for more and more until enough of them are.
    pub(super) async fn free_throughout(
        &self,
        filter: SearchFilter,
        interval: Interval,
        limit: usize,
    ) -> Result<Answer<Candidates>, MarketError> {
        let valid_until = self.quotes_end();
        let mut asked = limit;
        loop {
            let found = self.ranked(Ranking::Cheapest, asked, filter.clone()).await?;
            let all = found.value.len() < asked;
            let ids: Vec<GpuId> = found.value.iter().map(|gpu| gpu.id.clone()).collect();
            let free = self.source().records.ledger.free(&ids, interval).await?;
            let listed = found.map(|gpus| {
                let free = gpus.into_iter().zip(free);
                let free = free.filter(|(_, spans)| spans.as_slice() == [interval]);
                let list = free.map(|(gpu, _)| candidate(gpu)).take(limit).collect();
                Candidates { list, valid_until }
            });
            if all || listed.value.list.len() >= limit {
                return Ok(listed);
            }
            asked = asked.saturating_mul(4);
        }
    }

    /// Books several GPUs, all or none: the first of the candidates that are free, each as a booking of its own. Where one
    /// of those that were held cannot be sold, because it is out of service or its price moved, the next candidates are
    /// tried instead of all that were held with it.
    ///
    /// `Gone`, with the reason, when too few candidates are left that can be sold; nothing is left held. An answer that was
    /// lost is had again with the same key.
    ///
    /// # Errors
    /// As of [`create_booking`](Self::create_booking).
    pub async fn create_group_booking(&self, request: NewGroupBooking) -> Result<Booked, MarketError> {
        let claim = Claim::group(&request);
        self.admit(&claim).await?;
        let mut left = request.candidates.list.clone();
        let mut unsold: Option<Booked> = None;
        for round in 0_usize.. {
            let (granted, mut booked) = self.book_several(&request, &claim, left.clone(), round).await?;
            if booked.outcome.decision() != &BookingOutcome::Gone {
                return Ok(booked);
            }
            booked.reason = booked.reason.or(unsold.take().and_then(|before| before.reason));
            let ended = matches!(
                booked.reason,
                Some(Reason::QuoteEnded { .. } | Reason::InThePast { .. })
            );
            // What a repeated request leaves out has to follow from what it is answered, so all that were held are.
            left.retain(|candidate| granted.iter().all(|one| one.gpu != candidate.gpu));
            if ended || granted.is_empty() || left.len() < request.count.get() {
                return Ok(booked);
            }
            unsold = Some(booked);
        }
        Ok(Booked::unchanged(BookingOutcome::Gone, None))
    }

    /// One round of a group booking: holds some of `left` and buys them, or gives them back. What was held comes with it.
    async fn book_several(
        &self,
        request: &NewGroupBooking,
        claim: &Claim<'_>,
        left: Vec<Candidate>,
        round: usize,
    ) -> Result<(Vec<Granted>, Booked), MarketError> {
        let name = |what: &str| match round {
            0 => step(&request.key, what),
            later => step(&request.key, &format!("{what}/{later}")),
        };
        let groups = &self.source().records.groups;
        let hold = HoldSeveralRequest {
            user: request.user.clone(),
            key: name("hold")?,
            interval: request.interval,
            count: request.count,
            candidates: left,
            ttl: HOLD,
        };
        let held = groups.hold_several(hold).await?;
        let granted = held.granted().to_vec();
        let Some(first) = granted.first() else {
            return Ok((granted, Booked::unchanged(held, None)));
        };
        // All were held in one step, and are bought or given back together.
        let reason = match self.waits_since(&held, &first.id).await? {
            Some(since) => {
                let claim = claim.on(granted.iter().map(|one| &one.gpu));
                self.objection(&claim, since).await?
            }
            None => None,
        };
        let confirmed = if reason.is_some() {
            BookingOutcome::Gone
        } else {
            let confirm = ConfirmSeveralRequest {
                user: request.user.clone(),
                key: name("confirm")?,
                bookings: granted.iter().map(|one| (one.id.clone(), one.fence)).collect(),
            };
            groups.confirm_several(confirm).await?
        };
        let effects = match confirmed.decision() {
            BookingOutcome::WonSeveral(_) => self.tell_group(&granted, ChangeKind::Confirmed).await?,
            BookingOutcome::Gone => {
                for (number, one) in granted.iter().enumerate() {
                    // Nobody will confirm what is left of it.
                    let withdraw = CancelRequest {
                        user: request.user.clone(),
                        key: name(&format!("withdraw/{number}"))?,
                        id: one.id.clone(),
                        fence: one.fence,
                    };
                    self.source().records.bookings.cancel(withdraw).await?;
                }
                self.tell_group(&granted, ChangeKind::Cancelled).await?
            }
            _ => Effects::None,
        };
        let booked = Booked {
            outcome: confirmed,
            effects,
            reason,
        };
        Ok((granted, booked))
    }

    /// The earliest time, of that length, from the interval's start on and within it, at which a GPU of a shelf is free, and
    /// which GPU; the cheapest of those. `None` when all are taken throughout. Asks the ledger, not the cache.
    ///
    /// # Errors
    /// `Ledger` when the ledger cannot be read; otherwise as of [`candidates`](Self::candidates).
    pub async fn next_free(
        &self,
        shelf: &ShelfKey,
        length: Duration,
        within: Interval,
    ) -> Result<Option<(GpuId, Interval)>, MarketError> {
        let filter = on_shelf(shelf, None, Availability::InService);
        let listed = self.ranked(Ranking::Cheapest, usize::MAX, filter).await?.value;
        let gpus: Vec<GpuId> = listed.into_iter().map(|gpu| gpu.id).collect();
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

/// The GPUs of a shelf that cost no more.
pub(super) fn on_shelf(shelf: &ShelfKey, at_most: Option<Money>, availability: Availability) -> SearchFilter {
    SearchFilter {
        region: Some(shelf.region.clone()),
        model: Some(shelf.model.clone()),
        max_price: at_most,
        availability,
        ..SearchFilter::default()
    }
}

fn candidate(gpu: Gpu) -> Candidate {
    let quote = Quote {
        price_per_hour: gpu.current_price,
        version: gpu.price_version,
    };
    Candidate { gpu: gpu.id, quote }
}
