//! Quotes with an end, and whether a price that was quoted still holds.
//!
//! A quote is no promise that the GPU is free: it says what it costs, should it be.

use serde::{Deserialize, Serialize};

use super::reads::failed;
use super::refusals::Reason;
use super::{MarketError, Marketplace};
use crate::{GpuId, Money, PriceVersion, Quote, StoreTime};

/// A price that was shown, and until when it holds. Until then a booking is made at this price however scarce GPUs have
/// become, unless the provider changes the base price.
///
/// It is the word of whoever hands it back: a service for strangers keeps its quotes, or signs them.
///
/// ```
/// use marketplace::{Currency, Money, PriceVersion, StoreTime, TimedQuote};
/// let quote = TimedQuote {
///     price_per_hour: Money::parse("2.65", Currency::USD)?,
///     version: PriceVersion::FIRST,
///     valid_until: StoreTime::from_millis(60_000),
/// };
/// assert!(quote.holds_at(StoreTime::from_millis(59_999)));
/// assert!(!quote.holds_at(StoreTime::from_millis(60_000)));
/// # Ok::<(), marketplace::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimedQuote {
    /// What the user pays per hour.
    pub price_per_hour: Money,
    /// The base price's version at that time.
    pub version: PriceVersion,
    /// The first instant, by the store's clock, at which it no longer holds.
    pub valid_until: StoreTime,
}

impl TimedQuote {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds_at(&self, now: StoreTime) -> bool {
        now < self.valid_until
    }

    /// What the booking store is told of it.
    #[must_use]
    pub fn price(&self) -> Quote {
        Quote {
            price_per_hour: self.price_per_hour,
            version: self.version,
        }
    }
}

impl Marketplace {
    /// A price that is shown now, with its end.
    pub(super) fn quoted(&self, price_per_hour: Money, version: PriceVersion) -> TimedQuote {
        TimedQuote {
            price_per_hour,
            version,
            valid_until: self.quotes_end(),
        }
    }

    /// When what is quoted now ends.
    pub(super) fn quotes_end(&self) -> StoreTime {
        self.source().now().plus(self.core.settings.quote_life)
    }

    /// What a GPU that can be booked costs now.
    pub(super) async fn price_now(&self, gpu: &GpuId) -> Result<TimedQuote, MarketError> {
        let now = self.quote(gpu).await?.value;
        // It was listed a moment ago, and no page shows it yet.
        now.ok_or_else(|| failed("no page shows the price of the GPU yet".into()).into())
    }

    /// Why the store found a quote of this version too old, as far as it can be told now.
    pub(super) async fn moved(&self, gpu: &GpuId, version: PriceVersion) -> Option<Reason> {
        let now = self.quote(gpu).await.ok()?.value?;
        (now.version > version).then_some(Reason::PriceMoved { now })
    }
}
