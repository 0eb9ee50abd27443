//! A shelf's price sheet, and the sections between it and the pages of a large shelf.
//!
//! They list no GPUs. Sheet and sections are a tree over the pages: when one page changes, one summary on each level is
//! replaced and nothing else is read, so that a change costs the height of the tree and not the size of the shelf.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PageKey, SectionKey, ShelfKey, Summary};
use crate::{Multiplier, PricingPolicy, StoreTime, Supply};

/// Parts of a sheet or section: 32 pages of 64 GPUs make 2,048 GPUs without a section between, which no shelf of a
/// market of 100,000 GPUs in fifty shelves exceeds; and a sheet stays below ten kilobytes.
pub const FAN_OUT: u32 = 32;

/// The prices of one shelf.
///
/// ```
/// use marketplace::shelf::{PriceSheet, ShelfKey};
/// use marketplace::{GpuModel, Multiplier, Region, ScarcityPricing};
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("T4")? };
/// let empty = PriceSheet::assemble(shelf, 0, [], &ScarcityPricing, None);
/// assert_eq!(empty.multiplier, Multiplier::ONE);
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceSheet {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// The factor on every base price of the shelf.
    pub multiplier: Multiplier,
    /// The whole shelf.
    pub whole: Summary,
    /// What its parts are: pages at level 0, sections above.
    pub level: u8,
    /// Its parts, by number.
    pub parts: Vec<PartSummary>,
}

impl PriceSheet {
    /// Puts the summaries of a shelf's parts together and prices them by `policy`, from the factor that was shown
    /// before, if one was. Of two summaries of one part the later counts.
    #[must_use]
    pub fn assemble(
        shelf: ShelfKey,
        level: u8,
        parts: impl IntoIterator<Item = PartSummary>,
        policy: &dyn PricingPolicy,
        before: Option<Multiplier>,
    ) -> Self {
        let parts = in_order(parts);
        let whole = Summary::of_parts(parts.iter().map(|part| &part.summary));
        let supply = Supply {
            available: whole.states.available,
            total: whole.states.total(),
        };
        let multiplier = policy.multiplier(&shelf, supply, before);
        Self {
            shelf,
            multiplier,
            whole,
            level,
            parts,
        }
    }

    /// When time alone will change it; the sheet must not be shown any longer than that.
    #[must_use]
    pub fn changes_at(&self) -> Option<StoreTime> {
        self.whole.changes_at
    }
}

/// A stretch of a shelf that is too large for one sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Which one.
    pub key: SectionKey,
    /// Its parts, of the level below, by number; at most [`FAN_OUT`].
    pub parts: Vec<PartSummary>,
}

impl Section {
    /// Puts the summaries of its parts together.
    #[must_use]
    pub fn assemble(key: SectionKey, parts: impl IntoIterator<Item = PartSummary>) -> Self {
        Self {
            key,
            parts: in_order(parts),
        }
    }

    /// All of it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of_parts(self.parts.iter().map(|part| &part.summary))
    }
}

/// One part of a sheet or section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSummary {
    /// Its number among the shelf's parts of its level.
    pub number: u32,
    /// What it holds.
    pub summary: Summary,
}

/// A part to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKey {
    /// A page.
    Page(PageKey),
    /// A section.
    Section(SectionKey),
}

impl PartKey {
    /// Part `number` of a level of a shelf.
    #[must_use]
    pub fn of(shelf: &ShelfKey, level: u8, number: u32) -> Self {
        let shelf = shelf.clone();
        match level {
            0 => Self::Page(PageKey { shelf, page: number }),
            level => Self::Section(SectionKey { shelf, level, number }),
        }
    }
}

/// The level of the parts that the sheet of a shelf of so many pages has.
///
/// ```
/// use marketplace::shelf::level_of_parts;
/// assert_eq!((level_of_parts(0), level_of_parts(32), level_of_parts(33), level_of_parts(1_025)), (0, 0, 1, 2));
/// ```
#[must_use]
pub fn level_of_parts(pages: u32) -> u8 {
    let mut level = 0;
    while parts_at(pages, level) > FAN_OUT {
        level += 1;
    }
    level
}

/// How many parts of a level a shelf of so many pages has.
#[must_use]
pub fn parts_at(pages: u32, level: u8) -> u32 {
    (0..level).fold(pages, |parts, _| parts.div_ceil(FAN_OUT))
}

fn in_order(parts: impl IntoIterator<Item = PartSummary>) -> Vec<PartSummary> {
    let parts: BTreeMap<u32, PartSummary> = parts.into_iter().map(|part| (part.number, part)).collect();
    parts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::GpuPage;
    use super::super::fixtures::{free_page, listed, part, sheet, taken};
    use super::*;
    use crate::ScarcityPricing;

    #[test]
    fn a_taken_gpu_raises_the_price_of_the_whole_shelf_without_its_other_pages() {
        let pages = [
            free_page("us", "T4", 0, &["1"; 5]),
            free_page("us", "T4", 1, &["1"; 5]),
        ];
        let before = sheet(&pages);
        assert_eq!(before.multiplier, Multiplier::ONE);
        let with = |sheet: &PriceSheet, page: &GpuPage| {
            let parts = sheet.parts.iter().cloned().chain([part(page)]);
            let before = Some(sheet.multiplier);
            PriceSheet::assemble(sheet.shelf.clone(), 0, parts, &ScarcityPricing, before)
        };
        let second = listed("us", "T4", 1, &["1"; 5]);
        let occupied: Vec<_> = second.gpus.iter().map(|gpu| taken(&gpu.id, 30)).collect();
        let half = with(&before, &GpuPage::assemble(&second, &occupied));
        assert_eq!(
            (half.multiplier, half.whole.states.available),
            (Multiplier::ONE, 5),
            "half is not below half"
        );
        let first = GpuPage::assemble(
            &listed("us", "T4", 0, &["1"; 5]),
            &[taken(&pages[0].gpus[0].id, 20)],
        );
        let scarce = with(&half, &first);
        assert_eq!(
            (scarce.multiplier, scarce.parts.len()),
            (Multiplier::per_mille(1200), 2)
        );
        assert_eq!(scarce.changes_at(), Some(StoreTime::from_millis(20)));
    }

    #[test]
    fn no_sheet_and_no_section_has_more_parts_than_its_fan_out() {
        for pages in [1, 31, 32, 33, 1_024, 1_025, 40_000, u32::MAX] {
            let level = level_of_parts(pages);
            assert!(parts_at(pages, level) <= FAN_OUT, "{pages}");
            assert!(
                level == 0 || parts_at(pages, level - 1) > FAN_OUT,
                "{pages} needs no section more"
            );
        }
    }
}
