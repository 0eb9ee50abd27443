//! How a value becomes bytes and comes back.
//!
//! Compression, versioning and expiry are the envelope's concern, not the codec's.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

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

/// A format that this crate writes and reads itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NativeFormat {
    /// bincode 2, standard configuration.
    Bincode,
    /// JSON.
    Json,
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

    /// The format it writes and reads, if that is one of this crate's, byte for byte: values of a known type then pass by
    /// this codec, and no call through a table is made for each of their fields. `None` for every other codec, and for
    /// one that wants to see each value.
    fn native(&self) -> Option<NativeFormat>;

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
    match codec.native() {
        Some(NativeFormat::Bincode) => encode_bincode(value, &mut bytes)?,
        Some(NativeFormat::Json) => encode_json(value, &mut bytes)?,
        None => codec.encode(value, &mut bytes)?,
    }
    Ok(bytes)
}

/// Decodes a value of a known type.
///
/// # Errors
/// As [`Codec::decode`].
pub fn decode_value<V: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<V, CodecError> {
    match codec.native() {
        Some(NativeFormat::Bincode) => decode_bincode(PhantomData, bytes),
        Some(NativeFormat::Json) => decode_json(bytes, |deserializer| V::deserialize(deserializer)),
        None => {
            let mut value = None;
            codec.decode(bytes, &mut |deserializer| {
                value = Some(erased_serde::deserialize::<V>(deserializer)?);
                Ok(())
            })?;
            value.ok_or_else(|| corrupt("the codec visited no value", None))
        }
    }
}

/// bincode 2, standard configuration: compact, fast, Rust only. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct BincodeCodec;

impl Codec for BincodeCodec {
    fn id(&self) -> CodecId {
        CodecId::BINCODE
    }

    fn native(&self) -> Option<NativeFormat> {
        Some(NativeFormat::Bincode)
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_bincode(value, into)
    }

    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
        decode_bincode(VisitSeed(visit), bytes)
    }
}

fn encode_bincode(value: impl Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, into, bincode::config::standard())
        .map(|_written| ())
        .map_err(|error| rejected("bincode cannot represent this value", error.into()))
}

fn decode_bincode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, CodecError> {
    // A length field of damaged bytes must not reserve more memory than a value can have.
    let config = bincode::config::standard().with_limit::<{ 256 << 20 }>();
    let (value, used) = bincode::serde::seed_decode_from_slice(seed, bytes, config)
        .map_err(|error| corrupt("these bytes are not bincode of this type", Some(error.into())))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(corrupt("bytes are left over after the value", None))
    }
}

/// Hands bincode's deserializer, whose type is private, to a visit.
struct VisitSeed<'a, 'v>(&'a mut Visit<'v>);

impl<'de> DeserializeSeed<'de> for VisitSeed<'_, '_> {
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

    fn native(&self) -> Option<NativeFormat> {
        Some(NativeFormat::Json)
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_json(value, into)
    }

    fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
        decode_json(bytes, |deserializer| {
            visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer))
        })
    }
}

fn encode_json(value: impl Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
    serde_json::to_writer(into, &value)
        .map_err(|error| rejected("JSON cannot represent this value", error.into()))
}

fn decode_json<V, E: std::error::Error + Send + Sync + 'static>(
    bytes: &[u8],
    take: impl FnOnce(&mut JsonDeserializer<'_>) -> Result<V, E>,
) -> Result<V, CodecError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = take(&mut deserializer)
        .map_err(|error| corrupt("these bytes are not JSON of this type", Some(error.into())))?;
    deserializer
        .end()
        .map_err(|error| corrupt("bytes are left over after the value", Some(error.into())))?;
    Ok(value)
}

type JsonDeserializer<'a> = serde_json::Deserializer<serde_json::de::SliceRead<'a>>;

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

    /// The built-in codecs as others are seen: through the port alone.
    struct Foreign<C>(C);

    impl<C: Codec> Codec for Foreign<C> {
        fn id(&self) -> CodecId {
            self.0.id()
        }
        fn native(&self) -> Option<NativeFormat> {
            None
        }
        fn encode(&self, value: &dyn erased_serde::Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
            self.0.encode(value, into)
        }
        fn decode(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), CodecError> {
            self.0.decode(bytes, visit)
        }
    }

    proptest! {
        #[test]
        fn the_short_way_of_a_known_type_writes_and_reads_what_the_port_does(value: Sample) {
            let pairs: [(&dyn Codec, &dyn Codec); 2] =
                [(&BincodeCodec, &Foreign(BincodeCodec)), (&JsonCodec, &Foreign(JsonCodec))];
            for (short, long) in pairs {
                let bytes = encode_value(short, &value).expect("encodes");
                prop_assert_eq!(&bytes, &encode_value(long, &value).expect("encodes"));
                prop_assert_eq!(&decode_value::<Sample>(long, &bytes).expect("decodes"), &value);
            }
        }

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
