//! What is wrong with a request, said so that the next one can be right.
//!
//! These are found before any system of record is asked to decide; what a record refuses it says itself.

use std::fmt;
use std::time::Duration;

use super::search::Directory;
use crate::{Currency, GpuId, GpuModel, Money, Region, StoreTime, TimedQuote};

/// Why a request cannot be carried out whatever the state of the market.
///
/// ```
/// use marketplace::{Refusal, Region};
/// let refusal = Refusal::UnknownRegion { asked: Region::new("us-esat")?, nearest: vec![Region::new("us-east")?] };
/// assert_eq!(refusal.to_string(), "there is no region us-esat; did you mean us-east?");
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No GPU of that name was ever listed.
    UnknownGpu(GpuId),
    /// No GPU stands in a region of that name.
    UnknownRegion {
        /// The name.
        asked: Region,
        /// Those that are most like it, the likest first; at most three.
        nearest: Vec<Region>,
    },
    /// No GPU is of that model.
    UnknownModel {
        /// The name.
        asked: GpuModel,
        /// Those that are most like it, the likest first; at most three.
        nearest: Vec<GpuModel>,
    },
    /// A booking takes longer than may be.
    TooLong {
        /// How long it was to take.
        asked: Duration,
        /// The longest that may be.
        longest: Duration,
    },
    /// A booking takes no time.
    NoLength,
    /// A booking begins further ahead than may be.
    TooFarAhead {
        /// When it was to begin.
        start: StoreTime,
        /// The latest that may be now.
        latest: StoreTime,
    },
    /// A price or bid is below zero.
    NegativePrice(Money),
    /// A price or bid is in a currency that the market does not use.
    WrongCurrency {
        /// The price.
        given: Money,
        /// The market's currency.
        market: Currency,
    },
    /// An idempotency key leaves no room for the names of a request's steps.
    LongKey {
        /// Its length in bytes.
        bytes: usize,
        /// The longest that may be.
        longest: usize,
    },
    /// A hold is to last longer than may be.
    LongHold {
        /// How long it was to last.
        asked: Duration,
        /// The longest that may be.
        longest: Duration,
    },
    /// A bid's deadline has passed already.
    DeadlineOver {
        /// The deadline.
        until: StoreTime,
        /// The present time.
        now: StoreTime,
    },
}

/// Why a booking that was asked for in due form was not granted, where nobody else's booking is in the way. Nothing is
/// left held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The provider has changed the base price since the quote; this is the price now.
    PriceMoved {
        /// A quote that can be booked.
        now: TimedQuote,
    },
    /// The quote had ended before the request came; this is the price now.
    QuoteEnded {
        /// A quote that can be booked.
        now: TimedQuote,
    },
    /// A GPU is offline or in maintenance.
    OutOfService(GpuId),
    /// The booking was to begin in the past.
    InThePast {
        /// When it was to begin.
        start: StoreTime,
        /// The earliest that it may begin now.
        earliest: StoreTime,
    },
}

/// The longest idempotency key of a request to the marketplace, in bytes: room is left for the names of its steps.
pub const LONGEST_KEY: usize = 100;

/// Whether a price can be one of the market's.
pub(super) fn admitted_price(given: Money, market: Currency) -> Result<(), Refusal> {
    if given.currency != market {
        return Err(Refusal::WrongCurrency { given, market });
    }
    if given.micros < 0 {
        return Err(Refusal::NegativePrice(given));
    }
    Ok(())
}

impl Directory {
    /// Whether a region and a model are names that the market knows.
    pub(super) fn admits(&self, region: Option<&Region>, model: Option<&GpuModel>) -> Result<(), Refusal> {
        if let Some(asked) = region {
            let known = self.regions();
            if !known.contains(asked) {
                let (nearest, asked) = (nearest(asked.as_str(), known, Region::as_str), asked.clone());
                return Err(Refusal::UnknownRegion { asked, nearest });
            }
        }
        if let Some(asked) = model {
            let known = self.models();
            if !known.contains(asked) {
                let (nearest, asked) = (nearest(asked.as_str(), known, GpuModel::as_str), asked.clone());
                return Err(Refusal::UnknownModel { asked, nearest });
            }
        }
        Ok(())
    }
}

/// Names shown to whoever mistyped one.
const SHOWN: usize = 3;
/// How alike two names must be to be worth showing, 1 being the same: below that they share letters by chance.
const ALIKE: f64 = 0.7;

fn nearest<T>(asked: &str, known: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let asked = asked.to_lowercase();
    let alike = |one: &T| strsim::jaro_winkler(&asked, &name(one).to_lowercase());
    let mut ranked: Vec<(f64, T)> = known.into_iter().map(|one| (alike(&one), one)).collect();
    ranked.retain(|(alike, _)| *alike >= ALIKE);
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    ranked.into_iter().take(SHOWN).map(|(_, one)| one).collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownGpu(gpu) => write!(f, "there is no GPU {gpu}; a search tells which there are"),
            Self::UnknownRegion { asked, nearest } => unknown(f, "region", asked.as_str(), nearest),
            Self::UnknownModel { asked, nearest } => unknown(f, "GPU model", asked.as_str(), nearest),
            Self::TooLong { asked, longest } => write!(
                f,
                "the booking takes {} s; the longest takes {} s",
                asked.as_secs(),
                longest.as_secs()
            ),
            Self::NoLength => f.write_str("the booking takes less than the millisecond that it must take"),
            Self::TooFarAhead { start, latest } => write!(
                f,
                "the booking begins at {} ms; the latest that may be is {} ms",
                start.as_millis(),
                latest.as_millis()
            ),
            Self::NegativePrice(price) => write!(f, "the price is {price}; it must not be below zero"),
            Self::WrongCurrency { given, market } => {
                write!(f, "the price is {given}; prices of this market are in {market}")
            }
            Self::LongKey { bytes, longest } => {
                write!(
                    f,
                    "the idempotency key has {bytes} bytes; the longest has {longest}"
                )
            }
            Self::LongHold { asked, longest } => write!(
                f,
                "the hold is to last {} s; the longest lasts {} s",
                asked.as_secs(),
                longest.as_secs()
            ),
            Self::DeadlineOver { until, now } => write!(
                f,
                "the bid ends at {} ms, and it is {} ms; a bid must end later than it is posted",
                until.as_millis(),
                now.as_millis()
            ),
        }
    }
}

fn unknown<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    subject: &str,
    asked: &str,
    nearest: &[T],
) -> fmt::Result {
    write!(f, "there is no {subject} {asked}")?;
    for (place, name) in nearest.iter().enumerate() {
        let before = ["; did you mean ", " or "][place.min(1)];
        write!(f, "{before}{name}")?;
    }
    f.write_str(if nearest.is_empty() { "" } else { "?" })
}

impl std::error::Error for Refusal {}
