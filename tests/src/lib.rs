//! What the test binaries share: a fleet of nodes over the embedded backend under virtual time, its simulation, a server of
//! a test's own, and a crowd of bookers.
//!
//! It asserts nothing itself.

mod fleet;
pub mod postgres;
mod process;
pub mod redis;
pub mod simulation;
pub mod stress;

pub use fleet::{Fleet, FleetOptions, Node, Wrap};
pub use process::{Process, Turn};

/// The example of the README, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
