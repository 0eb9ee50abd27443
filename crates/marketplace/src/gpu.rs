//! A GPU as the market shows it.
//!
//! It is a snapshot: status and current price were right when it was assembled, and grant nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{GpuId, GpuModel, Money, PriceVersion, ProviderId, Region, StoreTime};

/// One GPU with everything a buyer may ask about it.
///
/// ```
/// use marketplace::{Cores, Currency, Gpu, GpuId, GpuModel, GpuStatus, MemoryMib, Money, PerformanceScore,
///     PriceVersion, ProviderId, Region, StoreTime};
/// let gpu = Gpu {
///     id: GpuId::new("node-7/gpu-0")?,
///     provider: ProviderId::new("provider-1")?,
///     model: GpuModel::new("H100-SXM")?,
///     memory: MemoryMib(81_559),
///     cores: Cores(16_896),
///     base_price: Money::parse("1.87", Currency::USD)?,
///     current_price: Money::parse("2.244", Currency::USD)?,
///     price_version: PriceVersion::FIRST,
///     status: GpuStatus::Available,
///     region: Region::new("us-east")?,
///     score: PerformanceScore(9_890),
///     updated: StoreTime::from_millis(0),
/// };
/// assert_eq!(gpu.memory.to_string(), "81559 MiB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its name.
    pub id: GpuId,
    /// Who offers it.
    pub provider: ProviderId,
    /// What it is.
    pub model: GpuModel,
    /// Its memory.
    pub memory: MemoryMib,
    /// Its shader cores.
    pub cores: Cores,
    /// What the provider asks per hour.
    pub base_price: Money,
    /// What it costs per hour at the present supply.
    pub current_price: Money,
    /// The version of the base price, to be named in a quote.
    pub price_version: PriceVersion,
    /// Whether it can be booked.
    pub status: GpuStatus,
    /// Where it stands.
    pub region: Region,
    /// How fast it is, for ranking.
    pub score: PerformanceScore,
    /// When the inventory last changed it.
    pub updated: StoreTime,
}

/// Whether a GPU can be booked now, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GpuStatus {
    /// In service and not taken.
    Available,
    /// In service and taken by a booking or a hold.
    Busy,
    /// Not reachable, by itself or with its provider.
    Offline,
    /// Taken out of service by its operator.
    Maintenance,
}

/// Whether a provider's GPUs can be reached; while it is offline so are all of them.
///
/// ```
/// use marketplace::ProviderStatus;
/// assert_ne!(ProviderStatus::Online, ProviderStatus::Offline);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProviderStatus {
    /// Its GPUs are in the state each has of its own.
    Online,
    /// None of its GPUs can be reached.
    Offline,
}

/// A GPU's memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemoryMib(pub u32);

impl fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// A GPU's number of shader cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cores(pub u32);

/// How fast a GPU is: its dense half-precision matrix throughput in tenths of a teraflop per second.
///
/// It ranks and is never multiplied into a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerformanceScore(pub u32);
