//! A market's opening stock: the GPUs of real hosts at prices of real offers.
//!
//! What the hosts and offers do not tell is filled in from one table below and a layout the caller chooses; both
//! are assumptions, and written down as such.

use std::collections::BTreeMap;

use super::{Host, OfferBook, model_name};
use crate::inventory::{GpuRecord, OperatorStatus};
use crate::{
    Cores, Currency, GpuId, GpuModel, MemoryMib, Money, NameError, PerformanceScore, PriceVersion,
    ProviderId, Region, StoreTime,
};

/// Where hosts stand and whose they are: the host table does not say, so consecutive hosts are given to one
/// provider, and consecutive providers to the regions in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The regions; with none, nothing is stocked.
    pub regions: Vec<Region>,
    /// Hosts of one provider; zero counts as one.
    pub hosts_per_provider: usize,
}

/// The GPUs to open a market with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The GPUs, host by host.
    pub gpus: Vec<GpuRecord>,
    /// GPUs that were left out because nothing is known of their model, by model.
    pub unknown: BTreeMap<GpuModel, u64>,
}

/// What is known of a host's GPU model.
struct ModelFacts {
    model: &'static str,
    memory: u32,
    cores: u32,
    /// Dense half-precision throughput in tenths of a teraflop per second, from the maker's data sheet.
    score: u32,
    /// The model under which it is looked up among the offers.
    offered_as: &'static str,
    /// The base price in micro-dollars an hour when it is not offered: an estimate, rounded, of what comparable
    /// cards are rented at.
    estimate: i64,
}

/// The models of the host table. Memory of the Pascal, Volta, Turing and A10 cards is what the cluster trace's own
/// simulator gives. `G2` and `G3` are names its publisher did not resolve; they are taken for cards of the A10's
/// and the A100's class, and nothing but this market's figures depends on it.
const MODELS: [ModelFacts; 7] = [
    ModelFacts {
        model: "P100",
        memory: 16_280,
        cores: 3_584,
        score: 187,
        offered_as: "P100",
        estimate: 70_000,
    },
    ModelFacts {
        model: "T4",
        memory: 15_109,
        cores: 2_560,
        score: 650,
        offered_as: "T4",
        estimate: 100_000,
    },
    ModelFacts {
        model: "V100M16",
        memory: 16_160,
        cores: 5_120,
        score: 1_250,
        offered_as: "V100",
        estimate: 110_000,
    },
    ModelFacts {
        model: "V100M32",
        memory: 32_510,
        cores: 5_120,
        score: 1_250,
        offered_as: "V100",
        estimate: 130_000,
    },
    ModelFacts {
        model: "A10",
        memory: 22_731,
        cores: 9_216,
        score: 1_250,
        offered_as: "A10",
        estimate: 250_000,
    },
    ModelFacts {
        model: "G2",
        memory: 22_731,
        cores: 9_216,
        score: 1_250,
        offered_as: "A10",
        estimate: 250_000,
    },
    ModelFacts {
        model: "G3",
        memory: 40_960,
        cores: 6_912,
        score: 3_120,
        offered_as: "A100-SXM4",
        estimate: 770_000,
    },
];

/// Every GPU of `hosts` as the inventory lists it at `now`, in service, at the median price of its model's offers
/// or, where there are none, at an estimate.
///
/// # Errors
/// When a host's name cannot be part of a GPU's.
///
/// ```
/// use marketplace::ingest::{Layout, OfferBook, read_hosts, stock};
/// use marketplace::{Region, StoreTime};
/// let hosts = read_hosts("sn,gpu,model\nnode-0,2,T4\nnode-1,1,Z9\n".as_bytes(), "hosts.csv")?;
/// let layout = Layout { regions: vec![Region::new("us-east")?], hosts_per_provider: 10 };
/// let stock = stock(&hosts.rows, &OfferBook::default(), &layout, StoreTime::from_millis(0))?;
/// assert_eq!(stock.gpus[1].id.as_str(), "node-0/gpu-1");
/// assert_eq!(stock.gpus[1].base_price.to_string(), "0.10 USD");
/// assert_eq!(stock.unknown.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn stock(
    hosts: &[Host],
    offers: &OfferBook,
    layout: &Layout,
    now: StoreTime,
) -> Result<Stock, NameError> {
    let mut stock = Stock {
        gpus: Vec::new(),
        unknown: BTreeMap::new(),
    };
    for (number, host) in hosts.iter().enumerate() {
        let provider = number / layout.hosts_per_provider.max(1);
        let Some(region) = layout.regions.get(provider % layout.regions.len().max(1)) else {
            return Ok(stock);
        };
        let known = |facts: &&ModelFacts| model_name(facts.model).is_ok_and(|model| model == host.model);
        let Some(facts) = MODELS.iter().find(known) else {
            *stock.unknown.entry(host.model.clone()).or_default() += u64::from(host.gpus);
            continue;
        };
        let estimate = Money::from_micros(facts.estimate, Currency::USD);
        let provider = ProviderId::new(format!("provider-{provider}"))?;
        for slot in 0..host.gpus {
            stock.gpus.push(GpuRecord {
                id: GpuId::new(format!("{}/gpu-{slot}", host.name))?,
                provider: provider.clone(),
                model: host.model.clone(),
                region: region.clone(),
                memory: MemoryMib(facts.memory),
                cores: Cores(facts.cores),
                score: PerformanceScore(facts.score),
                base_price: offers
                    .model(facts.offered_as)
                    .map_or(estimate, |offers| offers.price),
                price_version: PriceVersion::FIRST,
                status: OperatorStatus::InService,
                updated: now,
            });
        }
    }
    Ok(stock)
}

#[cfg(test)]
mod tests {
    use super::super::{read_hosts, read_offers};
    use super::*;

    fn layout(regions: &[&str]) -> Layout {
        let regions = regions
            .iter()
            .map(|region| Region::new(region).unwrap())
            .collect();
        Layout {
            regions,
            hosts_per_provider: 2,
        }
    }

    #[test]
    fn offers_price_a_model_and_estimates_price_the_rest() {
        let hosts = read_hosts("sn,gpu,model\na,1,V100M32\nb,1,T4\n".as_bytes(), "hosts")
            .unwrap()
            .rows;
        let table = "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\nV100,8,131072,0.85\n";
        let offers = OfferBook::of(&read_offers(table.as_bytes(), "offers").unwrap().rows);
        let stock = stock(&hosts, &offers, &layout(&["us"]), StoreTime::from_millis(0)).unwrap();
        let prices: Vec<_> = stock.gpus.iter().map(|gpu| gpu.base_price.to_string()).collect();
        assert_eq!(prices, ["0.10625 USD", "0.10 USD"]);
        assert_eq!(
            stock.gpus[0].memory,
            MemoryMib(32_510),
            "the offered V100 has half of it"
        );
    }

    #[test]
    fn providers_have_consecutive_hosts_and_stand_in_the_regions_in_turn() {
        let table = "sn,gpu,model\na,1,T4\nb,1,T4\nc,1,T4\nd,1,T4\ne,1,T4\n";
        let hosts = read_hosts(table.as_bytes(), "hosts").unwrap().rows;
        let offers = OfferBook::default();
        let opening = stock(&hosts, &offers, &layout(&["us", "eu"]), StoreTime::from_millis(0)).unwrap();
        let places: Vec<_> = opening
            .gpus
            .iter()
            .map(|gpu| format!("{} {}", gpu.provider, gpu.region))
            .collect();
        assert_eq!(
            places,
            [
                "provider-0 us",
                "provider-0 us",
                "provider-1 eu",
                "provider-1 eu",
                "provider-2 us"
            ]
        );
        let nowhere = stock(&hosts, &offers, &layout(&[]), StoreTime::from_millis(0)).unwrap();
        assert!(nowhere.gpus.is_empty());
    }
}
