//! Checks of what a booking store did, from the outside: over a recorded history of calls, over its change log,
//! and over the views built from it.
//!
//! They prove nothing about runs that were not recorded, and each costs memory in the length of the recording.
//!
//! | check | promise |
//! |---|---|
//! | [`linearizable`] | every GPU's bookings look as if requests had come one at a time |
//! | [`one_outcome_per_key`] | a key is decided once, and its repeats say the same |
//! | [`no_overlap`] | no two bookings take one GPU at the same time |
//! | [`fences_increase`] | each later grant of a GPU has a higher fence |
//! | [`cursors_are_dense`] | the change log has no gaps |
//! | [`states_add_up`] | every GPU is in exactly one state |

mod changes;
mod history;
mod keys;
mod model;
mod recorder;
mod tape;
pub mod wgl;

use std::fmt;

use crate::shelf::StateCounts;

pub use changes::{cursors_are_dense, fences_increase, no_overlap};
pub use history::{Answer, Call, History, Operation, Tick};
pub use keys::one_outcome_per_key;
pub use model::linearizable;
pub use recorder::Recorder;
pub use tape::{Entry, played};

/// A promise that was not kept, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the check.
    pub check: &'static str,
    /// What was found, for a human.
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.evidence)
    }
}

impl std::error::Error for Violation {}

/// Checks that the GPUs counted by state are as many as the inventory lists.
///
/// # Errors
/// When GPUs were lost or counted twice.
///
/// ```
/// use marketplace::checks::states_add_up;
/// use marketplace::shelf::StateCounts;
/// let counts = StateCounts { available: 3, busy: 1, offline: 0, maintenance: 0 };
/// assert!(states_add_up(4, counts).is_ok());
/// assert!(states_add_up(5, counts).is_err());
/// ```
pub fn states_add_up(listed: u64, states: StateCounts) -> Result<(), Violation> {
    if states.total() == listed {
        return Ok(());
    }
    let evidence = format!(
        "{listed} GPUs are listed and {} counted: {states:?}",
        states.total()
    );
    Err(Violation {
        check: "states add up",
        evidence,
    })
}
