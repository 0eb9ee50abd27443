//! Rental offers of a public market, and what they say a GPU of each model costs.
//!
//! An offer is of whole machines; nothing here says which GPU it would be.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroU64;

use super::model::model_name;
use super::report::{FileProblem, Ingested};
use super::table::{Fields, Row, read_table};
use crate::{Currency, GpuModel, MemoryMib, Money};

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The model of its GPUs.
    pub model: GpuModel,
    /// How many GPUs are offered together.
    pub gpus: NonZeroU64,
    /// The price per hour of one of them.
    pub price: Money,
    /// The memory of one of them.
    pub memory: MemoryMib,
}

/// Reads offers in US dollars from a table with the columns `gpu_model`, `gpu_count`, `vram_mib_total` and
/// `price_per_hour_usd`, the last two of the whole offer. A price of more than six decimals is rounded, which is told.
/// `file` names the source in errors.
///
/// # Errors
/// When the file cannot be read, has no rows, or lacks a column.
///
/// ```
/// let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\nH200,2,287542,5.18\n";
/// let offers = marketplace::ingest::read_offers(table.as_bytes(), "offers.csv")?;
/// assert_eq!(offers.rows[0].price.to_string(), "2.59 USD");
/// # Ok::<(), marketplace::ingest::FileProblem>(())
/// ```
pub fn read_offers(source: impl Read, file: &str) -> Result<Ingested<Offer>, FileProblem> {
    read_table(source, file)
}

impl Row for Offer {
    const COLUMNS: &'static [&'static str] =
        &["gpu_model", "gpu_count", "vram_mib_total", "price_per_hour_usd"];
    const UNIQUE: Option<&'static str> = None;

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let gpus: Option<NonZeroU64> = fields.value("gpu_count", "a number of GPUs, at least 1");
        let expected = "a number of MiB";
        let total: Option<u64> = fields.value("vram_mib_total", expected);
        let memory = match (total, gpus) {
            (Some(total), Some(gpus)) => match u32::try_from(total / gpus) {
                Ok(memory) => Some(MemoryMib(memory)),
                Err(_) => fields.problem("vram_mib_total", expected),
            },
            _ => None,
        };
        let price = fields.price("price_per_hour_usd", Currency::USD);
        let model = fields.model("gpu_model");
        let gpus = gpus?;
        Some(Self {
            model: model?,
            gpus,
            // A part of a price that fits does fit.
            price: price?.scaled(1, gpus).ok()?,
            memory: memory?,
        })
    }
}

/// What the offers of one model have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelOffers {
    /// The median of their prices per GPU and hour: one absurd offer does not move it.
    pub price: Money,
    /// The median of their memory per GPU.
    pub memory: MemoryMib,
    /// How many there are.
    pub offers: usize,
}

/// Prices per model.
///
/// ```
/// use marketplace::ingest::{OfferBook, read_offers};
/// let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\nA40,1,46068,0.67\nA40,2,92136,1.33\n";
/// let book = OfferBook::of(&read_offers(table.as_bytes(), "offers.csv")?.rows);
/// assert_eq!(book.model("A40").map(|offers| offers.price.to_string()), Some("0.6675 USD".to_owned()));
/// assert_eq!(book.model("T4"), None);
/// # Ok::<(), marketplace::ingest::FileProblem>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfferBook {
    models: BTreeMap<GpuModel, ModelOffers>,
}

impl OfferBook {
    /// Sums `offers` up by model.
    #[must_use]
    pub fn of(offers: &[Offer]) -> Self {
        let mut by_model: BTreeMap<GpuModel, Vec<&Offer>> = BTreeMap::new();
        for offer in offers {
            by_model.entry(offer.model.clone()).or_default().push(offer);
        }
        let summed = |(model, offers): (GpuModel, Vec<&Offer>)| {
            let micros = median(offers.iter().map(|offer| offer.price.micros).collect());
            let memory = median(offers.iter().map(|offer| i64::from(offer.memory.0)).collect());
            let price = Money::from_micros(micros, offers[0].price.currency);
            // A median of numbers that fit lies between them.
            let memory = MemoryMib(u32::try_from(memory).unwrap_or(u32::MAX));
            (
                model,
                ModelOffers {
                    price,
                    memory,
                    offers: offers.len(),
                },
            )
        };
        Self {
            models: by_model.into_iter().map(summed).collect(),
        }
    }

    /// The offers of `model` in any spelling; `None` when it was not offered.
    #[must_use]
    pub fn model(&self, model: &str) -> Option<ModelOffers> {
        self.models.get(&model_name(model).ok()?).copied()
    }
}

/// The middle of `values`, of which there is at least one; between two middles, the number halfway, rounded down.
fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    low.midpoint(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_no_gpus_or_at_no_price_is_a_problem() {
        let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\na,0,1,1\nb,1,x,1\nc,1,1,free\nd,1,1,-1\n,1,1,1\n";
        let offers = read_offers(table.as_bytes(), "offers.csv").unwrap();
        assert!(offers.rows.is_empty());
        let columns: Vec<_> = offers
            .problems
            .iter()
            .map(|problem| problem.column.as_str())
            .collect();
        assert_eq!(
            columns,
            [
                "gpu_count",
                "vram_mib_total",
                "price_per_hour_usd",
                "price_per_hour_usd",
                "gpu_model"
            ]
        );
    }

    #[test]
    fn a_price_that_another_program_wrote_is_rounded_and_told_where_something_was_lost() {
        let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\n\
                     T4,1,1,0.4026666666666667\nT4,1,1,5e-05\nT4,1,1,0.0000005\n";
        let offers = read_offers(table.as_bytes(), "offers.csv").unwrap();
        let prices: Vec<i64> = offers.rows.iter().map(|offer| offer.price.micros).collect();
        assert_eq!((prices, offers.problems), (vec![402_667, 50, 0], vec![]));
        let told: Vec<String> = offers.adjustments.iter().map(ToString::to_string).collect();
        let column = "price_per_hour_usd";
        assert_eq!(
            told,
            [
                format!(
                    "offers.csv: line 2: {column} \"0.4026666666666667\" is read as 0.402667 USD, rounded to six decimals, in 1 row"
                ),
                format!(
                    "offers.csv: line 4: {column} \"0.0000005\" is read as 0.00 USD, rounded to six decimals, in 1 row"
                ),
            ]
        );
    }

    #[test]
    fn everything_that_is_wrong_with_an_offer_is_told_at_once() {
        let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\n,none,much,free\n";
        let offers = read_offers(table.as_bytes(), "offers.csv").unwrap();
        assert_eq!(offers.problems.len(), 4, "{:?}", offers.problems);
    }

    #[test]
    fn the_median_is_the_middle_or_halfway_between_two() {
        assert_eq!(median(vec![9]), 9);
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(vec![i64::MAX, 1, i64::MAX, 3]), i64::MAX / 2 + 2);
    }
}
