//! The ports of the system of record for GPUs: what exists, where, at what price, and in which state its
//! operator and provider left it.
//!
//! Whether a GPU is busy is not known here: the booking ledger knows it.

mod fault;
mod memory;
mod record;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::shelf::{PageKey, ShelfKey};
use crate::{GpuId, InventoryError, Money, ProviderId, ProviderStatus};

pub use fault::InventoryFault;
pub use memory::MemoryInventory;
pub use record::{GpuRecord, OperatorStatus, Provider};

/// GPUs on one page: small enough that a change of one GPU rewrites little, large enough that most
/// shelves need no sections above their pages.
pub const PAGE_SIZE: usize = 64;

/// Tells what GPUs there are. A shelf holds all GPUs of one model in one region, page by page, in an order that
/// does not change.
///
/// ```
/// use marketplace::{Inventory, InventoryError};
/// async fn count(inventory: &dyn Inventory) -> Result<u64, InventoryError> {
///     Ok(inventory.catalogue().await?.iter().map(|shelf| shelf.gpus).sum())
/// }
/// ```
#[async_trait]
pub trait Inventory: Send + Sync {
    /// All shelves, in order of region and model.
    ///
    /// # Errors
    /// When the inventory cannot be reached or read.
    async fn catalogue(&self) -> Result<Vec<ShelfListing>, InventoryError>;

    /// One page of a shelf; `None` when there is no such page.
    ///
    /// # Errors
    /// When the inventory cannot be reached or read.
    async fn page(&self, key: &PageKey) -> Result<Option<InventoryPage>, InventoryError>;

    /// One GPU and the page it is on; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the inventory cannot be reached or read.
    async fn gpu(&self, id: &GpuId) -> Result<Option<Located>, InventoryError>;

    /// One provider; `None` when it never offered a GPU.
    ///
    /// # Errors
    /// When the inventory cannot be reached or read.
    async fn provider(&self, id: &ProviderId) -> Result<Option<Provider>, InventoryError>;

    /// The GPUs of a provider, in the order they were added; none when it never offered one.
    ///
    /// # Errors
    /// When the inventory cannot be reached or read.
    async fn provider_gpus(&self, id: &ProviderId) -> Result<Vec<GpuRecord>, InventoryError>;
}

/// Changes what GPUs there are. Every change answers which shelves and pages it touched, so that exactly their
/// views can be refreshed; a change to what is so already touches nothing.
///
/// ```
/// use marketplace::inventory::{InventoryControl, OperatorStatus, Touched};
/// use marketplace::{GpuId, InventoryError};
/// async fn repair(desk: &dyn InventoryControl, gpu: &GpuId) -> Result<Touched, InventoryError> {
///     desk.set_status(gpu, OperatorStatus::Maintenance).await
/// }
/// ```
#[async_trait]
pub trait InventoryControl: Send + Sync {
    /// Sets the state its operator has put a GPU in. While its provider is offline it stays offline and shows
    /// this state on the provider's return.
    ///
    /// # Errors
    /// `Rejected` when there is no such GPU.
    async fn set_status(&self, gpu: &GpuId, status: OperatorStatus) -> Result<Touched, InventoryError>;

    /// Sets what the provider asks per hour and raises the GPU's price version.
    ///
    /// # Errors
    /// `Rejected` when there is no such GPU, the price is negative, or of another currency than the market's.
    async fn set_base_price(&self, gpu: &GpuId, price: Money) -> Result<Touched, InventoryError>;

    /// Takes all GPUs of a provider offline, or brings each back to the state it had or was given meanwhile.
    ///
    /// # Errors
    /// `Rejected` when there is no such provider.
    async fn set_provider_status(
        &self,
        provider: &ProviderId,
        status: ProviderStatus,
    ) -> Result<Touched, InventoryError>;
}

/// A shelf as the catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfListing {
    /// Its region and model.
    pub shelf: ShelfKey,
    /// Its GPUs, whatever their status; at least one.
    pub gpus: u64,
    /// Its pages, numbered from zero.
    pub pages: u32,
}

impl ShelfListing {
    /// The keys of its pages, in order.
    pub fn page_keys(&self) -> impl Iterator<Item = PageKey> {
        (0..self.pages).map(|page| PageKey {
            shelf: self.shelf.clone(),
            page,
        })
    }
}

/// Up to [`PAGE_SIZE`] GPUs of one shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryPage {
    /// Which page.
    pub key: PageKey,
    /// Rises with every change of a GPU on this page.
    pub revision: u64,
    /// The GPUs, in the shelf's order.
    pub gpus: Vec<GpuRecord>,
}

/// A GPU and where it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The GPU.
    pub gpu: GpuRecord,
    /// The page it is on.
    pub page: PageKey,
}

/// What a change touched, each once and in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Shelves with a changed GPU.
    pub shelves: BTreeSet<ShelfKey>,
    /// Pages with a changed GPU.
    pub pages: BTreeSet<PageKey>,
}
