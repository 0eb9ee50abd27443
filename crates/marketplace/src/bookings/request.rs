//! What a booking store is asked, and the hash by which it tells a retry from another request.
//!
//! Requests are not checked against the store's state here; only what is contradictory in itself cannot be built.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::{BookingId, Fence, GpuId, IdempotencyKey, Interval, Quote, UserId};

/// Asks for a GPU for an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// For whom.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The GPU.
    pub gpu: GpuId,
    /// When.
    pub interval: Interval,
    /// The price the user was shown.
    pub quote: Quote,
    /// How long the hold waits to be confirmed; it lapses at the interval's end at the latest.
    pub ttl: Duration,
}

/// Asks to buy what was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmRequest {
    /// Whose booking it is.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The booking.
    pub id: BookingId,
    /// Its fence, as the hold was answered.
    pub fence: Fence,
}

/// Asks to give a booking back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Whose booking it is.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// The booking.
    pub id: BookingId,
    /// Its fence, as the hold was answered.
    pub fence: Fence,
}

/// Tells two requests under one idempotency key apart. Every store hashes a request alike, so that a record
/// written through one is understood by another.
///
/// It is not cryptographic: the only key a forged collision could spoil is the forger's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestHash(pub u128);

impl fmt::Display for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl HoldRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        Digest::of("hold")
            .text(self.gpu.as_str())
            .interval(&self.interval)
            .quote(&self.quote)
            .number(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX))
            .hash()
    }
}

impl ConfirmRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        Digest::of("confirm")
            .text(self.id.as_str())
            .number(self.fence.0)
            .hash()
    }
}

impl CancelRequest {
    /// The hash of everything but user and key.
    #[must_use]
    pub fn hash(&self) -> RequestHash {
        Digest::of("cancel")
            .text(self.id.as_str())
            .number(self.fence.0)
            .hash()
    }
}

/// Fields one after the other, texts with their length in front so that no two requests run together.
pub(super) struct Digest(Vec<u8>);

impl Digest {
    pub(super) fn of(operation: &str) -> Self {
        Self(Vec::with_capacity(128)).text(operation)
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self = self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn interval(self, interval: &Interval) -> Self {
        self.number(interval.start().as_millis().cast_unsigned())
            .number(interval.end().as_millis().cast_unsigned())
    }

    pub(super) fn quote(self, quote: &Quote) -> Self {
        self.number(quote.price_per_hour.micros.cast_unsigned())
            .text(&quote.price_per_hour.currency.to_string())
            .number(quote.version.0)
    }

    pub(super) fn hash(self) -> RequestHash {
        RequestHash(xxh3_128(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Currency, Money, PriceVersion, StoreTime};

    fn request() -> HoldRequest {
        HoldRequest {
            user: UserId::new("ada").unwrap(),
            key: IdempotencyKey::new("k").unwrap(),
            gpu: GpuId::new("gpu-1").unwrap(),
            interval: Interval::new(StoreTime::from_millis(0), StoreTime::from_millis(10)).unwrap(),
            quote: Quote {
                price_per_hour: Money::from_micros(1, Currency::USD),
                version: PriceVersion::FIRST,
            },
            ttl: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_hash_of_a_request_is_the_same_in_every_release() {
        assert_eq!(request().hash().to_string(), "bd98fe305d149c5ef97961b90afd7f91");
    }

    #[test]
    fn every_field_but_user_and_key_changes_the_hash() {
        let hash = request().hash();
        let mut others = vec![request(); 5];
        others[0].gpu = GpuId::new("gpu-2").unwrap();
        others[1].interval = Interval::new(StoreTime::from_millis(1), StoreTime::from_millis(10)).unwrap();
        others[2].quote.price_per_hour.micros = 2;
        others[3].quote.version = PriceVersion(1);
        others[4].ttl = Duration::from_secs(2);
        assert!(others.iter().all(|other| other.hash() != hash));
        let same = HoldRequest {
            user: UserId::new("bob").unwrap(),
            key: IdempotencyKey::new("l").unwrap(),
            ..request()
        };
        assert_eq!(same.hash(), hash);
    }

    #[test]
    fn confirming_and_cancelling_the_same_booking_hash_apart() {
        let HoldRequest { user, key, .. } = request();
        let (id, fence) = (BookingId::new("b-1").unwrap(), Fence(1));
        let confirm = ConfirmRequest {
            user: user.clone(),
            key: key.clone(),
            id: id.clone(),
            fence,
        };
        assert_ne!(confirm.hash(), CancelRequest { user, key, id, fence }.hash());
    }
}
