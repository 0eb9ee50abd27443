//! The marketplace on several nodes over the embedded backend.
//!
//! Time stands still unless a test moves it; no test waits for a span of time to pass by itself.

mod admission;
mod bids;
mod bookings;
mod fixture;
mod groups;
mod holds;
mod outbox;
mod providers;
mod queries;
mod refusals;
mod regions;
mod sections;
mod truth;
