//! What the test binaries share: a fleet of nodes over the embedded backend under virtual time, and its simulation.
//!
//! It asserts nothing itself. What needs servers, or the market, is in the package `tests-servers`.

mod fleet;
mod process;
pub mod simulation;

pub use fleet::{Fleet, FleetOptions, Node, Wrap};
pub use process::{Process, Turn};

/// The example of the README, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
