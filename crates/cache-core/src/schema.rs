//! A fingerprint of a value's shape, so that a value written by another release is a miss and never a wrong value.
//!
//! It says whether two shapes are equal, not whether one could be read as the other.

mod reader;
mod trace;

use std::fmt;

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use self::trace::shape_of;

/// A 64-bit hash of the shape that serde sees: names of types, fields and variants, their order, and what each is made of.
///
/// Two releases that agree on it can read each other's bytes, if the whole shape was seen ([`SchemaTrace::untraced`]) and what is
/// not in the shape is the same: the meaning of a number or a text, and whatever a type's own `Deserialize` makes of it. Of
/// a type that was seen in part, it covers all that comes before the place that refused, and the names of all fields and variants
/// beside it; a change behind that place goes unnoticed. A version of the namespace
/// ([`Namespace::with_schema_version`](crate::Namespace::with_schema_version)) covers such changes, and those of meaning.
///
/// ```
/// use cache_core::SchemaFingerprint;
/// #[derive(serde::Deserialize)] struct Old { #[allow(dead_code)] id: u32 }
/// mod newer { #[derive(serde::Deserialize)] pub struct Old { #[allow(dead_code)] id: u64 } }
/// assert_ne!(SchemaFingerprint::of::<Old>(), SchemaFingerprint::of::<newer::Old>());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SchemaFingerprint(pub u64);

impl SchemaFingerprint {
    /// The fingerprint of `V`. Takes microseconds to milliseconds: compute it once.
    pub fn of<V: DeserializeOwned>() -> Self {
        SchemaTrace::of::<V>().fingerprint
    }

    /// The fingerprint of this shape in this version of a namespace; version 0 is the shape's own.
    #[must_use]
    pub fn in_version(self, version: u32) -> Self {
        if version == 0 {
            return self;
        }
        let mut both = [0; 12];
        both[..8].copy_from_slice(&self.0.to_le_bytes());
        both[8..].copy_from_slice(&version.to_le_bytes());
        Self(xxh3_64(&both))
    }
}

/// What could be seen of a type's shape.
///
/// serde shows a type's shape only to whoever hands it values, so values are made up. Most types accept some of them: numbers,
/// texts such as dates, addresses and UUIDs, zero bytes of usual lengths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaTrace {
    /// The fingerprint of what was seen.
    pub fingerprint: SchemaFingerprint,
    /// Where the type accepts nothing that was made up, if anywhere.
    pub untraced: Option<Untraced>,
}

/// The place in a type behind which its shape is not seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Untraced {
    /// Names of types and fields from the outermost one to here, such as `Booking.id`; empty for the type itself.
    pub place: String,
    /// What the type there said to the last made-up value.
    pub reason: String,
}

impl fmt::Display for Untraced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.place.is_empty() {
            "the type itself"
        } else {
            &self.place
        };
        write!(f, "{place} ({})", self.reason)
    }
}

impl SchemaTrace {
    /// Traces `V`. Takes microseconds to milliseconds: do it once.
    ///
    /// ```
    /// use cache_core::SchemaTrace;
    /// #[derive(serde::Deserialize)]
    /// struct Note { #[allow(dead_code)] about: serde_json::Value }
    /// let untraced = SchemaTrace::of::<Note>().untraced.expect("it can be anything");
    /// assert_eq!(untraced.place, "Note.about");
    /// assert_eq!(SchemaTrace::of::<Vec<(u32, String)>>().untraced, None);
    /// ```
    pub fn of<V: DeserializeOwned>() -> Self {
        let shape = shape_of::<V>();
        Self {
            fingerprint: SchemaFingerprint(xxh3_64(shape.text.as_bytes())),
            untraced: shape.refusal.map(|(place, reason)| Untraced { place, reason }),
        }
    }
}

#[cfg(test)]
mod tests;
