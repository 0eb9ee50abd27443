//! What the tests of stores and servers share: a server of a test's own, and a crowd of bookers.
//!
//! It asserts nothing itself.

pub mod postgres;
pub mod redis;
pub mod stress;
