//! Short words for what tests ask of a booking store.
//!
//! Each request for an interval has a key of its own, so that asking twice is a retry.

use std::time::Duration;

use crate::{
    BookingOutcome, BookingStore, Currency, GpuId, HoldRequest, IdempotencyKey, Interval, Money,
    PriceVersion, Quote, StoreTime, UserId,
};

/// Asks for `gpu` from `start` to `end`, in milliseconds, at a price that was never changed; the hold waits 1,000,000 s to be
/// confirmed.
///
/// # Panics
/// When a name is none, or the interval is empty.
#[must_use]
pub fn long_hold(user: &str, gpu: &str, start: i64, end: i64) -> HoldRequest {
    let at = StoreTime::from_millis;
    HoldRequest {
        user: UserId::new(user).expect("a name"),
        key: IdempotencyKey::new(format!("{gpu}/{start}-{end}")).expect("a name"),
        gpu: GpuId::new(gpu).expect("a name"),
        interval: Interval::new(at(start), at(end)).expect("not empty"),
        quote: Quote {
            price_per_hour: Money::from_micros(3_600_000, Currency::USD),
            version: PriceVersion::FIRST,
        },
        ttl: Duration::from_secs(1_000_000),
    }
}

/// What the store answers to it.
///
/// # Panics
/// When it fails.
pub async fn asked(store: &dyn BookingStore, request: HoldRequest) -> BookingOutcome {
    store.hold(request).await.expect("the store answers")
}
