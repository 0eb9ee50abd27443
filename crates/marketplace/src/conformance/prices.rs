//! Scenarios about quotes and the base price they were computed from.
//!
//! What a price should be is not the store's business and not tested here.

use super::{Bench, hold};
use crate::{BookingOutcome, GpuId, PriceVersion};

async fn reprice(bench: &Bench, version: u64) {
    let gpu = GpuId::new("gpu-1").expect("a name");
    bench
        .store
        .reprice(&gpu, PriceVersion(version))
        .await
        .expect("the store answers");
}

pub(super) async fn a_quote_older_than_the_base_price_is_gone(bench: Bench) {
    let (id, fence) = bench.held("ada", 100, 200).await;
    let (bought, bought_fence) = bench.booked("ada", 300, 400).await;
    reprice(&bench, 1).await;
    assert_eq!(bench.confirm("ada", &id, fence).await, BookingOutcome::Gone);
    assert_eq!(bench.hold("bob", 500, 600).await, BookingOutcome::Gone);
    assert!(
        bench.cancel("ada", &bought, bought_fence).await.won().is_some(),
        "what is bought is not repriced"
    );
    let mut requoted = hold("cleo", "gpu-1", 500, 600);
    requoted.quote.version = PriceVersion(1);
    let (id, fence) = bench.ask(requoted).await.won().expect("the quote is new");
    assert!(bench.confirm("cleo", &id, fence).await.won().is_some());
}

pub(super) async fn an_older_price_version_changes_nothing(bench: Bench) {
    reprice(&bench, 2).await;
    reprice(&bench, 1).await;
    let mut request = hold("ada", "gpu-1", 100, 200);
    request.quote.version = PriceVersion(1);
    assert_eq!(bench.ask(request).await, BookingOutcome::Gone);
}
