//! What this node has read of the ledger's change log: last trades, a day of bookings, and past prices.
//!
//! It is fed only when somebody asks, with the rows that came since. What the log no longer holds, it does not know.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::Failure;
use super::records::Source;
use crate::namespaces::{PriceHistory, TradedHour};
use crate::shelf::{DayTotals, DayWindow, LAST_TRADES, ShelfKey, Trade};
use crate::{Change, Cursor, Money, Region, StoreTime};

/// Rows read at once: a megabyte or so of changes.
const ROWS: usize = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// Hours of past prices: a week, in which prices repeat themselves if they do.
const HOURS: usize = 7 * 24;

/// The log as far as it was read.
#[derive(Default)]
pub(super) struct Tape(Mutex<Roll>);

struct Roll {
    read_to: Cursor,
    shelves: HashMap<ShelfKey, Past>,
    regions: HashMap<Region, DayWindow>,
}

/// What happened on one shelf.
#[derive(Default)]
struct Past {
    /// Newest first.
    trades: VecDeque<Trade>,
    /// By the hour since the clock's epoch.
    hours: BTreeMap<i64, Hour>,
}

struct Hour {
    trades: u64,
    lowest: Money,
    highest: Money,
    total: Option<Money>,
}

impl Tape {
    /// The newest trades of a shelf, newest first: all that were decided before this call are counted.
    pub(super) async fn trades(&self, source: &Source, shelf: &ShelfKey) -> Result<Vec<Trade>, Failure> {
        let roll = self.up_to_date(source).await?;
        let past = roll.shelves.get(shelf);
        Ok(past.map_or_else(Vec::new, |past| past.trades.iter().cloned().collect()))
    }

    /// The last 24 hours of a region.
    pub(super) async fn day(&self, source: &Source, region: &Region) -> Result<DayTotals, Failure> {
        let mut roll = self.up_to_date(source).await?;
        let window = roll.regions.get_mut(region);
        Ok(window.map_or_else(DayTotals::default, |window| window.totals(source.now())))
    }

    /// The traded hours of a shelf's last seven days.
    pub(super) async fn history(&self, source: &Source, shelf: &ShelfKey) -> Result<PriceHistory, Failure> {
        let roll = self.up_to_date(source).await?;
        let hours = roll.shelves.get(shelf).map_or_else(Vec::new, Past::traded_hours);
        Ok(PriceHistory {
            shelf: shelf.clone(),
            hours,
        })
    }

    async fn up_to_date(&self, source: &Source) -> Result<MutexGuard<'_, Roll>, Failure> {
        let mut roll = self.0.lock().await;
        loop {
            let changes = source.records.ledger.changes_since(roll.read_to, ROWS).await?;
            for change in &changes.rows {
                if let Some(page) = source.place(&change.booking.gpu).await? {
                    roll.record(page.shelf, change);
                }
                roll.read_to = change.cursor;
            }
            if changes.rows.len() < ROWS {
                return Ok(roll);
            }
        }
    }
}

impl Roll {
    fn record(&mut self, shelf: ShelfKey, change: &Change) {
        self.regions
            .entry(shelf.region.clone())
            .or_default()
            .record(change);
        if let Some(trade) = Trade::of(change) {
            self.shelves.entry(shelf).or_default().record(trade);
        }
    }
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            read_to: Cursor::START,
            shelves: HashMap::new(),
            regions: HashMap::new(),
        }
    }
}

impl Past {
    fn record(&mut self, trade: Trade) {
        let price = trade.price_per_hour;
        let hour = trade.at.as_millis().div_euclid(millis(HOUR));
        self.hours
            .entry(hour)
            .and_modify(|hour| {
                hour.trades += 1;
                hour.lowest = hour.lowest.min(price);
                hour.highest = hour.highest.max(price);
                hour.total = hour.total.and_then(|total| total.checked_add(price).ok());
            })
            .or_insert(Hour {
                trades: 1,
                lowest: price,
                highest: price,
                total: Some(price),
            });
        while self.hours.len() > HOURS
            || self
                .hours
                .keys()
                .next()
                .is_some_and(|old| hour - old >= HOURS as i64)
        {
            self.hours.pop_first();
        }
        self.trades.push_front(trade);
        self.trades.truncate(LAST_TRADES);
    }

    fn traded_hours(&self) -> Vec<TradedHour> {
        let traded = |(number, hour): (&i64, &Hour)| TradedHour {
            start: StoreTime::from_millis(number.saturating_mul(millis(HOUR))),
            trades: hour.trades,
            lowest: hour.lowest,
            highest: hour.highest,
            mean: hour
                .total
                .and_then(|total| total.scaled(1, NonZeroU64::new(hour.trades)?).ok()),
        };
        self.hours.iter().map(traded).collect()
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
