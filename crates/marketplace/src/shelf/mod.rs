//! Views of the market, computed from what the systems of record said: pages, price sheets, order books,
//! statistics, and searches over them.
//!
//! Nothing here waits, fetches or remembers: whoever holds the parts hands them in. A view is advisory.

mod order_book;
mod page;
mod search;
mod sheet;
pub(crate) mod statistics;
mod summary;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{GpuModel, Region};

pub use order_book::{LAST_TRADES, OrderBook, Trade};
pub use page::{GpuPage, PageGpu, StateCounts};
pub use search::{Availability, Ranking, Search, SearchFilter};
pub use sheet::{FAN_OUT, PartKey, PartSummary, PriceSheet, Section, level_of_parts, parts_at};
pub use statistics::{DayTotals, DayWindow, MarketStats, Share};
pub use summary::{Bounds, DEPTH, PriceLevel, Summary};

/// All GPUs of one model in one region: what is priced together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShelfKey {
    /// Where they stand.
    pub region: Region,
    /// What they are.
    pub model: GpuModel,
}

impl fmt::Display for ShelfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.model)
    }
}

/// One page of a shelf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageKey {
    /// The shelf.
    pub shelf: ShelfKey,
    /// The page's number, from zero.
    pub page: u32,
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shelf, self.page)
    }
}

/// One section of a shelf: its pages at level 1, sections of the level below above that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SectionKey {
    /// The shelf.
    pub shelf: ShelfKey,
    /// How far above the pages, at least 1.
    pub level: u8,
    /// The section's number among those of its level, from zero.
    pub number: u32,
}

#[cfg(test)]
mod fixtures;
