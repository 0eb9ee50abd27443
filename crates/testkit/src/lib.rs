//! What tests of the cache share: virtual time, recorders, fixtures, one conformance suite for each port, and checks of
//! recorded histories.
//!
//! It knows the ports and no implementation of them; each implementation calls its suite from its own tests.
//!
//! ```
//! # async fn demo(make: impl AsyncFn() -> testkit::conformance::StoreFixture) {
//! // One test of an adapter: every rule of the port, each on a fresh store.
//! testkit::conformance::shared_store::all(make).await;
//! # }
//! ```

pub mod checks;
mod clock;
pub mod conformance;
mod fixtures;
pub mod history;
mod recorder;
mod scribe;

pub use clock::{VirtualClock, virtual_time};
pub use fixtures::{BULK, CRITICAL, EntryBuilder, keys_in, sealed, sealed_of_length, shards_in};
pub use recorder::{Overdue, Recorder};
pub use scribe::Scribe;
