//! Tests of the tier on real Redis servers. `cargo xtask test-integration` runs them; they need Docker.
//!
//! Real time passes here, and nobody waits for it blindly: a test waits for a condition, with a deadline.

mod barriers;
mod bookings;
mod bookings_demo;
mod bookings_stress;
mod cluster;
mod commands;
mod conformance;
mod connections;
mod deployments;
mod encryption;
mod events;
mod failovers;
mod failures;
mod faults;
mod formats;
mod identities;
mod lanes;
mod large;
mod migrations;
mod nodes;
mod processes;
mod promotions;
mod proxy;
mod refusals;
mod replicas;
mod sentinel;
mod server;
mod settings;
mod signals;
