//! A GPU and a provider as the inventory keeps them.
//!
//! No price or status here takes bookings into account; the market's view of a GPU is [`Gpu`](crate::Gpu).

use serde::{Deserialize, Serialize};

use crate::{
    Cores, GpuId, GpuModel, MemoryMib, Money, PerformanceScore, PriceVersion, ProviderId, ProviderStatus,
    Region, StoreTime,
};

/// One GPU in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRecord {
    /// Its name.
    pub id: GpuId,
    /// Who offers it.
    pub provider: ProviderId,
    /// What it is.
    pub model: GpuModel,
    /// Where it stands.
    pub region: Region,
    /// Its memory.
    pub memory: MemoryMib,
    /// Its shader cores.
    pub cores: Cores,
    /// How fast it is.
    pub score: PerformanceScore,
    /// What the provider asks per hour.
    pub base_price: Money,
    /// How often that has changed.
    pub price_version: PriceVersion,
    /// Its state. Read from an inventory, it is offline while the provider is.
    pub status: OperatorStatus,
    /// When it last changed.
    pub updated: StoreTime,
}

/// The state an operator puts a GPU in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperatorStatus {
    /// It can be booked when it is free.
    InService,
    /// It cannot be reached.
    Offline,
    /// It was taken out of service.
    Maintenance,
}

/// One provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub id: ProviderId,
    /// Whether its GPUs can be reached.
    pub status: ProviderStatus,
    /// How many GPUs it offers.
    pub gpus: u64,
    /// When its status last changed, or its first GPU was added.
    pub updated: StoreTime,
}
