//! Everything that needs no server: whole caches over the embedded backend, under virtual time.
//!
//! Long simulations are in the binary `simulation`.

mod basics;
mod doubles;
mod events;
mod lifetimes;
mod loader_failures;
mod many;
mod operations;
mod options;
mod outages;
mod panicking_values;
mod races;
mod self_checks;
mod single_flight;
mod stale;
mod tags;
mod writes;
