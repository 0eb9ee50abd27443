//! Bids on a node: posted and withdrawn, shown in the order book of every node, and served when supply returns.
//!
//! Who is served is decided by the order of posting among those who pay enough; what is granted, by the booking store.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use cache_core::EventKind;

use super::groups::on_shelf;
use super::news::News;
use super::refusals::{Refusal, admitted_price};
use super::spread::Announcement;
use super::{Effects, MarketError, Marketplace, TimedQuote};
use crate::bids::{Bid, NewBid};
use crate::shelf::{Availability, ShelfKey};
use crate::{BidId, BookingOutcome, IdempotencyKey, Interval, NewBooking, UserId};

/// Times a booking whose answer was lost is asked for again before the bid is left for good.
const REPEATS: usize = 3;

/// Candidates looked up for one bid: each that is taken meanwhile costs an attempt, and few are.
const CANDIDATES: usize = 16;

/// An attempt to serve a bid whose end is not known.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    bid: Bid,
    wanted: NewBooking,
}

/// How an attempt to serve a bid has ended.
enum Attempt {
    /// With a booking.
    Served(BookingOutcome),
    /// With none, and this node makes the next one.
    Failed,
    /// Another node makes it, or the next round.
    Left,
}

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
        self.admit_length(request.length)?;
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
    /// When the records cannot be reached; what was served stays served, and a booking that was begun is taken up again in
    /// the next round of this node.
    pub async fn serve_bids(&self, shelf: &ShelfKey) -> Result<Vec<(BidId, BookingOutcome)>, MarketError> {
        let mut served = Vec::new();
        let waiting = self.source().records.bids.waiting(shelf).await?;
        self.begun()
            .retain(|id, begun| begun.bid.shelf != *shelf || waiting.iter().any(|bid| bid.id == *id));
        for bid in waiting {
            if let Some(outcome) = self.serve(&bid).await? {
                served.push((bid.id, outcome));
            }
        }
        if !served.is_empty() {
            self.spread_bids(shelf).await;
        }
        Ok(served)
    }

    /// The booking that serves a bid, if one can be had: of the GPUs that are free for all of its length the cheapest, and
    /// after a conflict the next.
    async fn serve(&self, bid: &Bid) -> Result<Option<BookingOutcome>, MarketError> {
        let mut bid = bid.clone();
        let begun = self.begun().get(&bid.id).cloned();
        if let Some(begun) = begun {
            // How that ended is not known yet, and only the same request can tell.
            bid.attempt = begun.bid.attempt;
            match self.attempt(&bid, begun.wanted).await? {
                Attempt::Failed => bid.attempt += 1,
                Attempt::Served(outcome) => return Ok(Some(outcome)),
                Attempt::Left => return Ok(None),
            }
        }
        let now = self.source().now();
        let Ok(interval) = Interval::new(now, now.plus(bid.length)) else {
            return Ok(None);
        };
        // Those that are shown as busy now are not free from now on.
        let filter = on_shelf(&bid.shelf, Some(bid.at_most), Availability::Available);
        let free = self.free_throughout(filter, interval, CANDIDATES).await?.value;
        for candidate in free.list {
            // The key belongs to the attempt: of nodes that serve the same bid at once, all but one find it used.
            let key = IdempotencyKey::new(format!("{}/{}", bid.id, bid.attempt));
            let Ok(key) = key else { return Ok(None) };
            let wanted = NewBooking {
                user: bid.user.clone(),
                key,
                gpu: candidate.gpu,
                interval,
                quote: TimedQuote {
                    price_per_hour: candidate.quote.price_per_hour,
                    version: candidate.quote.version,
                    valid_until: free.valid_until,
                },
            };
            match self.attempt(&bid, wanted).await? {
                Attempt::Failed => bid.attempt += 1,
                Attempt::Served(outcome) => return Ok(Some(outcome)),
                Attempt::Left => return Ok(None),
            }
        }
        Ok(None)
    }

    /// One attempt to serve a bid. Until its end is known it is kept, to be made again with the same words: another
    /// request under its key would be refused for good.
    async fn attempt(&self, bid: &Bid, wanted: NewBooking) -> Result<Attempt, MarketError> {
        let begun = Begun {
            bid: bid.clone(),
            wanted: wanted.clone(),
        };
        self.begun().insert(bid.id.clone(), begun);
        let mut outcome = BookingOutcome::Uncertain;
        for _repeat in 0..REPEATS {
            outcome = match self.create_booking(wanted.clone()).await {
                Ok(booked) => booked.outcome,
                // It was admitted when it was posted, under other settings: it must not keep the next bids waiting.
                Err(MarketError::Refused(_)) => {
                    self.begun().remove(&bid.id);
                    return Ok(Attempt::Left);
                }
                Err(error) => return Err(error),
            };
            if outcome != BookingOutcome::Uncertain {
                break;
            }
        }
        let bids = &self.source().records.bids;
        let attempt = match outcome.decision() {
            BookingOutcome::Won { .. } => {
                bids.withdraw(&bid.user, &bid.id).await?;
                Attempt::Served(outcome)
            }
            // Whoever is the first to say that it failed makes the next one.
            BookingOutcome::Conflict { .. } | BookingOutcome::Gone => {
                match bids.failed(&bid.id, bid.attempt).await? {
                    true => Attempt::Failed,
                    false => Attempt::Left,
                }
            }
            BookingOutcome::Uncertain => return Ok(Attempt::Left),
            _ => Attempt::Left,
        };
        self.begun().remove(&bid.id);
        Ok(attempt)
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<BidId, Begun>> {
        self.core.begun.lock().unwrap_or_else(PoisonError::into_inner)
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
