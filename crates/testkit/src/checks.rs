//! The promises of the cache as checks of a recorded [`History`](crate::history::History): what they find is a
//! counterexample in words.
//!
//! They know nothing of leases, lineages or events, and prove nothing of runs that were not recorded. Time is O(n log n) in
//! the length of the history, except for what failovers made the servers forget.
//!
//! | check | promise |
//! | --- | --- |
//! | [`own_writes`] | G1: a read after an acknowledgement returns what was written, or something newer |
//! | [`monotonic_reads`] | G2: what a node reads of a key never goes back |
//! | [`staleness`] | G3: a read lacks nothing that was published longer ago than the bound |
//! | [`lost_invalidations`] | G5: nothing is put in that an invalidation has made void before |
//! | [`convergence`] | at rest every node reads what the system of record holds |

mod convergence;
mod demands;
mod invalidations;
mod monotonic_reads;
mod own_writes;
mod staleness;

#[cfg(test)]
mod script;

use std::fmt;
use std::hash::Hash;

pub use convergence::convergence;
pub use invalidations::lost_invalidations;
pub use monotonic_reads::monotonic_reads;
pub use own_writes::own_writes;
pub use staleness::{Bounds, staleness};

/// What a key of a history must be capable of.
pub trait HistoryKey: Clone + Eq + Hash + fmt::Debug {}

impl<K: Clone + Eq + Hash + fmt::Debug> HistoryKey for K {}

/// What a revision must be capable of: revisions of one key have one order.
pub trait Revision: Copy + Ord + fmt::Debug {}

impl<R: Copy + Ord + fmt::Debug> Revision for R {}

/// What can be broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Promise {
    /// [`own_writes`].
    OwnWrites,
    /// [`monotonic_reads`].
    MonotonicReads,
    /// [`staleness`].
    Staleness,
    /// [`lost_invalidations`].
    LostInvalidations,
    /// [`convergence`].
    Convergence,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnWrites => "a node reads its own writes",
            Self::MonotonicReads => "reads never go back",
            Self::Staleness => "nothing is staler than the bound",
            Self::LostInvalidations => "no invalidation is lost",
            Self::Convergence => "at rest everybody has the newest",
        })
    }
}

/// A promise that a history breaks, and the part of the history that shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// What is broken.
    pub promise: Promise,
    /// What happened, for a reader: one step a line, in the order they happened.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {}", self.promise)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
    }
}

impl std::error::Error for Counterexample {}
