//! The stored form of a value: a small header, the tags, and the encoded payload.
//!
//! The header is fixed by golden-bytes tests. Version and expiry are not in here; the shared store keeps them.
//!
//! ```text
//! 0      format version (2)
//! 1      codec id
//! 2      flags: 1 = payload is lz4, 2 = "known absent"
//! 3..11  schema fingerprint          big-endian
//! 11..19 life, ms                    (expiry - life = birth)
//! 19..27 grace, ms                   (expiry - grace = end of freshness)
//! 27..35 barrier stamp: lineage
//! 35..43 barrier stamp: seq
//! 43..45 number of tags, then each: u16 length, UTF-8 bytes
//! ...    payload
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{BarrierStamp, CodecId, Lineage, MAX_VALUE_BYTES, SchemaFingerprint, Seq, Tag};

const FORMAT: u8 = 2;
const FLAG_LZ4: u8 = 1;
const FLAG_ABSENT: u8 = 2;
const HEADER: usize = 45;

/// Payloads of at least this many bytes are compressed when that makes them smaller. Below 1 KiB the header of a
/// compressed block and the time to undo it cost more than the bytes saved.
const COMPRESS_FROM: usize = 1024;

/// What a stored value says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Which codec wrote the payload.
    pub codec: CodecId,
    /// The shape of the value's type.
    pub schema: SchemaFingerprint,
    /// From the value's birth to the record's end, the grace included. A value is born when it is written, or when the
    /// load that found it began.
    pub life: Duration,
    /// How much of that life, at its end, is only for serving stale.
    pub grace: Duration,
    /// How far barriers were known when the fill started.
    pub stamp: BarrierStamp,
    /// The value's tags.
    pub tags: Arc<[Tag]>,
}

/// The payload of an envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload<B> {
    /// The encoded value.
    Value(B),
    /// It is known that there is no value.
    Absent,
}

/// Why stored bytes cannot be used. Each reason is a miss and a count, never a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Written by a release with another layout.
    Format,
    /// Written for another shape of the value's type.
    Schema,
    /// Cut short or overwritten.
    Damaged,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "stored value has another format version",
            Self::Schema => "stored value has another schema",
            Self::Damaged => "stored value is damaged",
        })
    }
}

impl std::error::Error for EnvelopeError {}

/// Packs an envelope and its payload into the bytes that the shared store keeps.
///
/// Tags beyond 65,535, or of more than 65,535 bytes, are cut off by the engine before they come here.
pub fn seal(envelope: &Envelope, payload: &Payload<&[u8]>) -> Arc<[u8]> {
    let (mut flags, bytes) = match payload {
        Payload::Absent => (FLAG_ABSENT, &[][..]),
        Payload::Value(bytes) => (0, *bytes),
    };
    let compressed = (bytes.len() >= COMPRESS_FROM)
        .then(|| lz4_flex::block::compress_prepend_size(bytes))
        .filter(|compressed| compressed.len() < bytes.len());
    if compressed.is_some() {
        flags |= FLAG_LZ4;
    }
    let body = compressed.as_deref().unwrap_or(bytes);
    let mut out = Vec::with_capacity(
        HEADER
            + body.len()
            + envelope
                .tags
                .iter()
                .map(|tag| tag.as_str().len() + 2)
                .sum::<usize>(),
    );
    out.extend([FORMAT, envelope.codec.0, flags]);
    out.extend(envelope.schema.0.to_be_bytes());
    out.extend(millis(envelope.life).to_be_bytes());
    out.extend(millis(envelope.grace).to_be_bytes());
    out.extend(envelope.stamp.lineage.0.to_be_bytes());
    out.extend(envelope.stamp.seq.0.to_be_bytes());
    out.extend(
        u16::try_from(envelope.tags.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    for tag in envelope.tags.iter().take(usize::from(u16::MAX)) {
        let name = tag.as_str().as_bytes();
        out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(&name[..name.len().min(usize::from(u16::MAX))]);
    }
    out.extend(body);
    out.into()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Unpacks stored bytes, refusing what another format or schema wrote.
///
/// # Errors
/// One [`EnvelopeError`]; the caller treats the value as missing and counts it.
pub fn open(bytes: &[u8], schema: SchemaFingerprint) -> Result<(Envelope, Payload<Vec<u8>>), EnvelopeError> {
    let mut cursor = Cursor(bytes);
    if cursor.byte()? != FORMAT {
        return Err(EnvelopeError::Format);
    }
    let codec = CodecId(cursor.byte()?);
    let flags = cursor.byte()?;
    if flags & !(FLAG_LZ4 | FLAG_ABSENT) != 0 {
        return Err(EnvelopeError::Format);
    }
    let found = SchemaFingerprint(cursor.number()?);
    if found != schema {
        return Err(EnvelopeError::Schema);
    }
    let life = Duration::from_millis(cursor.number()?);
    let grace = Duration::from_millis(cursor.number()?);
    let stamp = BarrierStamp {
        lineage: Lineage(cursor.number()?),
        seq: Seq(cursor.number()?),
    };
    let mut tags = Vec::new();
    for _ in 0..cursor.short()? {
        let length = usize::from(cursor.short()?);
        let name = std::str::from_utf8(cursor.take(length)?).map_err(|_not_text| EnvelopeError::Damaged)?;
        tags.push(Tag::new(name));
    }
    let payload = if flags & FLAG_ABSENT != 0 {
        Payload::Absent
    } else if flags & FLAG_LZ4 != 0 {
        Payload::Value(decompress(cursor.0)?)
    } else {
        Payload::Value(cursor.0.to_vec())
    };
    Ok((
        Envelope {
            codec,
            schema,
            life,
            grace,
            stamp,
            tags: tags.into(),
        },
        payload,
    ))
}

fn decompress(block: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let (size, rest) = lz4_flex::block::uncompressed_size(block).map_err(|_short| EnvelopeError::Damaged)?;
    // No value is that large, and LZ4 cannot expand a block more than 255 times: damaged bytes must not reserve all memory.
    if size > MAX_VALUE_BYTES || size > rest.len().saturating_mul(255) {
        return Err(EnvelopeError::Damaged);
    }
    let bytes = lz4_flex::block::decompress(rest, size).map_err(|_damaged| EnvelopeError::Damaged)?;
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(EnvelopeError::Damaged)
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], EnvelopeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(EnvelopeError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, EnvelopeError> {
        Ok(self.take(1)?[0])
    }

    fn short(&mut self) -> Result<u16, EnvelopeError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn number(&mut self) -> Result<u64, EnvelopeError> {
        let bytes = self.take(8)?.first_chunk::<8>().ok_or(EnvelopeError::Damaged)?;
        Ok(u64::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entropy, SystemEntropy};
    use proptest::prelude::*;

    fn envelope(tags: &[&str]) -> Envelope {
        Envelope {
            codec: CodecId::BINCODE,
            schema: SchemaFingerprint(0x0102_0304_0506_0708),
            life: Duration::from_millis(30_000),
            grace: Duration::from_millis(500),
            stamp: BarrierStamp {
                lineage: Lineage(9),
                seq: Seq(3),
            },
            tags: tags.iter().map(Tag::new).collect(),
        }
    }

    #[test]
    fn the_bytes_of_format_2_do_not_change() {
        let sealed = seal(&envelope(&["eu"]), &Payload::Value(b"hi"));
        let golden: &[u8] = &[
            2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0x75, 0x30, 0, 0, 0, 0, 0, 0, 0x01, 0xF4, 0,
            0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 2, b'e', b'u', b'h', b'i',
        ];
        assert_eq!(&*sealed, golden);
    }

    #[test]
    fn the_bytes_of_a_known_absence_do_not_change() {
        let sealed = seal(&envelope(&[]), &Payload::Absent);
        assert_eq!(sealed[2], FLAG_ABSENT);
        assert_eq!(sealed.len(), HEADER);
        let (_, payload) = open(&sealed, SchemaFingerprint(0x0102_0304_0506_0708)).expect("opens");
        assert_eq!(payload, Payload::Absent);
    }

    #[test]
    fn only_a_payload_that_shrinks_is_compressed() {
        let zeros = vec![0_u8; 4096];
        let sealed = seal(&envelope(&[]), &Payload::Value(&zeros));
        assert_eq!(sealed[2], FLAG_LZ4);
        assert!(sealed.len() < 200);
        let random = SystemEntropy::seeded(1);
        let noise: Vec<u8> = (0..512).flat_map(|_| random.draw().to_be_bytes()).collect();
        let sealed = seal(&envelope(&[]), &Payload::Value(&noise));
        assert_eq!(sealed[2], 0);
        let sealed = seal(&envelope(&[]), &Payload::Value(&zeros[..COMPRESS_FROM - 1]));
        assert_eq!(sealed[2], 0);
    }

    #[test]
    fn a_value_that_the_release_before_wrote_is_another_format() {
        let format_1: &[u8] = &[
            1, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0x75, 0x30, 0, 0, 0, 0, 0, 0, 0x01, 0xF4, 0,
            0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 2, b'e', b'u', b'h', b'i',
        ];
        let opened = open(format_1, SchemaFingerprint(0x0102_0304_0506_0708));
        assert_eq!(opened, Err(EnvelopeError::Format));
    }

    #[test]
    fn another_format_and_another_schema_are_told_apart() {
        let mut sealed = seal(&envelope(&[]), &Payload::Value(b"hi")).to_vec();
        assert_eq!(open(&sealed, SchemaFingerprint(1)), Err(EnvelopeError::Schema));
        for other in [FORMAT - 1, FORMAT + 1] {
            sealed[0] = other;
            assert_eq!(
                open(&sealed, SchemaFingerprint(0x0102_0304_0506_0708)),
                Err(EnvelopeError::Format)
            );
        }
    }

    #[test]
    fn a_block_that_claims_to_be_enormous_is_damaged_and_reserves_nothing() {
        let mut sealed = seal(&envelope(&[]), &Payload::Value(&[0; 4096])).to_vec();
        sealed[HEADER..HEADER + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            open(&sealed, SchemaFingerprint(0x0102_0304_0506_0708)),
            Err(EnvelopeError::Damaged)
        );
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_again(payload: Vec<u8>, tags in proptest::collection::vec(".{0,40}", 0..5)) {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let envelope = envelope(&tags);
            let sealed = seal(&envelope, &Payload::Value(&payload));
            prop_assert_eq!(open(&sealed, envelope.schema), Ok((envelope, Payload::Value(payload))));
        }

        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>, cut in 0_usize..80) {
            let _ = open(&bytes, SchemaFingerprint(0));
            let sealed = seal(&envelope(&["a", "b"]), &Payload::Value(&bytes));
            let _ = open(&sealed[..cut.min(sealed.len())], SchemaFingerprint(0x0102_0304_0506_0708));
        }
    }
}
