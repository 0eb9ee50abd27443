//! Tests of the tier on real Redis servers. `cargo xtask test-integration` runs them; they need Docker.
//!
//! Real time passes here, and nobody waits for it blindly: a test waits for a condition, with a deadline.

mod bookings;
mod bookings_demo;
mod bookings_stress;
mod conformance;
mod connections;
mod failovers;
mod failures;
mod faults;
mod nodes;
mod proxy;
mod refusals;
mod server;
