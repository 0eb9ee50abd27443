//! A shelf's order book: what is on offer at which price, what is wanted, and what was last paid.
//!
//! It shows the best of each; nothing is matched here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DEPTH, PriceLevel, PriceSheet, ShelfKey};
use crate::{Bid, Change, ChangeKind, GpuId, Money, StoreTime};

/// Trades an order book shows: a screenful.
pub const LAST_TRADES: usize = 20;

/// The order book of one shelf.
///
/// ```
/// use marketplace::shelf::{OrderBook, PriceSheet, ShelfKey};
/// use marketplace::{GpuModel, Region, ScarcityPricing};
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// let book = OrderBook::assemble(&PriceSheet::assemble(shelf, 0, [], &ScarcityPricing, None), &[], []);
/// assert!(book.asks.is_empty());
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBook {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// Available GPUs by current price, cheapest first: the [`DEPTH`] lowest prices.
    pub asks: Vec<PriceLevel>,
    /// Available GPUs at higher prices than those.
    pub beyond: u64,
    /// Bids that wait by the price they would pay, highest first: the [`DEPTH`] highest prices.
    pub bids: Vec<PriceLevel>,
    /// The newest trades, newest first, at most [`LAST_TRADES`].
    pub last_trades: Vec<Trade>,
}

impl OrderBook {
    /// Puts a shelf's asks, bids, and trades, newest first, together.
    #[must_use]
    pub fn assemble(sheet: &PriceSheet, bids: &[Bid], trades: impl IntoIterator<Item = Trade>) -> Self {
        let mut wanted: BTreeMap<Money, u64> = BTreeMap::new();
        for bid in bids {
            *wanted.entry(bid.at_most).or_default() += 1;
        }
        let highest = wanted.into_iter().rev().take(DEPTH);
        let asks: Vec<PriceLevel> = sheet
            .whole
            .asks
            .iter()
            .map(|ask| PriceLevel {
                price: sheet.multiplier.applied_to(ask.price),
                count: ask.count,
            })
            .collect();
        let shown: u64 = asks.iter().map(|ask| ask.count).sum();
        Self {
            shelf: sheet.shelf.clone(),
            asks,
            beyond: sheet.whole.states.available.saturating_sub(shown),
            bids: highest
                .map(|(price, count)| PriceLevel { price, count })
                .collect(),
            last_trades: trades.into_iter().take(LAST_TRADES).collect(),
        }
    }
}

/// One confirmed booking as the order book shows it: without its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// The GPU.
    pub gpu: GpuId,
    /// What it was booked at.
    pub price_per_hour: Money,
    /// For how long, in milliseconds.
    pub millis: u64,
    /// When it was confirmed.
    pub at: StoreTime,
}

impl Trade {
    /// The trade a change made, if it made one.
    #[must_use]
    pub fn of(change: &Change) -> Option<Self> {
        (change.kind == ChangeKind::Confirmed).then(|| Self {
            gpu: change.booking.gpu.clone(),
            price_per_hour: change.booking.quote.price_per_hour,
            millis: change.booking.interval.millis(),
            at: change.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::GpuPage;
    use super::super::fixtures::{free_page, listed, sheet, taken, usd};
    use super::*;

    #[test]
    fn asks_of_all_pages_are_merged_at_current_prices() {
        let second = listed("us", "T4", 1, &["1", "2", "2"]);
        let occupied: Vec<_> = second.gpus.iter().map(|gpu| taken(&gpu.id, 9)).take(2).collect();
        let pages = [
            free_page("us", "T4", 0, &["2", "1"]),
            GpuPage::assemble(&second, &occupied),
        ];
        let book = OrderBook::assemble(&sheet(&pages), &[], []);
        let asks: Vec<_> = book.asks.iter().map(|ask| (ask.price, ask.count)).collect();
        assert_eq!(asks, [(usd("1"), 1), (usd("2"), 2)]);
    }

    #[test]
    fn what_is_dearer_than_the_book_is_deep_is_counted() {
        let prices: Vec<String> = (1..=20).map(|dollars| dollars.to_string()).collect();
        let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
        let book = OrderBook::assemble(&sheet(&[free_page("us", "T4", 0, &prices)]), &[], []);
        assert_eq!(
            (book.asks.len(), book.asks[15].price, book.beyond),
            (16, usd("16"), 4)
        );
    }

    #[test]
    fn only_the_newest_trades_are_shown() {
        let trade = |at| Trade {
            gpu: GpuId::new("g").unwrap(),
            price_per_hour: usd("1"),
            millis: 1,
            at: StoreTime::from_millis(at),
        };
        let book = OrderBook::assemble(
            &sheet(&[free_page("us", "T4", 0, &["1"])]),
            &[],
            (0..30).rev().map(trade),
        );
        assert_eq!(book.last_trades.len(), LAST_TRADES);
        assert_eq!(book.last_trades[0].at.as_millis(), 29);
    }
}
