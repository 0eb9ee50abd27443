//! How bookings, outcomes and changes stand in the server's memory: packed, instants as integers, money as integers.
//!
//! It judges nothing it reads: bytes that are none of ours are reported as unreadable, not mended.

use marketplace::bookings::Transition;
use marketplace::{
    Booking, BookingOutcome, ChangeKind, Fence, GpuId, IdempotencyKey, PriceVersion, RequestHash, StoreTime,
    UserId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// What the store keeps of a GPU besides its bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuRecord {
    /// Another one after every change of the GPU. It follows from all that came before, so that even two servers with
    /// different pasts never show the same one for different states, as counters would.
    pub(crate) token: [u8; 16],
    /// Of the last grant.
    pub(crate) fence: Fence,
    /// The newest version of the base price.
    pub(crate) price: PriceVersion,
    /// When a decision last changed its bookings.
    pub(crate) decided: StoreTime,
}

impl GpuRecord {
    /// Of a GPU nothing was asked about yet.
    pub(crate) const UNKNOWN: Self = Self {
        token: [0; 16],
        fence: Fence(0),
        price: PriceVersion::FIRST,
        decided: StoreTime::from_millis(i64::MIN),
    };

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let unreadable = || Fault::Unreadable(format!("a GPU's record has {} bytes, not 40", bytes.len()));
        let number = |at: usize| -> Result<u64, Fault> {
            let field = bytes.get(at..at + 8).ok_or_else(unreadable)?;
            Ok(u64::from_be_bytes(field.try_into().map_err(|_| unreadable())?))
        };
        Ok(Self {
            token: bytes
                .get(..16)
                .and_then(|token| token.try_into().ok())
                .ok_or_else(unreadable)?,
            fence: Fence(number(16)?),
            price: PriceVersion(number(24)?),
            decided: StoreTime::from_millis(number(32)?.cast_signed()),
        })
    }

    /// The record after `change`, an encoding of what was done.
    pub(crate) fn after(self, change: &[u8]) -> Self {
        let digest = Sha256::new_with_prefix(self.bytes())
            .chain_update(change)
            .finalize();
        let mut token = [0; 16];
        token.copy_from_slice(&digest[..16]);
        Self { token, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let numbers = [
            self.fence.0,
            self.price.0,
            self.decided.as_millis().cast_unsigned(),
        ];
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        self.token.into_iter().chain(numbers).collect()
    }
}

/// A booking: its GPU, a zero, its start, and all of it.
pub(crate) fn booking(booking: &Booking) -> Result<Vec<u8>, Fault> {
    let mut bytes = place(&booking.gpu, booking.interval.start());
    bytes.extend(packed(booking)?);
    Ok(bytes)
}

pub(crate) fn read_booking(bytes: &[u8]) -> Result<Booking, Fault> {
    let start = bytes.iter().position(|byte| *byte == 0).map(|end| end + 9);
    let packed = start.and_then(|start| bytes.get(start..));
    unpacked("a booking", packed.unwrap_or_default())
}

/// Where a booking stands among the others: GPU, start, name.
pub(crate) fn member(booking: &Booking) -> Vec<u8> {
    let mut bytes = place(&booking.gpu, booking.interval.start());
    bytes.extend(booking.id.as_str().as_bytes());
    bytes
}

fn place(gpu: &GpuId, start: StoreTime) -> Vec<u8> {
    let mut bytes = gpu.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(instant(start));
    bytes
}

/// Eight bytes whose order is that of instants.
pub(crate) fn instant(at: StoreTime) -> [u8; 8] {
    (at.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The outcome of a request, with its hash and when it was decided.
pub(crate) fn answer(
    hash: RequestHash,
    outcome: &BookingOutcome,
    decided: StoreTime,
) -> Result<Vec<u8>, Fault> {
    packed(&(hash, decided, outcome))
}

pub(crate) fn read_answer(bytes: &[u8]) -> Result<(RequestHash, StoreTime, BookingOutcome), Fault> {
    unpacked("an outcome", bytes)
}

/// Under which the outcome stands. Neither name holds a zero.
pub(crate) fn answer_field(user: &UserId, key: &IdempotencyKey) -> Vec<u8> {
    [user.as_str().as_bytes(), &[0], key.as_str().as_bytes()].concat()
}

pub(crate) fn change(at: StoreTime, (kind, booking): &Transition) -> Result<Vec<u8>, Fault> {
    packed(&(at, kind, booking))
}

pub(crate) fn read_change(bytes: &[u8]) -> Result<(StoreTime, ChangeKind, Booking), Fault> {
    unpacked("a change", bytes)
}

fn packed(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| Fault::Unreadable(format!("a record cannot be written: {error}")))
}

fn unpacked<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Fault> {
    let unreadable =
        |error: &dyn std::fmt::Display| Fault::Unreadable(format!("{what} cannot be read: {error}"));
    let read = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    match read.map_err(|error| unreadable(&error))? {
        (value, used) if used == bytes.len() => Ok(value),
        (_, used) => Err(unreadable(&format_args!(
            "{} bytes follow it",
            bytes.len() - used
        ))),
    }
}

/// The first instant after `at`.
pub(crate) fn after(at: StoreTime) -> StoreTime {
    StoreTime::from_millis(at.as_millis().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_ordered_as_bytes_are() {
        let mut instants = [i64::MIN, -1, 0, 1, 255, 256, i64::MAX].map(StoreTime::from_millis);
        let sorted = instants;
        instants.reverse();
        instants.sort_by_key(|at| instant(*at));
        assert_eq!(instants, sorted);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_anything_else_is_unreadable() {
        let record = GpuRecord {
            token: [7; 16],
            fence: Fence(u64::MAX),
            price: PriceVersion(3),
            decided: StoreTime::from_millis(-5),
        };
        assert_eq!(GpuRecord::read(&record.bytes()).unwrap(), record);
        assert!(GpuRecord::read(&record.bytes()[1..]).is_err());
        assert!(read_booking(b"gpu-1\0").is_err());
        assert!(read_answer(&[]).is_err());
    }

    #[test]
    fn two_pasts_that_differ_never_meet_in_one_token() {
        let (one, other) = (GpuRecord::UNKNOWN.after(b"a"), GpuRecord::UNKNOWN.after(b"b"));
        assert_ne!(one.after(b"c").token, other.after(b"c").token);
    }
}
