//! Everything that needs no server: whole caches over the embedded backend, under virtual time.
//!
//! Long simulations are in the binary `simulation`.

mod away;
mod basics;
mod catching_up;
mod conflicts;
mod doubles;
mod events;
mod handles;
mod keys;
mod large;
mod lifetimes;
mod loader_failures;
mod log;
mod many;
mod operations;
mod options;
mod outages;
mod panicking_values;
mod passing_by;
mod proofs;
mod races;
mod reports;
mod self_checks;
mod setup;
mod single_flight;
mod slow_loaders;
mod stale;
mod tags;
mod values;
mod weights;
mod writes;
