//! What this node has read of the ledger's change log: last trades, a day of bookings, and past prices.
//!
//! It is fed only when somebody asks, with the rows that came since. What the log no longer holds, it does not know.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::Failure;
use super::position::position_at;
use super::records::Source;
use crate::namespaces::{PriceHistory, TradedHour};
use crate::shelf::{DayTotals, DayWindow, LAST_TRADES, ShelfKey, Trade};
use crate::{Change, Cursor, Money, ProviderId, Region, StoreTime};

/// Rows read at once: a megabyte or so of changes.
const ROWS: usize = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// Hours of past prices: a week, in which prices repeat themselves if they do.
const HOURS: usize = 7 * 24;

/// The log as far as it was read.
#[derive(Default)]
pub(super) struct Tape(Mutex<Roll>);

#[derive(Default)]
struct Roll {
    /// `None` before the first look.
    read_to: Option<Cursor>,
    shelves: HashMap<ShelfKey, Past>,
    providers: HashMap<ProviderId, DayWindow>,
}

/// What happened on one shelf.
#[derive(Default)]
struct Past {
    /// Newest first.
    trades: VecDeque<Trade>,
    /// By the hour since the clock's epoch.
    hours: BTreeMap<i64, Hour>,
    day: DayWindow,
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

    /// The last 24 hours of a region, shelf by shelf.
    pub(super) async fn day(
        &self,
        source: &Source,
        region: &Region,
    ) -> Result<HashMap<ShelfKey, DayTotals>, Failure> {
        let mut roll = self.up_to_date(source).await?;
        let now = source.now();
        let of_region = roll
            .shelves
            .iter_mut()
            .filter(|(shelf, _)| shelf.region == *region);
        Ok(of_region
            .map(|(shelf, past)| (shelf.clone(), past.day.totals(now)))
            .collect())
    }

    /// The last 24 hours of a provider.
    pub(super) async fn provider_day(
        &self,
        source: &Source,
        provider: &ProviderId,
    ) -> Result<DayTotals, Failure> {
        let mut roll = self.up_to_date(source).await?;
        let day = roll.providers.get_mut(provider);
        Ok(day.map_or_else(DayTotals::default, |day| day.totals(source.now())))
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
        let ledger = &*source.records.ledger;
        let mut read_to = match roll.read_to {
            Some(read_to) => read_to,
            // A log may hold years; all that is shown of it is a week.
            None => position_at(ledger, source.now().minus(HOUR * HOURS as u32)).await?,
        };
        loop {
            let changes = ledger.changes_since(read_to, ROWS).await?;
            for change in &changes.rows {
                if let Some((page, provider)) = source.known(&change.booking.gpu).await? {
                    roll.record(page.shelf, provider, change);
                }
                read_to = change.cursor;
                roll.read_to = Some(read_to);
            }
            if changes.rows.len() < ROWS {
                roll.read_to = Some(read_to);
                return Ok(roll);
            }
        }
    }
}

impl Roll {
    fn record(&mut self, shelf: ShelfKey, provider: ProviderId, change: &Change) {
        self.providers.entry(provider).or_default().record(change);
        let past = self.shelves.entry(shelf).or_default();
        past.day.record(change);
        if let Some(trade) = Trade::of(change) {
            past.record(trade);
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
