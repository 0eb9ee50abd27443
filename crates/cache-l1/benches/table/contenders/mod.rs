//! The memories in the table, one file each.
//!
//! None is tuned beyond its capacity: what counts is what its users get.

pub(crate) mod cache_l1;
pub(crate) mod dashmap;
pub(crate) mod edge_cache;
pub(crate) mod foyer;
pub(crate) mod moka;
pub(crate) mod quick_cache;
