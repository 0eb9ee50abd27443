//! One page of a shelf with the ledger's word on which of its GPUs are taken.
//!
//! It holds no current prices: those follow from the shelf's multiplier, which changes for all pages at once.

use std::collections::HashMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::PageKey;
use crate::inventory::{InventoryPage, OperatorStatus};
use crate::{
    Cores, Gpu, GpuId, GpuStatus, MemoryMib, Money, Multiplier, Occupancy, PerformanceScore, PriceVersion,
    ProviderId, StoreTime,
};

/// The GPUs of one page and their status.
///
/// ```
/// use marketplace::shelf::{GpuPage, PageKey, ShelfKey};
/// use marketplace::inventory::InventoryPage;
/// use marketplace::{GpuModel, Region};
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// let listed = InventoryPage { key: PageKey { shelf, page: 0 }, revision: 7, gpus: vec![] };
/// let page = GpuPage::assemble(&listed, &[]);
/// assert_eq!((page.revision, page.gpus.len()), (7, 0));
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuPage {
    /// Which page.
    pub key: PageKey,
    /// The inventory's revision of it. Bookings do not raise it.
    pub revision: u64,
    /// The GPUs, in the shelf's order.
    pub gpus: Vec<PageGpu>,
    /// When time alone will change a status here: a booking begins or ends, a hold lapses. `None` when only a
    /// decision can. The page must not be shown any longer than that.
    pub changes_at: Option<StoreTime>,
}

/// A GPU without what its whole page has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageGpu {
    /// Its name.
    pub id: GpuId,
    /// Who offers it.
    pub provider: ProviderId,
    /// Its memory.
    pub memory: MemoryMib,
    /// Its shader cores.
    pub cores: Cores,
    /// How fast it is.
    pub score: PerformanceScore,
    /// What the provider asks per hour.
    pub base_price: Money,
    /// The version of that, to be named in a quote.
    pub price_version: PriceVersion,
    /// Whether it can be booked.
    pub status: GpuStatus,
    /// When the inventory last changed it.
    pub updated: StoreTime,
}

impl GpuPage {
    /// Puts together what the inventory lists and what the ledger says is taken. A GPU the ledger says nothing
    /// about is free.
    #[must_use]
    pub fn assemble(listed: &InventoryPage, occupied: &[Occupancy]) -> Self {
        let occupied: HashMap<&GpuId, &Occupancy> = occupied.iter().map(|one| (&one.gpu, one)).collect();
        let mut changes_at = None;
        let gpus = listed.gpus.iter().map(|gpu| {
            let occupancy = occupied.get(&gpu.id);
            let status = match gpu.status {
                OperatorStatus::Offline => GpuStatus::Offline,
                OperatorStatus::Maintenance => GpuStatus::Maintenance,
                OperatorStatus::InService => {
                    changes_at = earliest(changes_at, occupancy.and_then(|one| one.changes_at));
                    if occupancy.is_some_and(|one| one.holder.is_some()) {
                        GpuStatus::Busy
                    } else {
                        GpuStatus::Available
                    }
                }
            };
            PageGpu {
                id: gpu.id.clone(),
                provider: gpu.provider.clone(),
                memory: gpu.memory,
                cores: gpu.cores,
                score: gpu.score,
                base_price: gpu.base_price,
                price_version: gpu.price_version,
                status,
                updated: gpu.updated,
            }
        });
        let gpus = gpus.collect();
        Self {
            key: listed.key.clone(),
            revision: listed.revision,
            gpus,
            changes_at,
        }
    }

    /// The GPU at `slot` in full, priced at `multiplier`.
    #[must_use]
    pub fn gpu(&self, slot: usize, multiplier: Multiplier) -> Option<Gpu> {
        self.gpus.get(slot).map(|gpu| Gpu {
            id: gpu.id.clone(),
            provider: gpu.provider.clone(),
            model: self.key.shelf.model.clone(),
            memory: gpu.memory,
            cores: gpu.cores,
            base_price: gpu.base_price,
            current_price: multiplier.applied_to(gpu.base_price),
            price_version: gpu.price_version,
            status: gpu.status,
            region: self.key.shelf.region.clone(),
            score: gpu.score,
            updated: gpu.updated,
        })
    }
}

/// How many GPUs are in each state.
///
/// ```
/// use marketplace::shelf::StateCounts;
/// let counts = StateCounts { available: 3, busy: 1, offline: 0, maintenance: 1 };
/// assert_eq!(counts.total(), 5);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounts {
    /// In service and free.
    pub available: u64,
    /// In service and taken.
    pub busy: u64,
    /// Not reachable.
    pub offline: u64,
    /// Taken out of service.
    pub maintenance: u64,
}

impl StateCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.available + self.busy + self.offline + self.maintenance
    }

    /// Counts one more GPU.
    pub fn count(&mut self, status: GpuStatus) {
        *match status {
            GpuStatus::Available => &mut self.available,
            GpuStatus::Busy => &mut self.busy,
            GpuStatus::Offline => &mut self.offline,
            GpuStatus::Maintenance => &mut self.maintenance,
        } += 1;
    }
}

impl AddAssign for StateCounts {
    fn add_assign(&mut self, other: Self) {
        self.available += other.available;
        self.busy += other.busy;
        self.offline += other.offline;
        self.maintenance += other.maintenance;
    }
}

/// The earlier of two instants that may not be there.
pub(super) fn earliest(one: Option<StoreTime>, other: Option<StoreTime>) -> Option<StoreTime> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{listed, taken};
    use super::*;

    #[test]
    fn a_taken_gpu_is_busy_only_while_it_is_in_service() {
        let mut page = listed("us", "T4", 0, &["1", "1", "1", "1"]);
        page.gpus[1].status = OperatorStatus::Offline;
        page.gpus[2].status = OperatorStatus::Maintenance;
        let occupied: Vec<_> = page.gpus[..3].iter().map(|gpu| taken(&gpu.id, 50)).collect();
        let page = GpuPage::assemble(&page, &occupied);
        let statuses: Vec<_> = page.gpus.iter().map(|gpu| gpu.status).collect();
        use GpuStatus::{Available, Busy, Maintenance, Offline};
        assert_eq!(statuses, [Busy, Offline, Maintenance, Available]);
    }

    #[test]
    fn a_page_lasts_until_the_first_of_its_gpus_changes_by_itself() {
        let page = listed("us", "T4", 0, &["1", "1", "1"]);
        let mut occupied: Vec<_> = page
            .gpus
            .iter()
            .zip([70, 40, 90])
            .map(|(gpu, end)| taken(&gpu.id, end))
            .collect();
        assert_eq!(
            GpuPage::assemble(&page, &occupied).changes_at,
            Some(StoreTime::from_millis(40))
        );
        occupied.iter_mut().for_each(|one| one.changes_at = None);
        assert_eq!(GpuPage::assemble(&page, &occupied).changes_at, None);
    }

    #[test]
    fn a_full_page_stays_small_in_the_binary_encoding() {
        let page = listed("us", "T4", 0, &["0.12"; 64]);
        let page = GpuPage::assemble(&page, &[]);
        let bytes = bincode::serde::encode_to_vec(&page, bincode::config::standard()).unwrap();
        let (back, _): (GpuPage, usize) =
            bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
        assert_eq!(back, page);
        assert!(bytes.len() < 64 * 64, "{} bytes", bytes.len());
    }
}
