//! The system of record for bookings of many nodes: a PostgreSQL database, version 13 or later.
//!
//! It decides nothing of its own: what a request does is `marketplace`'s pure decision; this crate locks and loads what
//! the decision needs and writes what it changed, in one transaction. It changes no schema by itself ([`migrate`] does).
//!
//! The way to the server is encrypted when its address says so, in the words of libpq: `sslmode=require`, which verifies
//! nobody, or `sslmode=verify-full`, with `sslrootcert=FILE` for a certificate authority that this machine does not trust.
//!
//! ```no_run
//! use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://market@db.internal/bookings";
//! let migrated = migrate(url).await?;
//! println!("schema {} -> {}", migrated.from, migrated.to);
//! let store = PostgresBookings::connect(url, Settings::default(), Time::OfServer).await?;
//! # let _ = store;
//! # Ok(()) }
//! ```

mod decision;
mod fault;
mod feed;
mod migration;
mod pool;
mod rows;
mod store;
mod time;
mod tls;
mod unlocked;

pub use migration::{Migrated, migrate};
pub use pool::Settings;
pub use store::PostgresBookings;
pub use time::Time;
