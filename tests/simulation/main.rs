//! Whole fleets under seeded faults and virtual time, every read compared with the truth.
//!
//! A failing seed is printed and reproduces: `SIM_FIRST_SEED=n SIM_SEEDS=1`, with `SIM_TRACE=1` step by
//! step. `cargo xtask sim` runs many.

mod mutants;
mod promises;
mod run;
mod truth;
mod wraps;
