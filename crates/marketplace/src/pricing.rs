//! The rule that turns supply into a price.
//!
//! It knows neither GPUs nor bookings: a count in, a factor out, without floats.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::Money;

/// Decides by how much the base price is multiplied at a given supply.
///
/// ```
/// use marketplace::{Multiplier, PricingPolicy, Supply};
/// struct Flat;
/// impl PricingPolicy for Flat {
///     fn multiplier(&self, _: Supply) -> Multiplier { Multiplier::ONE }
/// }
/// let policy: &dyn PricingPolicy = &Flat;
/// assert_eq!(policy.multiplier(Supply { available: 0, total: 8 }), Multiplier::ONE);
/// ```
pub trait PricingPolicy: Send + Sync {
    /// The factor at `supply`.
    fn multiplier(&self, supply: Supply) -> Multiplier;
}

/// How many GPUs of one model in one region can be booked, of how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Supply {
    /// Those that can be booked now.
    pub available: u64,
    /// All of them, whatever their status.
    pub total: u64,
}

/// The default rule: the scarcer, the dearer.
///
/// Below 10 % available the price doubles, below 30 % it is 1.5 times, below 50 % 1.2 times the base price; from
/// 50 % on, and where there are no GPUs at all, it is the base price. A share on a boundary is not below it.
///
/// ```
/// use marketplace::{Multiplier, PricingPolicy, ScarcityPricing, Supply};
/// assert_eq!(ScarcityPricing.multiplier(Supply { available: 9, total: 100 }), Multiplier::per_mille(2000));
/// assert_eq!(ScarcityPricing.multiplier(Supply { available: 10, total: 100 }), Multiplier::per_mille(1500));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ScarcityPricing;

/// Share of the total in per cent below which the factor in per mille applies, scarcest first.
const STEPS: [(u128, u32); 3] = [(10, 2000), (30, 1500), (50, 1200)];

impl PricingPolicy for ScarcityPricing {
    fn multiplier(&self, supply: Supply) -> Multiplier {
        let below = |percent: u128| u128::from(supply.available) * 100 < u128::from(supply.total) * percent;
        STEPS
            .iter()
            .find(|(percent, _)| below(*percent))
            .map_or(Multiplier::ONE, |(_, factor)| Multiplier(*factor))
    }
}

/// A factor on a price, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multiplier(u32);

impl Multiplier {
    /// The base price as it is.
    pub const ONE: Self = Self(1000);

    /// This many thousandths.
    #[must_use]
    pub const fn per_mille(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// The factor in thousandths.
    #[must_use]
    pub const fn as_per_mille(self) -> u32 {
        self.0
    }

    /// `base` times this factor. A price beyond what fits becomes the highest there is: nobody can pay it, so
    /// nothing is sold too cheaply.
    #[must_use]
    pub fn applied_to(self, base: Money) -> Money {
        let beyond = if base.micros < 0 { -i64::MAX } else { i64::MAX };
        base.scaled(u64::from(self.0), PER_MILLE)
            .unwrap_or(Money::from_micros(beyond, base.currency))
    }
}

const PER_MILLE: NonZeroU64 = NonZeroU64::new(1000).expect("a thousand is not zero");

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Currency;

    fn factor(available: u64, total: u64) -> u32 {
        ScarcityPricing
            .multiplier(Supply { available, total })
            .as_per_mille()
    }

    #[test]
    fn each_step_begins_exactly_below_its_boundary() {
        for (available, expected) in [
            (0, 2000),
            (99, 2000),
            (100, 1500),
            (299, 1500),
            (300, 1200),
            (499, 1200),
            (500, 1000),
            (1000, 1000),
        ] {
            assert_eq!(factor(available, 1000), expected, "{available} of 1000");
        }
        assert_eq!(factor(1, 3), 1200, "a third is not below 30 %");
        assert_eq!(factor(0, 1), 2000);
    }

    #[test]
    fn no_gpus_at_all_cost_the_base_price() {
        assert_eq!(factor(0, 0), 1000);
    }

    #[test]
    fn counts_near_the_largest_do_not_wrap() {
        assert_eq!(factor(u64::MAX / 2, u64::MAX), 1200);
        assert_eq!(factor(u64::MAX, u64::MAX), 1000);
    }

    #[test]
    fn a_price_beyond_the_largest_stays_the_largest() {
        let dear = Money::from_micros(i64::MAX, Currency::USD);
        assert_eq!(Multiplier::per_mille(2000).applied_to(dear), dear);
        assert_eq!(
            Multiplier::per_mille(1500)
                .applied_to(Money::from_micros(3, Currency::USD))
                .micros,
            5
        );
    }
}
