//! Tests of the script rules.
