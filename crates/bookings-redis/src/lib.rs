//! A fast store of bookings on one Redis server, version 7 or later: the weaker gate in front of a durable one.
//!
//! It decides nothing of its own: what a request does is `marketplace`'s pure decision; this crate loads what the decision
//! needs by one script and writes what it changed by another, which writes nothing when something else was decided in between.
//! It is not durable. A server that ends without its last writes, or a replica that takes over without having them, has lost
//! bookings that were acknowledged: see [`RedisBookings`] for what remains true then.
//!
//! ```no_run
//! use bookings_redis::{RedisBookings, Settings, Time};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { replicas: 1, ..Settings::at("redis://cache.internal:6379") };
//! let store = RedisBookings::connect(settings, Time::OfServer).await?;
//! # let _ = store;
//! # Ok(()) }
//! ```

mod decision;
mod fault;
mod keys;
mod ledger;
mod link;
mod loaded;
mod packed;
mod settings;
mod store;
mod written;

pub use settings::{Settings, Time};
pub use store::RedisBookings;
