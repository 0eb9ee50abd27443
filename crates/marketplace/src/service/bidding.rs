//! Bids on a node: posted and withdrawn, shown in the order book of every node, and served when supply returns.
//!
//! Who is served is decided by the order of posting among those who pay enough; what is granted, by the booking store.

use std::time::Duration;

use cache_core::EventKind;

use super::news::News;
use super::refusals::{Refusal, admitted_price};
use super::spread::Announcement;
use super::{Effects, MarketError, Marketplace, TimedQuote};
use crate::bids::{Bid, NewBid};
use crate::shelf::{SearchFilter, ShelfKey};
use crate::{BidId, BookingOutcome, IdempotencyKey, Interval, NewBooking, UserId};

/// Times a booking whose answer was lost is asked for again before the bid is left for good.
const REPEATS: usize = 3;

impl Marketplace {
    /// Posts a bid: it waits for a GPU of a shelf that costs no more, until its deadline.
    ///
    /// It is served by whichever node follows the changes, within about a second after a GPU can be had at its price, in
    /// the order of posting: a booking from that instant on for the length asked, at the price the GPU then has. It is
    /// served at most once. A node that dies while it serves a bid may leave it waiting, unserved, to its deadline; and
    /// the record in memory forgets its bids with the process.
    ///
    /// # Errors
    /// `Refused` when region or model is unknown, the bid is below zero, its deadline has passed, or it asks for longer
    /// than may be booked; `Bids` when the record refuses it or cannot be reached.
    pub async fn post_bid(&self, request: NewBid) -> Result<(Bid, Effects), MarketError> {
        let priced = self.gpu_pricing(&request.shelf).await?.value;
        let currency = priced.and_then(|sheet| Some(sheet.whole.any?.cheapest.currency));
        admitted_price(request.at_most, currency.unwrap_or(request.at_most.currency))?;
        let (until, now) = (request.until, self.source().now());
        if until <= now {
            return Err(Refusal::DeadlineOver { until, now }.into());
        }
        let longest = self.core.settings.longest_booking;
        let asked = request.length;
        if asked > longest {
            return Err(Refusal::TooLong { asked, longest }.into());
        }
        if asked < Duration::from_millis(1) {
            return Err(Refusal::NoLength.into());
        }
        let bid = self.source().records.bids.post(request).await?;
        let effects = self.spread_bids(&bid.shelf).await;
        Ok((bid, effects))
    }

    /// Takes a bid back, and says whether the user had it waiting.
    ///
    /// # Errors
    /// `Bids` when the record cannot be reached.
    pub async fn withdraw_bid(&self, user: &UserId, id: &BidId) -> Result<(bool, Effects), MarketError> {
        match self.source().records.bids.withdraw(user, id).await? {
            Some(bid) => Ok((true, self.spread_bids(&bid.shelf).await)),
            None => Ok((false, Effects::None)),
        }
    }

    /// Serves the bids of a shelf that can be served now, in the order of posting, and says which bookings were made.
    /// [`follow_changes`](Self::follow_changes) does this every second.
    ///
    /// # Errors
    /// When the records cannot be reached; what was served stays served.
    pub async fn serve_bids(&self, shelf: &ShelfKey) -> Result<Vec<(BidId, BookingOutcome)>, MarketError> {
        let mut served = Vec::new();
        for bid in self.source().records.bids.waiting(shelf).await? {
            if let Some(outcome) = self.serve(&bid).await? {
                served.push((bid.id, outcome));
            }
        }
        if !served.is_empty() {
            self.spread_bids(shelf).await;
        }
        Ok(served)
    }

    /// The booking that serves a bid, if one can be had.
    async fn serve(&self, bid: &Bid) -> Result<Option<BookingOutcome>, MarketError> {
        let filter = SearchFilter {
            region: Some(bid.shelf.region.clone()),
            model: Some(bid.shelf.model.clone()),
            max_price: Some(bid.at_most),
            ..SearchFilter::default()
        };
        let cheapest = self.search_gpus(filter, 1).await?.value.pop();
        let now = self.source().now();
        let interval = Interval::new(now, now.plus(bid.length));
        let (Some(gpu), Ok(interval)) = (cheapest, interval) else {
            return Ok(None);
        };
        // The key belongs to the attempt: of nodes that serve the same bid at once, all but one find it used.
        let key = IdempotencyKey::new(format!("{}/{}", bid.id, bid.attempt));
        let Ok(key) = key else { return Ok(None) };
        let quote: TimedQuote = self.quoted(gpu.current_price, gpu.price_version);
        let wanted = NewBooking {
            user: bid.user.clone(),
            key,
            gpu: gpu.id,
            interval,
            quote,
        };
        let mut outcome = BookingOutcome::Uncertain;
        for _repeat in 0..REPEATS {
            outcome = self.create_booking(wanted.clone()).await?.outcome;
            if outcome != BookingOutcome::Uncertain {
                break;
            }
        }
        let bids = &self.source().records.bids;
        match outcome.decision() {
            BookingOutcome::Won { .. } => {
                bids.withdraw(&bid.user, &bid.id).await?;
                Ok(Some(outcome))
            }
            BookingOutcome::Conflict { .. } | BookingOutcome::Gone => {
                bids.failed(&bid.id, bid.attempt).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Serves whoever can be served on any shelf. What cannot be reached now is tried again in the next round.
    pub(super) async fn serve_all_bids(&self) {
        let shelves = self.source().records.bids.shelves().await;
        for shelf in shelves.unwrap_or_default() {
            let _ = self.serve_bids(&shelf).await;
        }
    }

    /// Shows every node the bids of a shelf as they are now, in a task of its own.
    async fn spread_bids(&self, shelf: &ShelfKey) -> Effects {
        let (market, shelf) = (self.clone(), shelf.clone());
        let announcement = Announcement {
            kind: EventKind::OrderBookUpdated,
            resource: shelf.to_string(),
            news: News::default(),
        };
        let carried = tokio::spawn(async move {
            let sheet = market.shared_sheet(&shelf).await.ok().flatten();
            let sheet = sheet.map(|sheet| (sheet.version(), sheet.into_arc()));
            let book = market.spread_book(&shelf, sheet).await;
            market.announce(vec![book.outcome()], announcement).await
        });
        carried.await.unwrap_or(Effects::Queued)
    }
}
