//! How newer parts take their places in what is put together from many: section, sheet, tally.
//!
//! It reads and writes nothing.

use std::collections::HashMap;

use cache_core::Version;

use crate::namespaces::{RegionTally, ShelfTally};
use crate::shelf::{DayTotals, PartSummary, ShelfKey, Summary};

/// A part as it stands now.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) number: u32,
    pub(super) of: Version,
    pub(super) summary: Summary,
}

/// What new parts make of the old ones.
pub(super) enum Merged {
    /// None of them is newer.
    Same,
    /// These, of these versions.
    Parts(Vec<PartSummary>, Vec<Version>),
    /// It cannot be said without reading all parts.
    Unknown,
}

/// Puts `fresh` parts in the places of older ones. Without them, or when one has no place, all have to be read.
pub(super) fn merged(parts: &[PartSummary], of: &[Version], fresh: Option<&[Fresh]>) -> Merged {
    let Some(fresh) = fresh else {
        return Merged::Unknown;
    };
    let (mut parts, mut of) = (parts.to_vec(), of.to_vec());
    let mut changed = false;
    for one in fresh {
        let place = parts.binary_search_by_key(&one.number, |part| part.number).ok();
        let Some((part, version)) = place.and_then(|place| parts.get_mut(place).zip(of.get_mut(place)))
        else {
            return Merged::Unknown;
        };
        if supersedes(one.of, *version) {
            part.summary = one.summary.clone();
            *version = one.of;
            changed = true;
        }
    }
    if changed {
        Merged::Parts(parts, of)
    } else {
        Merged::Same
    }
}

impl RegionTally {
    /// The tally with newer parts; `None` when it lacks one of the shelves.
    pub(super) fn with(&self, parts: &[ShelfTally]) -> Option<Self> {
        let mut tally = self.clone();
        for part in parts {
            let place = tally.shelves.iter_mut().find(|shelf| shelf.shelf == part.shelf)?;
            if supersedes(part.of, place.of) {
                *place = part.clone();
            }
        }
        Some(tally)
    }

    /// The tally with these bookings of the day; a shelf that has none booked nothing.
    pub(super) fn on(mut self, day: &HashMap<ShelfKey, DayTotals>) -> Self {
        for tally in &mut self.shelves {
            tally.day = day.get(&tally.shelf).copied().unwrap_or_default();
        }
        self
    }
}

/// Whether a part of version `new` takes the place of one of version `old`: unless it is older. Versions of two
/// histories do not compare; then the later writer is right.
pub(super) fn supersedes(new: Version, old: Version) -> bool {
    new.partial_cmp(&old) != Some(std::cmp::Ordering::Less)
}
