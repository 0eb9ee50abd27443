//! Which memory hits are looked at more closely: one in so many, told from a counter that is there anyway.
//!
//! It picks; what is done with a pick is decided elsewhere.

/// One in a power of two, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneIn {
    /// The bits of the count that must be those of `pick`.
    mask: u64,
    pick: u64,
}

impl Default for OneIn {
    fn default() -> Self {
        Self::of(1_024)
    }
}

impl OneIn {
    /// One in `many`, rounded up to a power of two; none for 0.
    pub(crate) const fn of(many: u32) -> Self {
        if many == 0 {
            // No count is ever equal to this under that mask.
            return Self { mask: 0, pick: 1 };
        }
        let mask = (many as u64).next_power_of_two() - 1;
        // Not the first: a thread that reads but a few times would have nothing but its first reads looked at.
        Self { mask, pick: mask }
    }

    #[inline]
    pub(crate) const fn picks(self, counted: u64) -> bool {
        counted & self.mask == self.pick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_power_of_two_is_picked() {
        for (many, picked) in [
            (0, 0),
            (1, 1_024),
            (2, 512),
            (3, 256),
            (4, 256),
            (1_024, 1),
            (2_000, 0),
        ] {
            let one_in = OneIn::of(many);
            assert_eq!(
                (0..1_024).filter(|count| one_in.picks(*count)).count(),
                picked,
                "one in {many}"
            );
        }
    }
}
