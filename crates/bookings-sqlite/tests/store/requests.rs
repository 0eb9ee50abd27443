//! Short words for what these tests ask of a store.
//!
//! Each request for an interval has a key of its own, so that asking twice is a retry.

use std::time::Duration;

use marketplace::{
    BookingOutcome, BookingStore, Currency, GpuId, HoldRequest, IdempotencyKey, Interval, Money,
    PriceVersion, Quote, StoreTime, UserId,
};

pub(crate) fn hold(user: &str, gpu: &str, start: i64, end: i64) -> HoldRequest {
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

pub(crate) async fn asked(store: &dyn BookingStore, request: HoldRequest) -> BookingOutcome {
    store.hold(request).await.expect("the store answers")
}
