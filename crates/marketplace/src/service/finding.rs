//! Which GPUs there are: lists and searches over the market, answered from the cache.
//!
//! They open no more sections and pages than the price sheets make worth opening.

use super::answer::Trail;
use super::{Answer, MarketError, Marketplace};
use crate::shelf::{PartKey, Ranking, Search, SearchFilter, StateCounts};
use crate::{Gpu, GpuModel, GpuStatus, Region};

/// Which GPUs to list.
///
/// ```
/// use marketplace::{AvailabilityQuery, Show};
/// let query = AvailabilityQuery { limit: 20, ..AvailabilityQuery::default() };
/// assert_eq!(query.show, Show::Available);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailabilityQuery {
    /// Only this region.
    pub region: Option<Region>,
    /// Only this model.
    pub model: Option<GpuModel>,
    /// Whether busy ones are listed too.
    pub show: Show,
    /// At most so many. Default 100: a page of a list.
    pub limit: usize,
}

/// Which states of GPUs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// Those that can be booked now.
    #[default]
    Available,
    /// Those and the busy ones, not those out of service.
    AvailableAndBusy,
}

impl Default for AvailabilityQuery {
    fn default() -> Self {
        Self {
            region: None,
            model: None,
            show: Show::Available,
            limit: 100,
        }
    }
}

/// Every search fails with `Refused` when it names a region or a model that the market does not know, and with `Cache`
/// when a part cannot be read.
impl Marketplace {
    /// The GPUs of a region, a model, or all, in the order of shelves and pages.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn gpu_availability(&self, query: &AvailabilityQuery) -> Result<Answer<Vec<Gpu>>, MarketError> {
        let mut trail = Trail::of(64);
        let sheets = self
            .sheets(&mut trail, query.region.as_ref(), query.model.as_ref())
            .await?;
        let mut found = Vec::with_capacity(query.limit.min(256));
        for priced in &sheets {
            let sheet = &priced.sheet;
            // The next part of the walk is the last.
            let mut parts: Vec<(u8, u32)> = Vec::new();
            let planned = |level, parts: &[crate::shelf::PartSummary]| {
                let shown = parts
                    .iter()
                    .rev()
                    .filter(|part| query.show.any_of(part.summary.states));
                shown.map(|part| (level, part.number)).collect::<Vec<_>>()
            };
            parts.extend(planned(sheet.level, &sheet.parts));
            while found.len() < query.limit
                && let Some((level, number)) = parts.pop()
            {
                match PartKey::of(&sheet.shelf, level, number) {
                    PartKey::Section(key) => {
                        if let Some(section) = self.section(&mut trail, &key).await? {
                            parts.extend(planned(level - 1, &section.section.parts));
                        }
                    }
                    PartKey::Page(key) => {
                        let Some(page) = self.page(&mut trail, &key).await? else {
                            continue;
                        };
                        let shown = page.gpus.iter().enumerate();
                        let shown = shown.filter(|(_, gpu)| query.show.admits(gpu.status));
                        let gpus = shown.filter_map(|(slot, _)| page.gpu(slot, sheet.multiplier));
                        found.extend(gpus.take(query.limit - found.len()));
                    }
                }
            }
        }
        Ok(trail.answer(found))
    }

    /// The `k` fastest GPUs that pass, the cheaper of equals first.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn top_performing_gpus(
        &self,
        k: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, MarketError> {
        self.ranked(Ranking::TopPerforming, k, filter).await
    }

    /// The `k` cheapest GPUs that pass, the faster of equals first.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn cheapest_gpus(
        &self,
        k: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, MarketError> {
        self.ranked(Ranking::Cheapest, k, filter).await
    }

    /// Up to `limit` GPUs that pass, cheapest first.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn search_gpus(
        &self,
        filter: SearchFilter,
        limit: usize,
    ) -> Result<Answer<Vec<Gpu>>, MarketError> {
        self.ranked(Ranking::Cheapest, limit, filter).await
    }

    /// Up to `limit` GPUs that pass, those of the node's own region first and then those of the nearest, by the distances
    /// of the [`MarketSettings`](crate::MarketSettings); within a region the cheapest first. A region further away is
    /// looked into only when the nearer ones have too few.
    ///
    /// # Errors
    /// `Refused` for an unknown name, `Cache` when a part cannot be read.
    pub async fn nearby_gpus(
        &self,
        filter: SearchFilter,
        limit: usize,
    ) -> Result<Answer<Vec<Gpu>>, MarketError> {
        if filter.region.is_some() {
            return self.ranked(Ranking::Cheapest, limit, filter).await;
        }
        let mut trail = Trail::of(64);
        let directory = self.directory(&mut trail).await?;
        directory.admits(None, filter.model.as_ref())?;
        let mut found = Vec::new();
        for region in self.core.settings.by_distance(directory.regions()) {
            if found.len() >= limit {
                break;
            }
            let filter = SearchFilter {
                region: Some(region),
                ..filter.clone()
            };
            let here = self
                .ranked_along(&mut trail, Ranking::Cheapest, limit - found.len(), filter)
                .await?;
            found.extend(here);
        }
        Ok(trail.answer(found))
    }

    pub(super) async fn ranked(
        &self,
        ranking: Ranking,
        limit: usize,
        filter: SearchFilter,
    ) -> Result<Answer<Vec<Gpu>>, MarketError> {
        let mut trail = Trail::of(64);
        let found = self.ranked_along(&mut trail, ranking, limit, filter).await?;
        Ok(trail.answer(found))
    }

    async fn ranked_along(
        &self,
        trail: &mut Trail,
        ranking: Ranking,
        limit: usize,
        filter: SearchFilter,
    ) -> Result<Vec<Gpu>, MarketError> {
        let sheets = self
            .sheets(trail, filter.region.as_ref(), filter.model.as_ref())
            .await?;
        let mut search = Search::new(filter, ranking, limit, sheets.iter().map(|priced| &*priced.sheet));
        while let Some(part) = search.next_part() {
            match part {
                PartKey::Page(key) => {
                    if let Some(page) = self.page(trail, &key).await? {
                        search.take_page(&page);
                    }
                }
                PartKey::Section(key) => {
                    if let Some(section) = self.section(trail, &key).await? {
                        search.take_section(&section.section);
                    }
                }
            }
        }
        Ok(search.finish())
    }
}

impl Show {
    fn admits(self, status: GpuStatus) -> bool {
        match self {
            Self::Available => status == GpuStatus::Available,
            Self::AvailableAndBusy => matches!(status, GpuStatus::Available | GpuStatus::Busy),
        }
    }

    fn any_of(self, states: StateCounts) -> bool {
        states.available > 0 || (self == Self::AvailableAndBusy && states.busy > 0)
    }
}
