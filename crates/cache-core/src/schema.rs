//! A fingerprint of a value's shape, so that a value written by another release is a miss and never a wrong value.
//!
//! It says whether two shapes are equal, not whether one could be read as the other.

use serde::de::DeserializeOwned;
use serde_reflection::{Samples, Tracer, TracerConfig};
use xxhash_rust::xxh3::xxh3_64;

/// A 64-bit hash of the shape that serde sees: names of types, fields and variants, and their order.
///
/// Two releases that agree on it can read each other's bytes, in any codec. A type whose `Deserialize` refuses
/// every made-up value (a parsed id, say) contributes what was seen until it refused.
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
        let mut tracer = Tracer::new(TracerConfig::default());
        let root = match tracer.trace_type::<V>(&Samples::new()) {
            Ok((format, _values)) => format!("{format:?}"),
            Err(error) => format!("{error:?}"),
        };
        let shape = format!("{root}\n{:?}", tracer.registry_unchecked());
        Self(xxh3_64(shape.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod old {
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        pub(super) struct V {
            x: u32,
            y: Option<W>,
        }
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        pub(super) enum W {
            One,
            Two(String),
        }
    }

    mod with_a_field {
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        pub(super) struct V {
            x: u32,
            y: Option<super::old::W>,
            z: bool,
        }
    }

    mod in_another_order {
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        pub(super) struct V {
            y: Option<super::old::W>,
            x: u32,
        }
    }

    #[test]
    fn a_new_field_and_a_new_order_each_change_the_fingerprint() {
        let old = SchemaFingerprint::of::<old::V>();
        assert_eq!(old, SchemaFingerprint::of::<old::V>());
        assert_ne!(old, SchemaFingerprint::of::<with_a_field::V>());
        assert_ne!(old, SchemaFingerprint::of::<in_another_order::V>());
    }
}
