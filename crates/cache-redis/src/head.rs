//! A head and a record as they lie in the server, behind a byte that names their format.
//!
//! Unpacking judges only the form; whether a record is alive is asked of the head.

use std::sync::Arc;

use cache_core::{EventId, Head, Lineage, Record, Seq, ServerTime};

use crate::bytes::Bytes;

/// The only format there is. A server that holds another one belongs to a newer release.
pub(crate) const FORMAT: u8 = 1;

/// Bytes of a head: format, lineage, id, seq, floor.
pub(crate) const HEAD_BYTES: usize = 33;

/// Unpacks a head; `None` for what this release does not understand.
pub(crate) fn unpack_head(bytes: &[u8]) -> Option<Head> {
    let mut bytes = Bytes::new(bytes);
    if bytes.byte()? != FORMAT {
        return None;
    }
    let (lineage, id) = (Lineage(bytes.number()?), EventId(bytes.number()?));
    let (seq, floor) = (Seq(bytes.number()?), Seq(bytes.number()?));
    bytes.rest().is_empty().then_some(Head {
        lineage,
        seq,
        id,
        floor,
    })
}

/// Unpacks a record; `None` for one that is dead under this head, or that this release does not understand.
///
/// A record names its lineage besides its version: a head that was lost and made anew cannot know how high the versions
/// under it once were, and the lineage kills them all the same.
pub(crate) fn unpack_record(bytes: &[u8], head: &Head) -> Option<Record> {
    let mut bytes = Bytes::new(bytes);
    if bytes.byte()? != FORMAT || Lineage(bytes.number()?) != head.lineage {
        return None;
    }
    let (version, expires) = (Seq(bytes.number()?), ServerTime(bytes.number()?));
    (version > head.floor).then(|| Record {
        version,
        expires,
        body: Arc::from(bytes.rest()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(format: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        [format]
            .into_iter()
            .chain(numbers)
            .chain(rest.iter().copied())
            .collect()
    }

    #[test]
    fn a_head_is_understood_in_this_format_and_length_only() {
        let head = unpack_head(&packed(FORMAT, &[7, 9, 12, 3], b"")).expect("a head");
        assert_eq!((head.lineage, head.id), (Lineage(7), EventId(9)));
        assert_eq!((head.seq, head.floor), (Seq(12), Seq(3)));
        assert_eq!(unpack_head(&packed(2, &[7, 9, 12, 3], b"")), None);
        assert_eq!(unpack_head(&packed(FORMAT, &[7, 9, 12], b"")), None);
        assert_eq!(unpack_head(&packed(FORMAT, &[7, 9, 12, 3], b"x")), None);
    }

    #[test]
    fn a_record_lives_above_the_floor_of_its_own_lineage() {
        let head = unpack_head(&packed(FORMAT, &[7, 9, 12, 3], b"")).expect("a head");
        let record =
            |lineage, version| unpack_record(&packed(FORMAT, &[lineage, version, 99], b"body"), &head);
        let alive = record(7, 4).expect("a live record");
        assert_eq!(
            (alive.version, alive.expires, &*alive.body),
            (Seq(4), ServerTime(99), &b"body"[..])
        );
        assert_eq!(record(7, 3), None);
        assert_eq!(record(8, 4), None, "of another history, however high its version");
        assert_eq!(unpack_record(&packed(2, &[7, 4, 99], b"body"), &head), None);
        assert_eq!(unpack_record(b"", &head), None);
    }
}
