//! Everything that needs no server: whole caches over the embedded backend, under virtual time.
//!
//! Long simulations are in the binary `simulation`.

mod basics;
mod doubles;
mod loader_failures;
mod single_flight;
