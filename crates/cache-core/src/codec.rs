//! How a value becomes bytes and comes back.
//!
//! Compression, versioning and expiry are the envelope's concern, not the codec's.

use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

use crate::digest::Digest;
use crate::walk::{Floats, walk};
use crate::{CodecError, ErrorKind};

/// Most bytes of an encoded value, before compression: 64 MiB, in every codec. Checked when a value is encoded, so that whatever
/// was stored can be read. A value near it keeps a server busy that all others wait for; a tenth of it is large.
pub const MAX_VALUE_BYTES: usize = 64 << 20;

/// What bincode may claim of memory while it decodes. It counts a number as what it takes in memory, 16 bytes at most, of which one
/// may be encoded: with this, nothing of up to [`MAX_VALUE_BYTES`] is ever refused.
const MAX_CLAIM: usize = MAX_VALUE_BYTES * 16;

/// Which codec wrote a value; stored beside it, so that codecs can change without a flag day.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CodecId(pub u8);

impl CodecId {
    /// [`BincodeCodec`].
    pub const BINCODE: Self = Self(1);
    /// [`JsonCodec`].
    pub const JSON: Self = Self(2);
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BINCODE => f.write_str("bincode"),
            Self::JSON => f.write_str("JSON"),
            Self(other) => write!(f, "codec {other}"),
        }
    }
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
/// As [`Codec::encode`], and `Rejected` when it has more than [`MAX_VALUE_BYTES`].
pub fn encode_value<V: Serialize>(codec: &dyn Codec, value: &V) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    match codec.native() {
        Some(NativeFormat::Bincode) => encode_bincode(value, &mut bytes)?,
        Some(NativeFormat::Json) => encode_json(value, &mut bytes)?,
        None => codec.encode(value, &mut bytes)?,
    }
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Checks that what a value was encoded to decodes back to it: that nothing is said by the one that the other does not say.
///
/// It costs a decoding and two walks over the value. Bytes are not compared: where a field is left out, those of another value may
/// be the same. The order of a sequence is not compared, since that of a set is any.
///
/// ```
/// use cache_core::{BincodeCodec, JsonCodec, encode_value, verify_value};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Offer {
///     #[serde(skip_serializing_if = "Option::is_none")]
///     discount: Option<u8>,
///     gpus: u32,
///     cents: u32,
/// }
/// let offer = Offer { discount: None, gpus: 1, cents: 300 };
/// let bytes = encode_value(&BincodeCodec, &offer)?;
/// assert!(verify_value(&BincodeCodec, &offer, &bytes).is_err(), "the field that is left out is not missed");
/// let bytes = encode_value(&JsonCodec, &offer)?;
/// assert!(verify_value(&JsonCodec, &offer, &bytes).is_ok());
/// # Ok::<(), cache_core::CodecError>(())
/// ```
///
/// # Errors
/// `Rejected`, with the value's type and what can be done.
pub fn verify_value<V: Serialize + DeserializeOwned>(
    codec: &dyn Codec,
    value: &V,
    bytes: &[u8],
) -> Result<(), CodecError> {
    let (written, read) = match codec.native() {
        Some(NativeFormat::Json) => (Floats::Written, Floats::Read),
        Some(NativeFormat::Bincode) | None => (Floats::Exact, Floats::Exact),
    };
    let decoded = decode_value::<V>(codec, bytes)
        .map_err(|error| rejected(&unfit::<V>(codec, "it cannot be decoded"), Box::new(error)))?;
    if walk::<Digest, V>(value, written)? == walk::<Digest, V>(&decoded, read)? {
        return Ok(());
    }
    let message = unfit::<V>(codec, "another value comes back");
    Err(CodecError::new(ErrorKind::Rejected, message))
}

/// What a codec cannot carry, and the way out.
fn unfit<V>(codec: &dyn Codec, symptom: &str) -> String {
    let way_out = match codec.native() {
        Some(NativeFormat::Bincode) => {
            "bincode needs every field, in order, and types that it is told beforehand (see BincodeCodec): change the type's serde \
             attributes, or keep the namespace in JSON with Policy::with_codec(CodecId::JSON)"
        }
        Some(NativeFormat::Json) | None => "its Serialize and Deserialize must agree",
    };
    let (id, name) = (codec.id(), std::any::type_name::<V>());
    format!("{id} cannot carry this value of type {name}, {symptom}; {way_out}")
}

fn too_large() -> CodecError {
    let message = format!(
        "the encoded value has more than {MAX_VALUE_BYTES} bytes ({} MiB), the most that a value may have; split it into several",
        MAX_VALUE_BYTES >> 20
    );
    CodecError::new(ErrorKind::Rejected, message)
}

/// Takes bytes up to the limit of a value, so that what is too large is not encoded to its end.
struct Limited<'a> {
    into: &'a mut Vec<u8>,
    full: bool,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.into.len() + bytes.len() > MAX_VALUE_BYTES {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.into.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
///
/// It writes values one after the other, without names, and asks the reader's type what comes next. So it can carry what
/// `#[derive(Serialize, Deserialize)]` makes of structs, tuples, enums, options, lists, sets, maps, texts and numbers, and cannot
/// carry
///
/// * fields that are sometimes left out: `skip_serializing_if`, `skip_serializing` (`skip`, both ways, is fine);
/// * types that look at the data before they know what they are: `untagged`, `tag = "..."`, `flatten`, `serde_json::Value`,
///   and whatever else calls `deserialize_any`;
/// * types whose two directions disagree: `serialize_with` without its counterpart, `into` without `from`.
///
/// A cache checks the values of a namespace and refuses what does not come back ([`verify_value`]). [`JsonCodec`] carries all of
/// these but the last.
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
    let mut limited = Limited { into, full: false };
    match bincode::serde::encode_into_std_write(value, &mut limited, bincode::config::standard()) {
        Ok(_written) => Ok(()),
        Err(_too_large) if limited.full => Err(too_large()),
        Err(error) => Err(rejected("bincode cannot represent this value", error.into())),
    }
}

fn decode_bincode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, CodecError> {
    // A length field of damaged bytes must not reserve more memory than a value can have.
    let config = bincode::config::standard().with_limit::<MAX_CLAIM>();
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

/// JSON: larger and slower, readable by every language and by people. Numbers with a fraction may come back as a neighbour, one
/// in the last bit away; infinite ones and NaN do not come back.
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
    let mut limited = Limited { into, full: false };
    match serde_json::to_writer(&mut limited, &value) {
        Ok(()) => Ok(()),
        Err(_too_large) if limited.full => Err(too_large()),
        Err(error) => Err(rejected("JSON cannot represent this value", error.into())),
    }
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

    /// Values that bincode takes and does not give back, or gives back as others.
    mod unfit {
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        pub(super) struct LeftOut {
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) discount: Option<u8>,
            pub(super) gpus: u32,
            pub(super) cents: u32,
        }

        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        pub(super) enum Untagged {
            Number(u32),
        }

        #[derive(Serialize, Deserialize)]
        #[serde(tag = "t")]
        pub(super) enum Tagged {
            One { number: u32 },
        }

        #[derive(Serialize, Deserialize)]
        pub(super) struct NotWritten {
            #[expect(dead_code, reason = "only what serde does with it matters")]
            #[serde(skip_serializing, default)]
            pub(super) secret: u32,
            pub(super) number: u32,
        }
    }

    fn verified<V: Serialize + DeserializeOwned>(codec: &dyn Codec, value: &V) -> Result<(), CodecError> {
        verify_value(codec, value, &encode_value(codec, value)?)
    }

    /// What bincode does not carry, JSON does, and the error says so.
    fn only_as_json<V: Serialize + DeserializeOwned>(value: &V) {
        let error = verified(&BincodeCodec, value).expect_err("bincode cannot carry it");
        let words = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{words}");
        let name = std::any::type_name::<V>();
        assert!(words.contains(name) && words.contains("CodecId::JSON"), "{words}");
        verified(&JsonCodec, value).expect("JSON carries it");
    }

    #[test]
    fn what_does_not_come_back_is_refused_with_its_type_and_the_way_out() {
        for discount in [None, Some(5)] {
            let value = unfit::LeftOut {
                discount,
                gpus: 1,
                cents: 300,
            };
            assert_eq!(verified(&BincodeCodec, &value).is_ok(), discount.is_some());
        }
        only_as_json(&unfit::LeftOut {
            discount: None,
            gpus: 1,
            cents: 300,
        });
        only_as_json(&unfit::Untagged::Number(7));
        only_as_json(&unfit::Tagged::One { number: 7 });
        only_as_json(&unfit::NotWritten { secret: 0, number: 7 });
        only_as_json(&serde_json::json!({"number": 7}));
    }

    #[test]
    fn sets_maps_and_fractions_are_no_false_alarm_in_any_codec() {
        let maps: std::collections::HashMap<String, Vec<f64>> = (0..500_u32)
            .map(|number| {
                (
                    number.to_string(),
                    vec![f64::from(number) / 7.0, 1e300 / f64::from(number + 1)],
                )
            })
            .collect();
        let sets: std::collections::HashSet<u64> = (0..500).collect();
        let fractions: Vec<f32> = (0..500_u16).map(|number| f32::from(number) / 7.0).collect();
        let value = (maps, sets, fractions);
        for codec in [&BincodeCodec as &dyn Codec, &JsonCodec] {
            verified(codec, &value).expect("it comes back");
        }
    }

    /// Takes no memory, and 16 bytes of what may be claimed.
    #[derive(Clone)]
    struct Claims;

    impl Serialize for Claims {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u128(0)
        }
    }

    impl<'de> serde::Deserialize<'de> for Claims {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u128::deserialize(deserializer).map(|_zero| Self)
        }
    }

    #[test]
    fn the_largest_value_that_can_be_written_can_be_read_and_a_larger_one_is_refused_in_words() {
        // Five bytes are the length.
        let most = MAX_VALUE_BYTES - 5;
        let bytes = encode_value(&BincodeCodec, &vec![Claims; most]).expect("it fits");
        assert_eq!(bytes.len(), MAX_VALUE_BYTES);
        let read: Vec<Claims> = decode_value(&BincodeCodec, &bytes).expect("it was written");
        assert_eq!(read.len(), most);
        let large = "x".repeat(MAX_VALUE_BYTES);
        let codecs: [&dyn Codec; 3] = [&BincodeCodec, &JsonCodec, &Foreign(BincodeCodec)];
        for codec in codecs {
            let length = encode_value(codec, &large).map(|bytes| bytes.len());
            let error = length.expect_err("its quotes or its length are too many");
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(error.to_string().contains("64 MiB"), "{error}");
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
                prop_assert!(verify_value(codec, &value, &bytes).is_ok());
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
