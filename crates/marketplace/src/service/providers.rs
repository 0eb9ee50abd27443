//! A provider in numbers: its GPUs by state, what they cost, what was booked of them.
//!
//! Nothing of it is cached but the prices: whoever asks is the provider itself, and seldom.

use std::collections::HashMap;

use super::answer::Trail;
use super::{Answer, MarketError, Marketplace};
use crate::inventory::OperatorStatus;
use crate::shelf::{MarketStats, ShelfKey, StateCounts};
use crate::{GpuId, GpuStatus, Money, Multiplier, ProviderId, ProviderStatus};

/// One provider in numbers.
///
/// ```
/// use marketplace::shelf::{DayTotals, MarketStats, StateCounts};
/// use marketplace::{ProviderStats, ProviderStatus};
/// let figures = MarketStats::of(StateCounts::default(), None, DayTotals::default());
/// let idle = ProviderStats { status: ProviderStatus::Online, figures };
/// assert_eq!(idle.figures.average_price, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStats {
    /// Whether its GPUs can be reached.
    pub status: ProviderStatus,
    /// Its GPUs as if they were a market.
    pub figures: MarketStats,
}

impl Marketplace {
    /// A provider in numbers, from the systems of record at current prices; `None` when there is no such provider. It
    /// looks at each of the provider's GPUs.
    ///
    /// # Errors
    /// When a system of record cannot be reached, or `Cache` when a price cannot be read.
    pub async fn provider_stats(
        &self,
        id: &ProviderId,
    ) -> Result<Answer<Option<ProviderStats>>, MarketError> {
        let mut trail = Trail::of(8);
        let records = &self.source().records;
        let Some(provider) = records.inventory.provider(id).await? else {
            return Ok(trail.answer(None));
        };
        let gpus = records.inventory.provider_gpus(id).await?;
        let ids: Vec<GpuId> = gpus.iter().map(|gpu| gpu.id.clone()).collect();
        let occupied = records.ledger.occupied(&ids, self.source().now()).await?;
        let mut multipliers: HashMap<ShelfKey, Multiplier> = HashMap::new();
        let (mut states, mut asked) = (StateCounts::default(), Vec::new());
        for (gpu, occupancy) in gpus.into_iter().zip(occupied) {
            let status = match (gpu.status, occupancy.holder) {
                (OperatorStatus::Offline, _) => GpuStatus::Offline,
                (OperatorStatus::Maintenance, _) => GpuStatus::Maintenance,
                (OperatorStatus::InService, Some(_)) => GpuStatus::Busy,
                (OperatorStatus::InService, None) => GpuStatus::Available,
            };
            states.count(status);
            if status != GpuStatus::Available {
                continue;
            }
            let shelf = ShelfKey {
                region: gpu.region,
                model: gpu.model,
            };
            let multiplier = match multipliers.get(&shelf) {
                Some(multiplier) => *multiplier,
                None => {
                    let priced = self.sheet(&mut trail, &shelf).await?;
                    let multiplier = priced.map_or(Multiplier::ONE, |priced| priced.sheet.multiplier);
                    *multipliers.entry(shelf).or_insert(multiplier)
                }
            };
            asked.push(Some(multiplier.applied_to(gpu.base_price)));
        }
        let day = self.source().tape.provider_day(self.source(), id).await;
        let day = day.map_err(super::reads::failed)?;
        let figures = MarketStats::of(states, Money::total(asked), day);
        let status = provider.status;
        Ok(trail.answer(Some(ProviderStats { status, figures })))
    }
}
