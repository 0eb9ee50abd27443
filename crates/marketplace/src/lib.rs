//! The GPU marketplace: GPUs, bookings, prices, the ports of the systems of record that decide them, and the
//! service that shows them on every edge node.
//!
//! It names no adapter of the cache and opens no connection. The decision about a booking is [`BookingStore`]'s
//! alone; whatever is cached is a view, and advisory from the moment it leaves the systems of record.
//!
//! * The domain computes and waits for nobody: [`shelf`] turns what the records say into pages, price sheets, order
//!   books and statistics; [`inventory`] and [`bookings`] hold the ports and their stores in memory.
//! * The service, [`Marketplace`], reads all of it through an [`EdgeCache`](edge_cache::EdgeCache) and, after a change
//!   was decided, rewrites the touched keys in order and tells every node. What is cached, and how long it lives,
//!   stands in [`namespaces`].
//!
//! ```
//! use std::sync::Arc;
//! use marketplace::{
//!     BookingStore, ConfirmRequest, Currency, GpuId, HoldRequest, IdempotencyKey, Interval, ManualClock,
//!     MemoryBookings, Money, PriceVersion, Quote, StoreTime, UserId,
//! };
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
//! let store = MemoryBookings::new(clock);
//! let user = UserId::new("ada")?;
//! let held = store
//!     .hold(HoldRequest {
//!         user: user.clone(),
//!         key: IdempotencyKey::new("order-7/hold")?,
//!         gpu: GpuId::new("gpu-1")?,
//!         interval: Interval::new(StoreTime::from_millis(0), StoreTime::from_millis(3_600_000))?,
//!         quote: Quote { price_per_hour: Money::parse("2.65", Currency::USD)?, version: PriceVersion::FIRST },
//!         ttl: std::time::Duration::from_secs(60),
//!     })
//!     .await?;
//! let (id, fence) = held.won().expect("nobody else asked for this GPU");
//! let key = IdempotencyKey::new("order-7/confirm")?;
//! let confirmed = store.confirm(ConfirmRequest { user, key, id, fence }).await?;
//! assert!(confirmed.won().is_some());
//! # Ok(()) }
//! ```

pub mod bids;
mod booking;
pub mod bookings;
pub mod checks;
mod clock;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod error;
mod gpu;
pub mod ingest;
mod interval;
pub mod inventory;
mod money;
mod name;
pub mod namespaces;
mod pricing;
pub mod service;
pub mod shelf;

pub use bids::{Bid, BidBook, MOST_BIDS, MemoryBids, NewBid};
pub use booking::{Booking, BookingState, Fence, PriceVersion, Quote};
pub use bookings::{
    BookingGroups, BookingLedger, BookingOutcome, BookingStore, BookingTerms, CancelRequest, Candidate,
    Change, ChangeKind, Changes, CompleteRequest, Completeness, ConfirmRequest, ConfirmSeveralRequest,
    Cursor, ExtendRequest, Granted, Guarantee, HoldRequest, HoldSeveralRequest, Holder, KEY_RETENTION,
    LARGEST_GROUP, MemoryBookings, Occupancy, RequestHash, SystemOfRecord,
};
pub use clock::{ManualClock, StoreClock};
pub use error::{BidBookError, BookingLedgerError, BookingStoreError, ErrorKind, InventoryError};
pub use gpu::{Cores, Gpu, GpuStatus, MemoryMib, PerformanceScore, ProviderStatus};
pub use interval::{EmptyInterval, Interval, StoreTime};
pub use inventory::{Inventory, InventoryControl, MemoryInventory};
pub use money::{Currency, Exactness, Money, MoneyError};
pub use name::{
    BidId, BookingId, GpuId, GpuModel, IdempotencyKey, LONGEST_NAME, NameError, NameFault, ProviderId,
    Region, UserId,
};
pub use pricing::{Multiplier, PricingPolicy, ScarcityPricing, ShelfPricing, Supply};
pub use service::{
    Answer, AvailabilityQuery, Booked, BookingNews, Candidates, ClassHealth, Distances, Drained, Effects,
    LONGEST_HOLD, LONGEST_KEY, MarketError, MarketHealth, MarketSettings, Marketplace, NewBooking,
    NewGroupBooking, News, ProviderStats, Read, Reason, Records, Refusal, ShelfNews, Show, TimedQuote,
    WrongDistance,
};
pub use shelf::{
    GpuPage, MarketStats, OrderBook, PageKey, PriceSheet, Ranking, Search, SearchFilter, ShelfKey,
};
