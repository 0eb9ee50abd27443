//! A two-tier cache that stays true across many machines: memory over a shared store, coherent by events.
//!
//! It names no adapter and reads no settings: tiers, bus, clock and randomness are handed in through [`Ports`].
//!
//! Every read tells how old its answer can be ([`Fetched::freshness`]). What holds, and under which faults, is
//! stated and tested: see the project's `docs/coherence.md`.

mod builder;
mod bulk;
mod cache;
mod canary;
mod clearing;
mod debts;
mod engine;
mod entries;
mod error;
mod fetched;
mod fidelity;
mod fill;
mod handle;
mod health;
mod holding;
mod limits;
mod load;
mod many;
mod memory;
mod options;
mod outages;
mod ports;
mod publish;
mod reading;
mod receipt;
mod rendezvous;
mod sampling;
mod setup;
mod standing;
mod stats;
mod sync;
mod value;
mod work;
mod writing;

pub use builder::EdgeCacheBuilder;
pub use cache::EdgeCache;
pub use error::{CacheError, LoadError};
pub use event_bus::{
    Delivery, EventStream, Filter, Rule, Rules, SpotCheckTally, Subscription, Tally, Timing,
};
pub use fetched::{Fetched, Freshness, Tier};
pub use health::{Health, Status};
#[cfg(any(test, feature = "test-util"))]
pub use holding::Hold;
pub use load::{IntoLoad, Load, LoadContext};
pub use options::{Options, TierUse};
pub use ports::Ports;
pub use receipt::{CaughtUp, Positions, Receipt};
pub use setup::StartError;
pub use stats::{NamespaceStats, Stats};
pub use value::CacheValue;
pub use writing::Put;
