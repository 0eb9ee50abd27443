//! What a marketplace's operator may decide: how long and how far ahead one may book, how long a quote holds, and what
//! is near.
//!
//! Nothing here is needed to be right about a booking; the defaults suit a market that is like others.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{NameError, Region};

/// The limits and habits of a marketplace; the same on every node, except for `home`.
///
/// ```
/// use marketplace::{MarketSettings, Region};
/// let settings = MarketSettings {
///     home: Some(Region::new("us-east")?),
///     distances: "us-east/us-west=60, us-east/europe=80".parse()?,
///     ..MarketSettings::default()
/// };
/// let regions = ["europe", "mars", "us-east", "us-west"].map(|name| Region::new(name).expect("a name"));
/// let near = settings.by_distance(regions);
/// assert_eq!(near.map(|region| region.to_string()).collect::<Vec<_>>(), ["us-east", "us-west", "europe", "mars"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketSettings {
    /// The longest time one booking may take. Default 365 days: capacity is sold by the year at most, and what is longer
    /// is a slipped digit.
    pub longest_booking: Duration,
    /// How far ahead a booking may begin. Default 365 days, for the same reason.
    pub booking_lead: Duration,
    /// How long ago a new booking may have begun. Default 60 s: a request that asks for "now" is under way for a while,
    /// and clocks differ; nobody means to pay for more than that of the past.
    pub late_start: Duration,
    /// How long a quoted price holds, whatever happens to supply meanwhile. Default 60 s, the longest that a price is
    /// shown without being looked up again: who decides within a minute pays what was shown.
    pub quote_life: Duration,
    /// The region this node serves. Default none: no region is nearer than another.
    pub home: Option<Region>,
    /// How far regions are from each other. Default unknown.
    pub distances: Distances,
}

impl Default for MarketSettings {
    fn default() -> Self {
        Self {
            longest_booking: YEAR,
            booking_lead: YEAR,
            late_start: Duration::from_secs(60),
            quote_life: Duration::from_secs(60),
            home: None,
            distances: Distances::default(),
        }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl MarketSettings {
    /// `regions`, the home first, then the nearest; those of unknown distance last, by name.
    pub fn by_distance(&self, regions: impl IntoIterator<Item = Region>) -> impl Iterator<Item = Region> {
        let rank = |region: Region| match &self.home {
            Some(home) if *home == region => (0, 0, region),
            Some(home) => match self.distances.between(home, &region) {
                Some(distance) => (1, distance, region),
                None => (2, 0, region),
            },
            None => (2, 0, region),
        };
        let mut ranked: Vec<_> = regions.into_iter().map(rank).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, region)| region)
    }
}

/// How far regions are from each other, in any unit: they are only compared. The way back is as long.
///
/// ```
/// use marketplace::{Distances, Region};
/// let distances: Distances = "europe/us-east=80".parse()?;
/// assert_eq!(distances.between(&Region::new("us-east")?, &Region::new("europe")?), Some(80));
/// let wrong = "europe-us-east=80".parse::<Distances>().unwrap_err();
/// assert_eq!(
///     wrong.to_string(),
///     "\"europe-us-east=80\" is no distance: write two regions and a whole number, such as us-east/europe=80"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distances(BTreeMap<(Region, Region), u32>);

impl Distances {
    /// States the distance of two regions; a later statement about the same two counts.
    pub fn state(&mut self, one: Region, other: Region, distance: u32) {
        self.0.insert(pair(one, other), distance);
    }

    /// The distance of two regions, where it was stated; a region is at no distance from itself.
    #[must_use]
    pub fn between(&self, one: &Region, other: &Region) -> Option<u32> {
        if one == other {
            return Some(0);
        }
        self.0.get(&pair(one.clone(), other.clone())).copied()
    }
}

fn pair(one: Region, other: Region) -> (Region, Region) {
    if one <= other { (one, other) } else { (other, one) }
}

impl FromStr for Distances {
    type Err = WrongDistance;

    /// Reads distances such as `us-east/us-west=60, us-east/europe=80`; an empty text states none.
    fn from_str(text: &str) -> Result<Self, WrongDistance> {
        let mut distances = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || WrongDistance(part.to_owned());
            let (regions, distance) = part.split_once('=').ok_or_else(wrong)?;
            let (one, other) = regions.split_once('/').ok_or_else(wrong)?;
            let region = |name: &str| Region::new(name.trim()).map_err(|_: NameError| wrong());
            let distance = distance.trim().parse().map_err(|_| wrong())?;
            distances.state(region(one)?, region(other)?, distance);
        }
        Ok(distances)
    }
}

/// A text that states no distance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongDistance(pub String);

impl fmt::Display for WrongDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = &self.0;
        write!(
            f,
            "{wrong:?} is no distance: write two regions and a whole number, such as us-east/europe=80"
        )
    }
}

impl std::error::Error for WrongDistance {}
