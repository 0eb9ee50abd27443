//! Names of the marketplace's things: cheap-to-clone strings that are valid from the moment they exist.
//!
//! They say nothing about what they name: whether a GPU of that name exists is the inventory's answer.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name in bytes: long enough for a UUID with a path in front, short enough for any index key.
pub const LONGEST_NAME: usize = 128;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $subject:literal, $example:literal) => {
        $(#[$doc])*
        ///
        #[doc = concat!("```\nuse marketplace::", stringify!($name), ";")]
        #[doc = concat!("let name = ", stringify!($name), "::new(\"", $example, "\")?;")]
        #[doc = concat!("assert_eq!(name.as_str(), \"", $example, "\");")]
        #[doc = concat!("assert!(", stringify!($name), "::new(\"\").is_err());")]
        /// # Ok::<(), marketplace::NameError>(())
        /// ```
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes `text` as a name.
            ///
            /// # Errors
            /// When it is empty, longer than [`LONGEST_NAME`] bytes, or holds a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                checked(text.as_ref(), $subject).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// One GPU, for as long as the market knows it.
    GpuId, "GPU id", "node-7/gpu-0"
);
name!(
    /// Who offers GPUs and takes them away all at once.
    ProviderId, "provider id", "provider-12"
);
name!(
    /// One booking, given out by the store that granted it.
    BookingId, "booking id", "b-1"
);
name!(
    /// One bid, given out by the record that keeps it.
    BidId, "bid id", "bid-1"
);
name!(
    /// Who books: the tenant in whose name idempotency keys are unique.
    UserId, "user id", "ada"
);
name!(
    /// Where a GPU stands; GPUs of one region compete for price.
    Region, "region", "us-east"
);
name!(
    /// A GPU's model; GPUs of one model are interchangeable for price.
    GpuModel, "GPU model", "H100-SXM"
);
name!(
    /// The caller's name for one request, unique per user; a retry carries the same one.
    IdempotencyKey, "idempotency key", "order-7/hold"
);

/// Why a text is no name, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What the text was to name, such as "GPU id".
    pub subject: &'static str,
    /// What is wrong with it.
    pub fault: NameFault,
}

/// What is wrong with a text that was to be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFault {
    /// It has no characters.
    Empty,
    /// It has this many bytes, more than [`LONGEST_NAME`].
    TooLong(usize),
    /// A control character stands at this byte; it would break logs and keys.
    Control(usize),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.subject)?;
        match self.fault {
            NameFault::Empty => f.write_str("is empty"),
            NameFault::TooLong(bytes) => write!(f, "has {bytes} bytes, more than {LONGEST_NAME}"),
            NameFault::Control(at) => write!(f, "has a control character at byte {at}"),
        }
    }
}

impl std::error::Error for NameError {}

fn checked(text: &str, subject: &'static str) -> Result<Arc<str>, NameError> {
    let fault = if text.is_empty() {
        Some(NameFault::Empty)
    } else if text.len() > LONGEST_NAME {
        Some(NameFault::TooLong(text.len()))
    } else {
        text.char_indices()
            .find(|(_, c)| c.is_control())
            .map(|(at, _)| NameFault::Control(at))
    };
    fault.map_or_else(|| Ok(Arc::from(text)), |fault| Err(NameError { subject, fault }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_128_bytes_is_taken_and_one_of_129_is_refused() {
        assert!(GpuId::new("x".repeat(128)).is_ok());
        let error = GpuId::new("x".repeat(129)).unwrap_err();
        assert_eq!(error.fault, NameFault::TooLong(129));
        assert_eq!(error.to_string(), "GPU id has 129 bytes, more than 128");
    }

    #[test]
    fn empty_names_and_control_characters_are_refused() {
        assert_eq!(Region::new("").unwrap_err().fault, NameFault::Empty);
        assert_eq!(Region::new("us\neast").unwrap_err().fault, NameFault::Control(2));
        assert!(Region::new("Hafnarfjarðarkaupstaður").is_ok());
    }

    #[test]
    fn a_name_is_validated_on_its_way_in_from_bytes() {
        let json = serde_json::to_string(&UserId::new("ada").unwrap()).unwrap();
        assert_eq!(json, "\"ada\"");
        assert_eq!(serde_json::from_str::<UserId>(&json).unwrap().as_str(), "ada");
        assert!(
            serde_json::from_str::<UserId>("\"\"")
                .unwrap_err()
                .to_string()
                .contains("user id is empty")
        );
    }
}
