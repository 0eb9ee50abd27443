//! The rule that turns supply into a price.
//!
//! It knows neither GPUs nor bookings: a count in, a factor out, without floats. What it remembers it is told.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Money;
use crate::shelf::ShelfKey;

/// Decides by how much the base price of a shelf is multiplied at a given supply.
///
/// ```
/// use marketplace::{GpuModel, Multiplier, PricingPolicy, Region, ShelfKey, Supply};
/// struct Flat;
/// impl PricingPolicy for Flat {
///     fn multiplier(&self, _: &ShelfKey, _: Supply, _: Option<Multiplier>) -> Multiplier { Multiplier::ONE }
/// }
/// let policy: &dyn PricingPolicy = &Flat;
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// assert_eq!(policy.multiplier(&shelf, Supply { available: 0, total: 8 }, None), Multiplier::ONE);
/// # Ok::<(), marketplace::NameError>(())
/// ```
pub trait PricingPolicy: Send + Sync {
    /// The factor for `shelf` at `supply`. `before` is the factor that was shown last, where that is still known: a
    /// rule that looks at it can keep a price from flapping.
    fn multiplier(&self, shelf: &ShelfKey, supply: Supply, before: Option<Multiplier>) -> Multiplier;
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
/// It rises at once and falls late: only when supply stands above a boundary by 2 % of the shelf, and by one GPU at
/// least. One booking and its cancellation can so not move the price to and fro at a boundary, on the smallest shelf
/// either; and where bookings and releases come at random, a band of w GPUs is crossed about once in w squared of them:
/// every nine hundred for the 30 GPUs of a shelf of 1,500, instead of at every other. A wider band would keep buyers
/// longer at a price that supply no longer bears out. A shelf that is all available is never scarce.
///
/// ```
/// use marketplace::{GpuModel, Multiplier, PricingPolicy, Region, ScarcityPricing, ShelfKey, Supply};
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// let at = |available, before| ScarcityPricing.multiplier(&shelf, Supply { available, total: 100 }, before);
/// let (dear, dearer) = (Multiplier::per_mille(1500), Multiplier::per_mille(2000));
/// assert_eq!(at(10, None), dear);
/// assert_eq!(at(9, Some(dear)), dearer);
/// assert_eq!(at(11, Some(dearer)), dearer);
/// assert_eq!(at(12, Some(dearer)), dear);
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ScarcityPricing;

/// Share of the total in per cent below which the factor in per mille applies, scarcest first.
const STEPS: [(u128, u32); 3] = [(10, 2000), (30, 1500), (50, 1200)];
/// How far above a boundary supply must stand before the price falls, in per cent of the shelf.
const BAND: u64 = 2;

impl PricingPolicy for ScarcityPricing {
    fn multiplier(&self, _: &ShelfKey, supply: Supply, before: Option<Multiplier>) -> Multiplier {
        let now = step(supply);
        let Some(before) = before.filter(|before| now < *before && supply.available < supply.total) else {
            return now;
        };
        let band = supply.total.div_ceil(100 / BAND).max(1);
        let available = supply.available.saturating_sub(band);
        step(Supply { available, ..supply }).min(before)
    }
}

fn step(supply: Supply) -> Multiplier {
    let below = |percent: u128| u128::from(supply.available) * 100 < u128::from(supply.total) * percent;
    STEPS
        .iter()
        .find(|(percent, _)| below(*percent))
        .map_or(Multiplier::ONE, |(_, factor)| Multiplier(*factor))
}

/// A rule of its own for some shelves, and one for all others.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::{GpuModel, Multiplier, PricingPolicy, Region, ScarcityPricing, ShelfKey, ShelfPricing, Supply};
/// struct Fixed(Multiplier);
/// impl PricingPolicy for Fixed {
///     fn multiplier(&self, _: &ShelfKey, _: Supply, _: Option<Multiplier>) -> Multiplier { self.0 }
/// }
/// let shelf = |region| Ok::<_, marketplace::NameError>(ShelfKey { region: Region::new(region)?, model: GpuModel::new("T4")? });
/// let cheap = Arc::new(Fixed(Multiplier::per_mille(900)));
/// let policy = ShelfPricing::new(Arc::new(ScarcityPricing)).with(shelf("europe")?, cheap);
/// let scarce = Supply { available: 0, total: 8 };
/// assert_eq!(policy.multiplier(&shelf("europe")?, scarce, None), Multiplier::per_mille(900));
/// assert_eq!(policy.multiplier(&shelf("us-east")?, scarce, None), Multiplier::per_mille(2000));
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Clone)]
pub struct ShelfPricing {
    others: Arc<dyn PricingPolicy>,
    of: HashMap<ShelfKey, Arc<dyn PricingPolicy>>,
}

impl ShelfPricing {
    /// The rule for every shelf that gets none of its own.
    #[must_use]
    pub fn new(others: Arc<dyn PricingPolicy>) -> Self {
        Self {
            others,
            of: HashMap::new(),
        }
    }

    /// With this rule for one shelf.
    #[must_use]
    pub fn with(mut self, shelf: ShelfKey, policy: Arc<dyn PricingPolicy>) -> Self {
        self.of.insert(shelf, policy);
        self
    }
}

impl PricingPolicy for ShelfPricing {
    fn multiplier(&self, shelf: &ShelfKey, supply: Supply, before: Option<Multiplier>) -> Multiplier {
        let policy = self.of.get(shelf).unwrap_or(&self.others);
        policy.multiplier(shelf, supply, before)
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

    fn priced(available: u64, total: u64, before: Option<Multiplier>) -> Multiplier {
        let shelf = ShelfKey {
            region: crate::Region::new("us").unwrap(),
            model: crate::GpuModel::new("T4").unwrap(),
        };
        ScarcityPricing.multiplier(&shelf, Supply { available, total }, before)
    }

    fn factor(available: u64, total: u64) -> u32 {
        priced(available, total, None).as_per_mille()
    }

    /// What is shown as supply takes these values one after the other.
    fn shown(total: u64, supplies: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let mut last = None;
        let show = |available| {
            last = Some(priced(available, total, last));
            last.unwrap_or(Multiplier::ONE).as_per_mille()
        };
        supplies.into_iter().map(show).collect()
    }

    #[test]
    fn a_booking_and_its_cancellation_at_a_boundary_move_the_price_once() {
        for (total, border) in [(2, 1), (10, 5), (10, 3), (100, 30), (1000, 500), (1000, 100)] {
            let flapping = shown(total, (0..40).map(|turn| border - turn % 2));
            let moves = flapping.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert_eq!(moves, 1, "{border} of {total}: {flapping:?}");
        }
    }

    #[test]
    fn a_price_falls_when_supply_stands_a_band_above_the_boundary_and_not_before() {
        assert_eq!(
            shown(1000, [499, 500, 519, 520, 519, 500, 499]),
            [1200, 1200, 1200, 1000, 1000, 1000, 1200]
        );
        assert_eq!(
            shown(10, [0, 1, 2, 3, 4, 5, 6]),
            [2000, 2000, 1500, 1500, 1200, 1200, 1000]
        );
    }

    #[test]
    fn a_price_falls_over_several_boundaries_at_once_as_it_rises() {
        assert_eq!(shown(100, [0, 90, 5, 51, 52]), [2000, 1000, 2000, 1200, 1000]);
    }

    #[test]
    fn a_shelf_that_is_all_available_is_not_scarce_however_small() {
        assert_eq!(shown(1, [0, 1, 0, 1]), [2000, 1000, 2000, 1000]);
        assert_eq!(shown(2, [0, 2]), [2000, 1000]);
    }

    #[test]
    fn supply_that_wanders_at_a_boundary_moves_the_price_rarely() {
        use rand::{Rng as _, SeedableRng as _};
        let mut dice = rand::rngs::StdRng::seed_from_u64(5);
        let mut available = 750_u64;
        let walk: Vec<u64> = (0..20_000)
            .map(|_| {
                // Pulled back to the boundary, so that it is there all the time.
                let up = dice.random_range(0..1500) >= available;
                available = if up { available + 1 } else { available - 1 };
                available
            })
            .collect();
        let moves = |shown: Vec<u32>| shown.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let with = moves(shown(1500, walk.iter().copied()));
        let without = moves(walk.iter().map(|available| factor(*available, 1500)).collect());
        assert!(
            with * 10 < without,
            "{with} moves with the band, {without} without"
        );
    }

    #[test]
    fn whatever_was_shown_before_the_price_is_between_that_and_the_step_of_now() {
        for total in [0, 1, 7, 50, 333] {
            for available in 0..=total {
                for before in [500, 1000, 1200, 1500, 2000, 9000] {
                    let before = Multiplier::per_mille(before);
                    let (plain, shown) = (
                        priced(available, total, None),
                        priced(available, total, Some(before)),
                    );
                    assert!(
                        plain <= shown && shown <= plain.max(before),
                        "{available} of {total} after {before}"
                    );
                    assert_eq!(
                        priced(available, total, Some(shown)),
                        shown,
                        "asked again, it stays"
                    );
                }
            }
        }
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
