//! A booking and the states it passes through.
//!
//! It decides nothing: the store that granted it is the only one that moves it.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::{BookingId, GpuId, Interval, Money, MoneyError, StoreTime, UserId};

/// One user's right to one GPU for one interval.
///
/// ```
/// use marketplace::{Booking, BookingId, BookingState, Currency, Fence, GpuId, Interval, Money, PriceVersion, Quote,
///     StoreTime, UserId};
/// let at = StoreTime::from_millis;
/// let quote = Quote { price_per_hour: Money::parse("2.00", Currency::USD)?, version: PriceVersion::FIRST };
/// let interval = Interval::new(at(0), at(1_800_000))?;
/// let booking = Booking {
///     id: BookingId::new("b-1")?,
///     gpu: GpuId::new("gpu-1")?,
///     user: UserId::new("ada")?,
///     interval,
///     state: BookingState::Confirmed,
///     quote,
///     total_cost: quote.cost_of(&interval)?,
///     created: at(0),
///     fence: Fence(1),
/// };
/// assert_eq!(booking.total_cost.to_string(), "1.00 USD");
/// assert_eq!(booking.state_at(at(1)), BookingState::Active);
/// assert_eq!(booking.state_at(at(1_800_000)), BookingState::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Its name.
    pub id: BookingId,
    /// The GPU it takes.
    pub gpu: GpuId,
    /// Whose it is.
    pub user: UserId,
    /// When it takes the GPU. An early release ends it at the instant of release.
    pub interval: Interval,
    /// Where it stands.
    pub state: BookingState,
    /// The price it was granted at.
    pub quote: Quote,
    /// What the interval costs at that price.
    pub total_cost: Money,
    /// When it was held.
    pub created: StoreTime,
    /// The number of this grant among all of its GPU's.
    pub fence: Fence,
}

impl Booking {
    /// Where it stands at `now`, counting what time alone has done to it since it was last written.
    ///
    /// A store writes only what it decides. That a hold lapsed, a confirmed booking began or ended follows from
    /// the clock and needs no write.
    #[must_use]
    pub fn state_at(&self, now: StoreTime) -> BookingState {
        match self.state {
            BookingState::Held { until } if until <= now => BookingState::Expired,
            BookingState::Confirmed if self.interval.end() <= now => BookingState::Done,
            BookingState::Confirmed if self.interval.start() <= now => BookingState::Active,
            state => state,
        }
    }
}

/// Where a booking stands.
///
/// `Held -> Confirmed -> Active -> Done`; `Held | Confirmed -> Cancelled`; `Held -> Expired`. Cancelling an
/// `Active` booking releases the rest of it: it becomes `Done`, ends at that instant, and costs what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BookingState {
    /// Taken for its user to confirm before `until`.
    Held {
        /// The first instant at which it can no longer be confirmed.
        until: StoreTime,
    },
    /// Bought, not yet begun.
    Confirmed,
    /// Bought and running.
    Active,
    /// Over, at its end or by early release.
    Done,
    /// Given back before it began.
    Cancelled,
    /// Held and never confirmed.
    Expired,
}

impl BookingState {
    /// Whether a booking in this state keeps others out of its interval.
    #[must_use]
    pub fn takes_its_interval(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Expired)
    }
}

/// The number of one grant of a GPU: each later grant of that GPU has a higher one.
///
/// The machine that owns the GPU refuses a start whose fence is lower than one it has already served for an
/// overlapping interval. So even when two stores were to grant the same time, one tenant gets the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often a GPU's base price had changed; a higher one is newer.
///
/// The scarcity multiplier is not versioned: it moves with every booking, so a quote that had to be of the
/// newest multiplier could hardly ever be confirmed on a busy market. A hold keeps the price it was quoted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceVersion(pub u64);

impl PriceVersion {
    /// The version of a base price that was never changed.
    pub const FIRST: Self = Self(0);
}

/// A price that was shown to a user, with the base price's version it was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quote {
    /// What the user agreed to pay per hour.
    pub price_per_hour: Money,
    /// The base price's version at that time.
    pub version: PriceVersion,
}

impl Quote {
    /// What `interval` costs at this price, to the millisecond.
    ///
    /// # Errors
    /// When the cost does not fit.
    pub fn cost_of(&self, interval: &Interval) -> Result<Money, MoneyError> {
        self.price_per_hour.scaled(interval.millis(), MILLIS_PER_HOUR)
    }
}

const MILLIS_PER_HOUR: NonZeroU64 = NonZeroU64::new(3_600_000).expect("an hour is not empty");
