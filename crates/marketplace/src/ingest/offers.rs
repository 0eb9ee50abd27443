//! Rental offers of a public market, and what they say a GPU of each model costs.
//!
//! An offer is of whole machines; nothing here says which GPU it would be.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroU64;

use super::table::{Fields, FileProblem, Ingested, Row, RowProblem, read_table};
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
/// `price_per_hour_usd`, the last two of the whole offer. `file` names the source in errors.
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

    fn read(fields: &Fields<'_>) -> Result<Option<Self>, RowProblem> {
        let gpus: NonZeroU64 = fields.value("gpu_count", "a number of GPUs, at least 1")?;
        let memory: u64 = fields.value("vram_mib_total", "a number of MiB")?;
        let memory =
            u32::try_from(memory / gpus).map_err(|_| fields.problem("vram_mib_total", "a number of MiB"))?;
        let expected = "a price such as 2.65";
        let price = Money::parse(fields.text("price_per_hour_usd"), Currency::USD);
        let price = price
            .ok()
            .filter(|price| price.micros >= 0)
            .and_then(|price| price.scaled(1, gpus).ok());
        Ok(Some(Self {
            model: fields.value("gpu_model", "a GPU model")?,
            gpus,
            price: price.ok_or_else(|| fields.problem("price_per_hour_usd", expected))?,
            memory: MemoryMib(memory),
        }))
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

    /// The offers of `model`; `None` when it was not offered.
    #[must_use]
    pub fn model(&self, model: &str) -> Option<ModelOffers> {
        self.models.get(model).copied()
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
        let columns: Vec<_> = offers.problems.iter().map(|problem| problem.column).collect();
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
    fn the_median_is_the_middle_or_halfway_between_two() {
        assert_eq!(median(vec![9]), 9);
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(vec![i64::MAX, 1, i64::MAX, 3]), i64::MAX / 2 + 2);
    }
}
