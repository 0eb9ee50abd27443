//! The embedded system of record for bookings: one SQLite file, durable at every commit.
//!
//! It decides nothing of its own: what a request does is `marketplace`'s pure decision; this crate loads what the
//! decision needs and writes what it changed, in one transaction. It is for one node, or the processes of one machine:
//! SQLite's locks do not hold across a network file system.
//!
//! ```
//! use std::sync::Arc;
//! use bookings_sqlite::SqliteBookings;
//! use marketplace::{BookingStore, Guarantee, ManualClock, StoreTime};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
//! let store = SqliteBookings::open(&folder.path().join("bookings.db"), clock)?;
//! assert_eq!(store.guarantee(), Guarantee::DurableLinearizable);
//! # Ok(()) }
//! ```

mod decision;
mod fault;
mod ledger;
mod readers;
mod rows;
mod schema;
mod store;
mod writer;

pub use store::SqliteBookings;
