//! One suite for each port: what every implementation must do, one rule at a time.
//!
//! The rules say nothing about speed, memory per entry, or how an implementation is built.
//!
//! A suite runs all its rules, each on a fresh instance, and panics at the end with the names of those that are
//! broken. A rule is a function whose name is the rule. Under paused time, rules that need time to pass take none.

#[macro_use]
mod verdicts;

pub mod event_bus;
pub mod local_store;
pub mod shared_store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{EventBus, Seq, Shard, SharedStore};
use futures_util::future::BoxFuture;

/// Lets time pass, for the store and for its clock: moved by hand, or really waited for.
pub type Advance = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Drops the entries of a shard's log that come before a sequence number.
pub type Trim = Box<dyn Fn(Shard, Seq) -> BoxFuture<'static, ()> + Send + Sync>;

/// A fresh, empty store for one rule.
pub struct StoreFixture {
    /// The store: no shard has a head yet.
    pub store: Arc<dyn SharedStore>,
    /// Lets time pass. Rules ask for less than a second in all.
    pub advance: Advance,
}

impl fmt::Debug for StoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFixture").finish_non_exhaustive()
    }
}

/// A fresh, empty store and its bus for one rule.
pub struct BusFixture {
    /// The store whose writes the bus carries: no shard has a head yet.
    pub store: Arc<dyn SharedStore>,
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// Trims a log; `None` where that is not in the test's hands, and the rules about it are left out.
    pub trim: Option<Trim>,
}

impl fmt::Debug for BusFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusFixture").finish_non_exhaustive()
    }
}
