//! A few seeds of the simulation: every promise holds, and every mutant is noticed.
//!
//! `cargo xtask sim` runs many; a failing seed is printed and reproduces there, step by step with `--trace`.

mod judges;
mod mutants;
mod promises;
