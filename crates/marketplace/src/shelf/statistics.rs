//! Figures for the whole market, or any part of it, summed from price sheets and a day of bookings.
//!
//! They are sums of views and as old as the oldest of them; no decision reads them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PriceSheet, StateCounts};
use crate::{BookingId, Change, ChangeKind, Currency, Money, StoreTime};

/// The market in numbers.
///
/// ```
/// use marketplace::shelf::{DayTotals, MarketStats};
/// let closed = MarketStats::assemble([], DayTotals::default());
/// assert_eq!((closed.states.total(), closed.average_price), (0, None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketStats {
    /// GPUs by state.
    pub states: StateCounts,
    /// The mean current price per hour of the available GPUs; `None` when none is, or there is no sum of their prices.
    pub average_price: Option<Money>,
    /// Bookings and volume of the last 24 hours.
    pub day: DayTotals,
    /// Busy GPUs among those in service; nothing when none is in service.
    pub utilisation: Share,
}

impl MarketStats {
    /// Sums up `sheets`.
    #[must_use]
    pub fn assemble<'a>(sheets: impl IntoIterator<Item = &'a PriceSheet>, day: DayTotals) -> Self {
        let (mut states, mut totals) = (StateCounts::default(), Vec::new());
        for sheet in sheets {
            states += sheet.whole.states;
            totals.extend((sheet.whole.states.available > 0).then(|| asked_in_total(sheet)));
        }
        Self::of(states, Money::total(totals), day)
    }

    /// The figures of GPUs in these states, when the available ones are asked for at `asked` in total.
    #[must_use]
    pub fn of(states: StateCounts, asked: Option<Money>, day: DayTotals) -> Self {
        let mean = |total: Money| total.scaled(1, NonZeroU64::new(states.available)?).ok();
        Self {
            states,
            average_price: asked.and_then(mean),
            day,
            utilisation: Share::of(states.busy, states.busy + states.available),
        }
    }
}

/// The sum of a shelf's current prices of available GPUs.
pub(crate) fn asked_in_total(sheet: &PriceSheet) -> Option<Money> {
    let total = sheet.whole.available_total;
    total.map(|base| sheet.multiplier.applied_to(base))
}

/// A part of a whole in thousandths, rounded down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Share(u16);

impl Share {
    /// `part` of `whole`; of nothing it is nothing. A part larger than the whole counts as the whole.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Self {
        let thousandths = u128::from(part.min(whole)) * 1000 / u128::from(whole.max(1));
        Self(u16::try_from(thousandths).unwrap_or(1000))
    }

    /// Thousandths, 0 to 1000.
    #[must_use]
    pub const fn as_per_mille(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 10, self.0 % 10)
    }
}

/// What was booked within 24 hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTotals {
    /// Confirmed bookings that were not cancelled.
    pub bookings: u64,
    /// What they cost; `None` when there are none, or no sum of their costs.
    pub volume: Option<Money>,
}

/// Remembers the bookings of the last 24 hours, from the store's change log. Hearing a change twice changes
/// nothing, so it can be fed from a log that repeats itself.
///
/// ```
/// use marketplace::StoreTime;
/// use marketplace::shelf::{DayTotals, DayWindow};
/// let mut window = DayWindow::default();
/// assert_eq!(window.totals(StoreTime::from_millis(0)), DayTotals::default());
/// ```
#[derive(Debug, Default)]
pub struct DayWindow {
    confirmed: VecDeque<(StoreTime, BookingId)>,
    costs: HashMap<BookingId, Money>,
    /// Of all costs, kept as they come and go: a sum over a day of bookings for each booking would be one of squares.
    volumes: BTreeMap<Currency, Volume>,
}

#[derive(Debug, Default)]
struct Volume {
    bookings: u64,
    micros: i128,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl DayWindow {
    /// Hears of a change; changes come in the log's order.
    pub fn record(&mut self, change: &Change) {
        let booking = &change.booking;
        self.forget(change.at);
        match change.kind {
            ChangeKind::Confirmed => {
                if !self.costs.contains_key(&booking.id) {
                    self.confirmed.push_back((change.at, booking.id.clone()));
                    self.count(&booking.id, booking.total_cost);
                }
            }
            ChangeKind::Released | ChangeKind::Extended | ChangeKind::Completed => {
                if self.discount(&booking.id) {
                    self.count(&booking.id, booking.total_cost);
                }
            }
            ChangeKind::Cancelled => {
                self.discount(&booking.id);
            }
            ChangeKind::Held | ChangeKind::Expired => {}
        }
    }

    /// The totals of the 24 hours up to `now`; what is older is forgotten.
    pub fn totals(&mut self, now: StoreTime) -> DayTotals {
        self.forget(now);
        let mut volumes = self.volumes.iter();
        let volume = match (volumes.next(), volumes.next()) {
            (Some((currency, volume)), None) => {
                let micros = i64::try_from(volume.micros).ok();
                micros.map(|micros| Money::from_micros(micros, *currency))
            }
            _ => None,
        };
        DayTotals {
            bookings: self.costs.len() as u64,
            volume,
        }
    }

    fn forget(&mut self, now: StoreTime) {
        while let Some((_, id)) = self.confirmed.pop_front_if(|(at, _)| at.plus(DAY) <= now) {
            self.discount(&id);
        }
    }

    fn count(&mut self, id: &BookingId, cost: Money) {
        self.costs.insert(id.clone(), cost);
        let volume = self.volumes.entry(cost.currency).or_default();
        volume.bookings += 1;
        volume.micros += i128::from(cost.micros);
    }

    /// Whether it was counted.
    fn discount(&mut self, id: &BookingId) -> bool {
        let Some(cost) = self.costs.remove(id) else {
            return false;
        };
        if let Some(volume) = self.volumes.get_mut(&cost.currency) {
            volume.bookings -= 1;
            volume.micros -= i128::from(cost.micros);
        }
        self.volumes.retain(|_, volume| volume.bookings > 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::GpuPage;
    use super::super::fixtures::{free_page, listed, sheet, taken, usd};
    use super::*;
    use crate::{Booking, BookingState, Cursor, Fence, GpuId, Interval, PriceVersion, Quote, UserId};

    #[test]
    fn the_market_is_summed_over_shelves_at_current_prices() {
        let scarce = listed("us", "T4", 0, &["1", "1", "1"]);
        let occupied: Vec<_> = scarce.gpus.iter().map(|gpu| taken(&gpu.id, 9)).collect();
        let half = listed("us", "A10", 0, &["1", "2", "5", "3"]);
        let few: Vec<_> = half.gpus[1..]
            .iter()
            .map(|gpu| taken(&gpu.id, 9))
            .take(2)
            .collect();
        let sheets = [
            sheet(&[GpuPage::assemble(&scarce, &occupied)]),
            sheet(&[GpuPage::assemble(&half, &few)]),
            sheet(&[free_page("eu", "T4", 0, &["5"])]),
        ];
        let stats = MarketStats::assemble(&sheets, DayTotals::default());
        assert_eq!(
            (stats.states.total(), stats.states.busy, stats.states.available),
            (8, 5, 3)
        );
        assert_eq!(
            stats.average_price,
            Some(usd("3")),
            "one at 1.00, one at 3.00 and one at 5.00: what is taken has no price"
        );
        assert_eq!(stats.utilisation.to_string(), "62.5 %", "five of eight");
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!(Share::of(0, 0).as_per_mille(), 0);
        assert_eq!(Share::of(u64::MAX, u64::MAX).as_per_mille(), 1000);
        assert_eq!(Share::of(2, 3).as_per_mille(), 666);
    }

    fn change(id: &str, kind: ChangeKind, at: i64, cost: &str) -> Change {
        let interval = Interval::new(StoreTime::from_millis(0), StoreTime::from_millis(1)).unwrap();
        let quote = Quote {
            price_per_hour: usd("1"),
            version: PriceVersion::FIRST,
        };
        let booking = Booking {
            id: BookingId::new(id).unwrap(),
            gpu: GpuId::new("g").unwrap(),
            user: UserId::new("u").unwrap(),
            interval,
            state: BookingState::Confirmed,
            quote,
            total_cost: usd(cost),
            created: StoreTime::from_millis(at),
            fence: Fence(1),
        };
        Change {
            cursor: Cursor(1),
            at: StoreTime::from_millis(at),
            kind,
            booking,
        }
    }

    #[test]
    fn a_day_counts_confirmed_bookings_once_and_cancelled_ones_not() {
        let mut window = DayWindow::default();
        for (id, kind, cost) in [
            ("a", ChangeKind::Held, "1"),
            ("a", ChangeKind::Confirmed, "1"),
            ("a", ChangeKind::Confirmed, "1"),
            ("b", ChangeKind::Confirmed, "2"),
            ("b", ChangeKind::Cancelled, "2"),
            ("c", ChangeKind::Confirmed, "5"),
            ("c", ChangeKind::Released, "3"),
        ] {
            window.record(&change(id, kind, 10, cost));
        }
        let totals = window.totals(StoreTime::from_millis(20));
        assert_eq!(
            totals,
            DayTotals {
                bookings: 2,
                volume: Some(usd("4"))
            }
        );
    }

    #[test]
    fn a_booking_leaves_the_window_24_hours_after_it_was_confirmed() {
        let mut window = DayWindow::default();
        window.record(&change("a", ChangeKind::Confirmed, 10, "1"));
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(window.totals(StoreTime::from_millis(10 + day - 1)).bookings, 1);
        assert_eq!(
            window.totals(StoreTime::from_millis(10 + day)),
            DayTotals::default()
        );
    }
}
