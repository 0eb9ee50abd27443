//! A head and a record as they lie in the server, behind a byte that names their format.
//!
//! Unpacking judges only the form; whether a record is alive is asked of the head.
//!
//! ```text
//! head     0       format (2)
//!          1..9    lineage                     big-endian, as all numbers; those that count stay below 2^53
//!          9..17   id of the newest event
//!          17..25  its number
//!          25..33  floor
//!          33..41  server mark
//!          41      n, entries of the tail
//!          42..    the tail: n entries of one length, carried along by every step and not read
//! record   0       format (2)
//!          1..9    lineage
//!          9..17   version
//!          17..25  end, ms of the server's time
//!          25..    the sealed value
//! ```

use std::sync::Arc;

use cache_core::{EventId, Head, Lineage, Record, Seq, ServerMark, ServerTime};

use crate::bytes::Bytes;
use crate::deployment::CLOSED;

/// The format of heads that this release reads and writes. A head of another one is left alone.
pub(crate) const HEAD_FORMAT: u8 = 2;

/// The format of records. A record of another one is none.
pub(crate) const RECORD_FORMAT: u8 = 2;

/// Bytes of a head before its tail: what scripts tell of it.
pub(crate) const HEAD_BYTES: usize = 41;

/// Why bytes are not a head to this release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// Of another release, which says its format.
    Format(u8),
    /// Of a shard that was given up with its deployment's number of shards, which is this one now.
    Closed(u16),
    /// Cut short or overwritten.
    Damaged,
}

impl Unreadable {
    /// What bytes are that do not begin as a head of this format.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match *bytes {
            [CLOSED, high, low, ..] => Self::Closed(u16::from_be_bytes([high, low])),
            [format, ..] => Self::Format(format),
            [] => Self::Damaged,
        }
    }
}

/// Unpacks a head as it lies in the server.
pub(crate) fn unpack_head(bytes: &[u8]) -> Result<Head, Unreadable> {
    let head = unpack_told_head(bytes)?;
    match bytes[HEAD_BYTES..].split_first() {
        Some((0, [])) => Ok(head),
        Some((entries, tail))
            if *entries > 0 && !tail.is_empty() && tail.len() % usize::from(*entries) == 0 =>
        {
            Ok(head)
        }
        _ => Err(Unreadable::Damaged),
    }
}

/// Unpacks a head without its tail, as scripts tell it.
pub(crate) fn unpack_told_head(bytes: &[u8]) -> Result<Head, Unreadable> {
    if bytes.first() != Some(&HEAD_FORMAT) {
        return Err(Unreadable::of(bytes));
    }
    let mut bytes = Bytes::new(&bytes[1..]);
    let mut number = || bytes.number().ok_or(Unreadable::Damaged);
    let (lineage, id) = (Lineage(number()?), EventId(number()?));
    let (seq, floor) = (Seq(number()?), Seq(number()?));
    Ok(Head {
        lineage,
        seq,
        id,
        floor,
        mark: ServerMark(number()?),
    })
}

/// Unpacks a record; `None` for one that is dead under this head, or that this release does not understand.
///
/// A record names its lineage besides its version: a head that was lost and made anew cannot know how high the versions
/// under it once were, and the lineage kills them all the same.
pub(crate) fn unpack_record(bytes: &[u8], head: &Head) -> Option<Record> {
    let mut bytes = Bytes::new(bytes);
    if bytes.byte()? != RECORD_FORMAT || Lineage(bytes.number()?) != head.lineage {
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

    const GOLDEN_HEAD: [u8; 42] = [
        2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 3,
        1, 2, 3, 4, 5, 6, 7, 8, 0,
    ];

    fn packed(format: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        [format]
            .into_iter()
            .chain(numbers)
            .chain(rest.iter().copied())
            .collect()
    }

    fn head() -> Head {
        unpack_head(&GOLDEN_HEAD).expect("a head")
    }

    #[test]
    fn the_bytes_of_a_head_of_format_2_do_not_change() {
        let expected = Head {
            lineage: Lineage(7),
            seq: Seq(12),
            id: EventId(9),
            floor: Seq(3),
            mark: ServerMark(0x0102_0304_0506_0708),
        };
        assert_eq!(unpack_head(&GOLDEN_HEAD), Ok(expected));
        assert_eq!(unpack_told_head(&GOLDEN_HEAD[..HEAD_BYTES]), Ok(expected));
    }

    #[test]
    fn a_head_is_understood_with_any_whole_tail() {
        let mut bytes = GOLDEN_HEAD.to_vec();
        bytes[HEAD_BYTES] = 2;
        bytes.extend([5; 100]);
        assert_eq!(unpack_head(&bytes), Ok(head()));
        bytes.pop();
        assert_eq!(unpack_head(&bytes), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_head_that_is_cut_short_or_too_long_is_damaged() {
        for length in 0..GOLDEN_HEAD.len() {
            assert_eq!(unpack_head(&GOLDEN_HEAD[..length]), Err(Unreadable::Damaged));
        }
        assert_eq!(
            unpack_head(&[&GOLDEN_HEAD[..], b"x"].concat()),
            Err(Unreadable::Damaged)
        );
    }

    #[test]
    fn a_head_of_the_release_before_or_of_a_newer_one_says_its_format() {
        let format_1 = packed(1, &[7, 9, 12, 3], b"");
        assert_eq!(unpack_head(&format_1), Err(Unreadable::Format(1)));
        let newer = packed(3, &[7, 9, 12, 3, 0], b"\0and more");
        assert_eq!(unpack_head(&newer), Err(Unreadable::Format(3)));
    }

    #[test]
    fn the_bytes_of_a_record_of_format_2_do_not_change() {
        let golden = [
            2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 99, b'b', b'o', b'd',
            b'y',
        ];
        let record = unpack_record(&golden, &head()).expect("a live record");
        assert_eq!(
            (record.version, record.expires, &*record.body),
            (Seq(4), ServerTime(99), &b"body"[..])
        );
    }

    #[test]
    fn a_record_lives_above_the_floor_of_its_own_lineage() {
        let head = head();
        let record =
            |lineage, version| unpack_record(&packed(RECORD_FORMAT, &[lineage, version, 99], b"body"), &head);
        assert!(record(7, 4).is_some());
        assert_eq!(record(7, 3), None);
        assert_eq!(record(8, 4), None, "of another history, however high its version");
        assert_eq!(unpack_record(b"", &head), None);
    }

    #[test]
    fn a_record_of_the_release_before_or_of_a_newer_one_is_a_miss() {
        for other in [1, 3] {
            assert_eq!(unpack_record(&packed(other, &[7, 4, 99], b"body"), &head()), None);
        }
    }
}
