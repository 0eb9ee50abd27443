//! Several GPUs in one booking request, and any GPU of a model: candidates from the view, the decision from the store.
//!
//! The caller keeps the list of candidates: a repeated request has to name the same ones.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use edge_cache::CacheError;

use super::answer::Trail;
use super::news::BookingNews;
use super::reads::Show;
use super::writes::{HOLD, step};
use super::{Answer, Booked, Effects, MarketError, Marketplace};
use crate::shelf::ShelfKey;
use crate::{
    BookingLedgerError, BookingOutcome, CancelRequest, Candidate, ChangeKind, ConfirmSeveralRequest,
    ErrorKind, GpuId, Granted, HoldSeveralRequest, IdempotencyKey, Interval, Money, Quote, UserId,
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
    pub candidates: Vec<Candidate>,
}

impl Marketplace {
    /// The GPUs of a shelf that are in service, the cheapest first, those of one price in the order of their names: what
    /// to hand to [`create_group_booking`](Self::create_group_booking) for "any GPU of this model in this region". At most
    /// `limit`, none dearer than `at_most` per hour.
    ///
    /// Busy ones are among them, since a booking may begin when they are free.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub async fn candidates(
        &self,
        shelf: &ShelfKey,
        at_most: Option<Money>,
        limit: usize,
    ) -> Result<Answer<Vec<Candidate>>, CacheError> {
        let mut trail = Trail::of(64);
        let mut found: BTreeMap<(Money, GpuId), Quote> = BTreeMap::new();
        for priced in self
            .sheets(&mut trail, Some(&shelf.region), Some(&shelf.model))
            .await?
        {
            let sheet = &priced.sheet;
            for summary in &sheet.pages {
                let Some(page) = self.page(&mut trail, &sheet.page_key(summary)).await? else {
                    continue;
                };
                for gpu in page
                    .gpus
                    .iter()
                    .filter(|gpu| Show::AvailableAndBusy.admits(gpu.status))
                {
                    let price_per_hour = sheet.multiplier.applied_to(gpu.base_price);
                    let version = gpu.price_version;
                    if at_most
                        .is_none_or(|most| most.currency == price_per_hour.currency && price_per_hour <= most)
                    {
                        let quote = Quote {
                            price_per_hour,
                            version,
                        };
                        found.insert((price_per_hour, gpu.id.clone()), quote);
                    }
                }
            }
        }
        let cheapest = found.into_iter().take(limit);
        Ok(trail.answer(
            cheapest
                .map(|((_, gpu), quote)| Candidate { gpu, quote })
                .collect(),
        ))
    }

    /// Books several GPUs: holds them and confirms the holds, all or none.
    ///
    /// `Gone` also when one that was held is out of service. An answer that was lost is had again with the same key.
    ///
    /// # Errors
    /// When a system of record cannot be reached or refuses the request as such.
    pub async fn create_group_booking(&self, request: NewGroupBooking) -> Result<Booked, MarketError> {
        let groups = &self.source().records.groups;
        let hold = HoldSeveralRequest {
            user: request.user.clone(),
            key: step(&request.key, "hold")?,
            interval: request.interval,
            count: request.count,
            candidates: request.candidates.clone(),
            ttl: HOLD,
        };
        let held = groups.hold_several(hold).await?;
        if held.granted().is_empty() {
            return Ok(Booked {
                outcome: held,
                effects: Effects::None,
            });
        }
        let fresh = !matches!(held, BookingOutcome::Replay(_));
        let confirmed = if fresh && !self.all_in_service(held.granted()).await? {
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
        })
    }

    /// The earliest time, of that length, from the interval's start on and within it, at which a GPU of a shelf is free, and
    /// which GPU; the cheapest of those. `None` when all are taken throughout. Asks the ledger, not the cache.
    ///
    /// # Errors
    /// `Ledger` when the ledger cannot be read, or the shelf's GPUs cannot.
    pub async fn next_free(
        &self,
        shelf: &ShelfKey,
        length: std::time::Duration,
        within: Interval,
    ) -> Result<Option<(GpuId, Interval)>, MarketError> {
        let listed = self.candidates(shelf, None, usize::MAX).await.map_err(|error| {
            BookingLedgerError::new(ErrorKind::Unavailable, "the shelf cannot be read").caused_by(error)
        })?;
        let gpus: Vec<GpuId> = listed.value.into_iter().map(|candidate| candidate.gpu).collect();
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

    async fn all_in_service(&self, granted: &[Granted]) -> Result<bool, MarketError> {
        for one in granted {
            if !self.in_service(&one.gpu).await? {
                return Ok(false);
            }
        }
        Ok(true)
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
