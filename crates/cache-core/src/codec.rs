//! How a value becomes bytes and comes back.
//!
//! Compression, versioning and expiry are the envelope's concern, not the codec's.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{CodecError, ErrorKind};

/// Which codec wrote a value; stored beside it, so that codecs can change without a flag day.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CodecId(pub u8);

impl CodecId {
    /// [`BincodeCodec`].
    pub const BINCODE: Self = Self(1);
    /// [`JsonCodec`].
    pub const JSON: Self = Self(2);
}

/// Takes a value out of a deserializer.
pub type Visit<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// Port: turns values into bytes and back.
///
/// Object-safe by way of `erased_serde`; [`encode_value`] and [`decode_value`] are the typed doors.
///
/// ```
/// use cache_core::{Codec, JsonCodec, decode_value, encode_value};
/// let bytes = encode_value(&JsonCodec, &vec![1_u32, 2])?;
/// assert_eq!(bytes, b"[1,2]");
/// assert_eq!(decode_value::<Vec<u32>>(&JsonCodec, &bytes)?, [1, 2]);
/// # Ok::<(), cache_core::CodecError>(())
/// ```
pub trait Codec: Send + Sync + 'static {
    /// The id stored with every value this codec writes.
    fn id(&self) -> CodecId;

    /// Appends the encoded value to `into`.
    ///
    /// # Errors
    /// `Rejected` when the value cannot be represented.
    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Hands a deserializer over `bytes` to `visit`, which takes the value out of it.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a value of the type that `visit` asks for, or when some are left over.
    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError>;
}

/// Encodes a value of a known type.
///
/// # Errors
/// As [`Codec::encode`].
pub fn encode_value<V: Serialize>(codec: &dyn Codec, value: &V) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    codec.encode(value, &mut bytes)?;
    Ok(bytes)
}

/// Decodes a value of a known type.
///
/// # Errors
/// As [`Codec::decode`].
pub fn decode_value<V: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<V, CodecError> {
    let mut value = None;
    codec.decode(bytes, &mut |deserializer| {
        value = Some(erased_serde::deserialize::<V>(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| corrupt("the codec visited no value", None))
}

/// bincode 2, standard configuration: compact, fast, Rust only. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct BincodeCodec;

impl Codec for BincodeCodec {
    fn id(&self) -> CodecId {
        CodecId::BINCODE
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::serde::encode_into_std_write(value, into, bincode::config::standard())
            .map(|_written| ())
            .map_err(|error| rejected("bincode cannot represent this value", error.into()))
    }

    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
        // A length field of damaged bytes must not reserve more memory than a value can have.
        let config = bincode::config::standard().with_limit::<{ 256 << 20 }>();
        let ((), used) = bincode::serde::seed_decode_from_slice(VisitSeed(visit), bytes, config)
            .map_err(|error| corrupt("these bytes are not bincode of this type", Some(error.into())))?;
        if used == bytes.len() {
            Ok(())
        } else {
            Err(corrupt("bytes are left over after the value", None))
        }
    }
}

/// Hands bincode's deserializer, whose type is private, to a visit.
struct VisitSeed<'a, 'v>(&'a mut Visit<'v>);

impl<'de> serde::de::DeserializeSeed<'de> for VisitSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer))
            .map_err(serde::de::Error::custom)
    }
}

/// JSON: larger and slower, readable by every language and by people.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn id(&self) -> CodecId {
        CodecId::JSON
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(into, value)
            .map_err(|error| rejected("JSON cannot represent this value", error.into()))
    }

    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(
            &mut deserializer,
        ))
        .map_err(|error| corrupt("these bytes are not JSON of this type", Some(error.into())))?;
        deserializer
            .end()
            .map_err(|error| corrupt("bytes are left over after the value", Some(error.into())))
    }
}

fn rejected(message: &str, source: Box<dyn std::error::Error + Send + Sync>) -> CodecError {
    CodecError::new(ErrorKind::Rejected, message).caused_by(source)
}

fn corrupt(message: &str, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> CodecError {
    let error = CodecError::new(ErrorKind::Corrupt, message);
    match source {
        Some(source) => error.caused_by(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Sample = (u32, String, Option<Vec<i64>>);

    #[test]
    fn left_over_bytes_are_corrupt_in_every_codec() {
        for codec in [&BincodeCodec as &dyn Codec, &JsonCodec] {
            let mut bytes = encode_value(codec, &7_u8).expect("encodes");
            bytes.push(b'1');
            bytes.push(b'x');
            assert_eq!(
                decode_value::<u8>(codec, &bytes).expect_err("left over").kind(),
                ErrorKind::Corrupt
            );
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value: Sample) {
            for codec in [&BincodeCodec as &dyn Codec, &JsonCodec] {
                let bytes = encode_value(codec, &value).expect("encodes");
                prop_assert_eq!(&decode_value::<Sample>(codec, &bytes).expect("decodes"), &value);
            }
        }

        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>) {
            for codec in [&BincodeCodec as &dyn Codec, &JsonCodec] {
                let _ = decode_value::<Sample>(codec, &bytes);
            }
        }
    }
}
