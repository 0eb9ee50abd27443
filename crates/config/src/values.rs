//! The types of values: each knows what is right, how it is read and how it is written.
//!
//! Knows neither layers nor settings. A type accepts no value outside its limits, so that nobody checks
//! twice.

mod choices;
mod names;
mod numbers;
mod sentinels;

use std::fmt;

pub use choices::{CacheTier, NetworkTier, Preset, Switch};
pub use names::{
    AvailabilityZone, Datacenter, FilePath, Host, MasterName, NodeId, Rack, Region, RegionDistances, User,
};
pub use numbers::{Database, Hours, Shards, TtlMultiplier};
pub use sentinels::Sentinels;

use crate::secret::Secrecy;

/// A type that a setting may have.
pub(crate) trait Value: Sized {
    /// Whether values of this type may be shown.
    const SECRECY: Secrecy = Secrecy::Open;

    /// What a right value looks like, to stand after "expected".
    fn expects() -> String;

    /// `; did you mean X?`, or nothing, for a text that is not right.
    fn hint(_text: &str) -> String {
        String::new()
    }

    /// Reads a value, or `None` if it is not right.
    fn parse(text: &str) -> Option<Self>;

    /// Writes it in its one customary form, which [`Value::parse`] reads back unless the value is secret.
    fn render(&self) -> String;
}

/// A value that may be absent: the empty text stands for none.
impl<T: Value> Value for Option<T> {
    const SECRECY: Secrecy = T::SECRECY;

    fn expects() -> String {
        format!("{}, or nothing", T::expects())
    }

    fn hint(text: &str) -> String {
        T::hint(text)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            Some(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn render(&self) -> String {
        self.as_ref().map(T::render).unwrap_or_default()
    }
}

/// A text that does not hold a right value; says what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub(crate) expected: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for Refused {}

/// Lets others read the type from a text by the same rule as the settings.
macro_rules! parsed_from_text {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = crate::values::Refused;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                use crate::values::Value;
                Self::parse(text).ok_or_else(|| crate::values::Refused {
                    expected: <Self as Value>::expects(),
                })
            }
        }
    };
}
pub(crate) use parsed_from_text;
