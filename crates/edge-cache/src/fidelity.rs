//! Whether values come back from their bytes as they were, and what a node says of those that do not.
//!
//! It decides when to look and when to speak; what is compared is the codec's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Values of a namespace that are all checked at first. Most types are carried always or never, and tests of a service write
/// fewer.
const FIRST: u64 = 256;

/// After these, one in so many. `cargo run --release -p cache-core --example check_cost` measured a check at 0.3 µs for a value of
/// 38 bytes, 7 µs for 741 and 870 µs for 38,501, that is 2, 7 and 18 times its encoding by bincode: one in 64 adds at most a third.
const EVERY: u64 = 64;

/// What is known of the values of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Fidelity {
    encoded: AtomicU64,
    /// One was not carried: from then on none goes unchecked.
    failed: AtomicBool,
    warned_of_records: AtomicBool,
    warned_of_size: AtomicBool,
}

impl Fidelity {
    /// Whether the value that is about to be written is to be checked.
    pub(crate) fn is_due(&self) -> bool {
        let before = self.encoded.fetch_add(1, Ordering::Relaxed);
        before < FIRST || before.is_multiple_of(EVERY) || self.failed.load(Ordering::Relaxed)
    }

    /// A value was not carried.
    pub(crate) fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// A record of this schema could not be read; tells whether that is to be said.
    pub(crate) fn unreadable_record(&self) -> bool {
        !self.warned_of_records.swap(true, Ordering::Relaxed)
    }

    /// A value is heavier than all memory of its namespace; tells whether that is to be said.
    pub(crate) fn too_heavy(&self) -> bool {
        !self.warned_of_size.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_checked_then_a_sample_and_after_a_failure_all_again() {
        let fidelity = Fidelity::default();
        let checked = |count: u64| (0..count).filter(|_| fidelity.is_due()).count() as u64;
        assert_eq!(checked(FIRST), FIRST);
        assert_eq!(checked(EVERY * 100), 100);
        fidelity.failed();
        assert_eq!(checked(EVERY * 100), EVERY * 100);
    }
}
