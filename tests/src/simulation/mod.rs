//! Whole fleets of the shipped code under seeded faults and virtual time, every read compared with the truth.
//!
//! It asserts nothing and prints no table: the test binary `simulation` runs a few seeds, the program `sim` many.

mod clocks;
mod counters;
mod load;
mod mutants;
mod older;
mod published;
mod recording;
mod run;
mod scenario;
mod shrink;
mod trouble;
mod truth;
mod wraps;

pub use mutants::{MUTANTS, Mutant, Noticed, Trial};
pub use recording::Recording;
pub use run::{MAX_STALE, Trace, record, simulate};
pub use scenario::{Load, Profile, Scenario, TIMING, Trouble};
pub use shrink::shrink;
pub use truth::{Breach, Verdict};
