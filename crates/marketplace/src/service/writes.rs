//! What changes the market: each change is decided by a system of record, and only then told to the nodes.
//!
//! Nothing here looks into the cache to decide; a store that cannot be reached fails the call, a cache never does.

use std::fmt;
use std::time::Duration;

use cache_core::EventKind;
use edge_cache::CacheError;

use super::holding::{Held, Taken};
use super::news::{BookingNews, News};
use super::quotes::TimedQuote;
use super::refusals::{LONGEST_KEY, Reason, Refusal};
use super::spread::{Announcement, Touch};
use super::{Effects, Marketplace, keys};
use crate::inventory::{OperatorStatus, Touched};
use crate::shelf::ShelfKey;
use crate::{
    BidBookError, Booking, BookingId, BookingLedgerError, BookingOutcome, BookingStoreError, CancelRequest,
    ChangeKind, ConfirmRequest, GpuId, IdempotencyKey, Interval, InventoryError, Money, PriceVersion,
    ProviderId, ProviderStatus, UserId,
};

/// How long a GPU is held between the two halves of one booking: longer than any retry of a confirmation.
pub(super) const HOLD: Duration = Duration::from_secs(30);

/// Asks to book a GPU at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBooking {
    /// For whom.
    pub user: UserId,
    /// The caller's name for this request, at most [`LONGEST_KEY`] bytes: the same again is answered alike and books nothing more.
    pub key: IdempotencyKey,
    /// The GPU.
    pub gpu: GpuId,
    /// When.
    pub interval: Interval,
    /// The price the user was shown, as [`Marketplace::quote`] tells it.
    pub quote: TimedQuote,
}

/// How a booking request was decided, and whether every node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// The store's decision: the effects cannot change it.
    pub outcome: BookingOutcome,
    /// What became of the news.
    pub effects: Effects,
    /// Why the outcome is [`Gone`](BookingOutcome::Gone), where this node can tell; a repeated request is not told again.
    pub reason: Option<Reason>,
}

impl Booked {
    /// A decision that changed nothing.
    pub(super) fn unchanged(outcome: BookingOutcome, reason: Option<Reason>) -> Self {
        Self {
            outcome,
            effects: Effects::None,
            reason,
        }
    }
}

/// Why a change was not made. Nothing was changed, except where a variant says otherwise.
#[derive(Debug)]
#[non_exhaustive]
pub enum MarketError {
    /// The request is wrong in itself, as told.
    Refused(Refusal),
    /// What was asked for is not in the cache and could not be loaded.
    Cache(CacheError),
    /// The record of bids refused or could not be reached.
    Bids(BidBookError),
    /// The booking store could not decide.
    Bookings(BookingStoreError),
    /// The ledger could not be read. A booking may have been decided before: repeat the request with its key.
    Ledger(BookingLedgerError),
    /// The inventory refused or could not be reached. Where a price was changed before, repeat the request.
    Inventory(InventoryError),
}

/// Every change returns after its effects are on their way to every node, or queued.
impl Marketplace {
    /// Books a GPU: holds it and confirms the hold.
    ///
    /// `Gone`, with the reason, when the quote does not hold any more, the GPU is out of service, or the booking was to
    /// begin longer ago than the settings allow. An answer that was lost is had again with the same key.
    ///
    /// # Errors
    /// `Refused` when there is no such GPU, the booking is too long or too far ahead, or its price is none. Others when a
    /// system of record cannot be reached, or refuses the request as such.
    pub async fn create_booking(&self, request: NewBooking) -> Result<Booked, MarketError> {
        let taken = match self.take(&request, HOLD).await? {
            Taken::Held(taken) => taken,
            Taken::Not(booked) => return Ok(booked),
        };
        let Held {
            id, fence, standing, ..
        } = taken;
        let NewBooking {
            user,
            key,
            gpu,
            interval,
            quote,
        } = request;
        let bookings = &self.source().records.bookings;
        let mut reason = standing.objection();
        let confirmed = if reason.is_some() {
            BookingOutcome::Gone
        } else {
            let confirm = ConfirmRequest {
                user: user.clone(),
                key: step(&key, "confirm")?,
                id: id.clone(),
                fence,
            };
            bookings.confirm(confirm).await?
        };
        let news = |change, total_cost| BookingNews {
            id: id.clone(),
            change,
            interval,
            price_per_hour: quote.price_per_hour,
            total_cost,
        };
        let cost = quote.price().cost_of(&interval).unwrap_or(quote.price_per_hour);
        let effects = match confirmed.decision() {
            BookingOutcome::Won { .. } if self.was_told(&confirmed, &id, &interval) => Effects::None,
            BookingOutcome::Won { .. } => self.spread_booking(&gpu, news(ChangeKind::Confirmed, cost)).await,
            BookingOutcome::Gone => {
                // Nobody will confirm what is left of it.
                let withdraw = CancelRequest {
                    user,
                    key: step(&key, "withdraw")?,
                    id: id.clone(),
                    fence,
                };
                if reason.is_none() {
                    reason = self.moved(&gpu, quote.version).await;
                }
                match bookings.cancel(withdraw).await?.won() {
                    Some(_) => self.spread_booking(&gpu, news(ChangeKind::Cancelled, cost)).await,
                    None => Effects::None,
                }
            }
            _ => Effects::None,
        };
        Ok(Booked {
            outcome: confirmed,
            effects,
            reason,
        })
    }

    /// Gives a booking back.
    ///
    /// # Errors
    /// When a system of record cannot be reached.
    pub async fn cancel_booking(&self, request: CancelRequest) -> Result<Booked, MarketError> {
        let id = request.id.clone();
        let records = &self.source().records;
        let outcome = records.bookings.cancel(request).await?;
        let effects = match outcome.won() {
            Some(_) => match records.ledger.booking(&id).await? {
                Some(booking) => self.spread_booking(&booking.gpu, cancelled(&booking)).await,
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

    /// Sets the state its operator has put a GPU in.
    ///
    /// # Errors
    /// `Inventory` when there is no such GPU, or the inventory cannot be reached.
    pub async fn update_gpu_status(
        &self,
        gpu: &GpuId,
        status: OperatorStatus,
    ) -> Result<Effects, MarketError> {
        let touched = self.source().records.control.set_status(gpu, status).await?;
        let news = News {
            gpu: Some(gpu.clone()),
            ..News::default()
        };
        let announcement = Announcement {
            kind: EventKind::GpuAvailabilityChanged,
            resource: gpu.to_string(),
            news,
        };
        Ok(self.spread_touched(touched, None, announcement).await)
    }

    /// Sets what the provider asks per hour. Quotes of the old price can no longer be booked.
    ///
    /// # Errors
    /// `Inventory` when the price is refused; `Bookings` when the price was set and told, but the booking store could
    /// not be told: repeat the request.
    pub async fn update_gpu_pricing(&self, gpu: &GpuId, base_price: Money) -> Result<Effects, MarketError> {
        let records = &self.source().records;
        let touched = records.control.set_base_price(gpu, base_price).await?;
        let version = records.inventory.gpu(gpu).await?;
        let version = version.map_or(PriceVersion::FIRST, |located| located.gpu.price_version);
        let repriced = records.bookings.reprice(gpu, version).await;
        let news = News {
            gpu: Some(gpu.clone()),
            ..News::default()
        };
        let announcement = Announcement {
            kind: EventKind::PricingUpdated,
            resource: gpu.to_string(),
            news,
        };
        let effects = self.spread_touched(touched, None, announcement).await;
        repriced?;
        Ok(effects)
    }

    /// Prices a shelf anew by its present supply, from all its pages, and tells every node.
    pub async fn dynamic_price(&self, shelf: &ShelfKey) -> Effects {
        let touch = Touch {
            shelves: [shelf.clone()].into(),
            ..Touch::default()
        };
        let (kind, resource) = (EventKind::PricingUpdated, shelf.to_string());
        self.spread(
            touch,
            Announcement {
                kind,
                resource,
                news: News::default(),
            },
        )
        .await
    }

    /// Takes all GPUs of a provider offline, or brings them back.
    ///
    /// # Errors
    /// `Inventory` when there is no such provider, or the inventory cannot be reached.
    pub async fn update_provider_status(
        &self,
        provider: &ProviderId,
        status: ProviderStatus,
    ) -> Result<Effects, MarketError> {
        let touched = self
            .source()
            .records
            .control
            .set_provider_status(provider, status)
            .await?;
        let news = News {
            provider: Some((provider.clone(), status)),
            ..News::default()
        };
        let announcement = Announcement {
            kind: EventKind::ProviderStatusChanged,
            resource: provider.to_string(),
            news,
        };
        Ok(self
            .spread_touched(touched, Some(provider.clone()), announcement)
            .await)
    }

    /// Tells every node of GPUs that were added to the inventory by other means than this.
    pub async fn stock_added(&self, touched: Touched) -> Effects {
        self.dropped(&keys::shelves()).await;
        let grown = self.grown(&touched).await;
        let resource = touched
            .shelves
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        let kind = EventKind::GpuAvailabilityChanged;
        let announcement = Announcement {
            kind,
            resource,
            news: News::default(),
        };
        let effects = self.spread_touched(touched, None, announcement).await;
        self.drop_tops(&grown).await;
        effects
    }

    /// Refreshes what a decision about a booking touched, and tells of it.
    pub(super) async fn spread_booking(&self, gpu: &GpuId, booking: BookingNews) -> Effects {
        let Ok(Some(page)) = self.source().place(gpu).await else {
            return Effects::None;
        };
        let announcement = Announcement {
            kind: booking.kind(),
            resource: gpu.to_string(),
            news: News {
                gpu: Some(gpu.clone()),
                booking: Some(booking),
                ..News::default()
            },
        };
        self.spread(
            Touch {
                pages: [page].into(),
                ..Touch::default()
            },
            announcement,
        )
        .await
    }

    async fn spread_touched(
        &self,
        touched: Touched,
        provider: Option<ProviderId>,
        announcement: Announcement,
    ) -> Effects {
        if touched.pages.is_empty() && provider.is_none() {
            return Effects::None;
        }
        let touch = Touch {
            pages: touched.pages,
            provider,
            ..Touch::default()
        };
        self.spread(touch, announcement).await
    }

    /// Whether this answers a request again whose booking every node has heard of.
    fn was_told(&self, outcome: &BookingOutcome, id: &BookingId, interval: &Interval) -> bool {
        matches!(outcome, BookingOutcome::Replay(_))
            && self.core.heard.contains(id, ChangeKind::Confirmed, interval)
    }
}

fn cancelled(booking: &Booking) -> BookingNews {
    let released = booking.state == crate::BookingState::Done;
    BookingNews::of(
        booking,
        if released {
            ChangeKind::Released
        } else {
            ChangeKind::Cancelled
        },
    )
}

/// The name of one step of a request.
pub(super) fn step(key: &IdempotencyKey, step: &str) -> Result<IdempotencyKey, Refusal> {
    let (bytes, longest) = (key.as_str().len(), LONGEST_KEY);
    let named = IdempotencyKey::new(format!("{key}/{step}")).ok();
    named
        .filter(|_| bytes <= longest)
        .ok_or(Refusal::LongKey { bytes, longest })
}

impl From<Refusal> for MarketError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CacheError> for MarketError {
    fn from(error: CacheError) -> Self {
        Self::Cache(error)
    }
}

impl From<BidBookError> for MarketError {
    fn from(error: BidBookError) -> Self {
        Self::Bids(error)
    }
}

impl From<BookingStoreError> for MarketError {
    fn from(error: BookingStoreError) -> Self {
        Self::Bookings(error)
    }
}

impl From<BookingLedgerError> for MarketError {
    fn from(error: BookingLedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<InventoryError> for MarketError {
    fn from(error: InventoryError) -> Self {
        Self::Inventory(error)
    }
}

impl fmt::Display for MarketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the request is refused",
            Self::Cache(_) => "what was asked for cannot be read",
            Self::Bids(_) => "the record of bids did not take the change",
            Self::Bookings(_) => "the booking store did not take the change",
            Self::Ledger(_) => "the ledger of bookings cannot be read",
            Self::Inventory(_) => "the inventory did not take the change",
        })
    }
}

impl std::error::Error for MarketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Refused(refusal) => refusal,
            Self::Cache(error) => error,
            Self::Bids(error) => error,
            Self::Bookings(error) => error,
            Self::Ledger(error) => error,
            Self::Inventory(error) => error,
        })
    }
}
