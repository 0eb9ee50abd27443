//! What a read of the marketplace returns: the value, how old any part of it can be, and which parts were read.
//!
//! It is assembled while the parts are read; it never reads anything itself.

use std::time::Duration;

use cache_core::{CacheKey, Key, Version};
use edge_cache::{CacheValue, Fetched, Freshness, Tier};

/// A value put together from cached parts.
///
/// ```
/// use edge_cache::{Freshness, Tier};
/// use marketplace::Answer;
/// let answer = Answer {
///     value: 7,
///     freshness: Freshness::Current { at_most: std::time::Duration::ZERO },
///     tier: Tier::L1,
///     reads: Vec::new(),
/// };
/// assert_eq!(answer.map(|seven| seven + 1).value, 8);
/// ```
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// What holds for the weakest part. No parts at all: current.
    pub freshness: Freshness,
    /// The slowest tier that had to answer.
    pub tier: Tier,
    /// Every part, in the order they were read.
    pub reads: Vec<Read>,
}

/// One cached value that an answer was put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its key.
    pub key: CacheKey,
    /// Its version; [`Version::default`] for a value that was loaded while it could not be stored.
    pub version: Version,
    /// Where it came from.
    pub tier: Tier,
}

impl<T> Answer<T> {
    /// The same answer with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        let Self {
            value,
            freshness,
            tier,
            reads,
        } = self;
        Answer {
            value: change(value),
            freshness,
            tier,
            reads,
        }
    }
}

/// The parts read so far.
pub(super) struct Trail {
    freshness: Freshness,
    tier: Tier,
    reads: Vec<Read>,
}

impl Trail {
    pub(super) fn of(parts: usize) -> Self {
        Self {
            freshness: Freshness::Current {
                at_most: Duration::ZERO,
            },
            tier: Tier::L1,
            reads: Vec::with_capacity(parts),
        }
    }

    pub(super) fn note<V: CacheValue>(&mut self, key: &Key<V>, fetched: &Fetched<V>) {
        self.freshness = weaker(self.freshness, fetched.freshness());
        self.tier = slower(self.tier, fetched.tier());
        let (key, version, tier) = (key.raw().clone(), fetched.version(), fetched.tier());
        self.reads.push(Read { key, version, tier });
    }

    pub(super) fn answer<T>(self, value: T) -> Answer<T> {
        let Self {
            freshness,
            tier,
            reads,
        } = self;
        Answer {
            value,
            freshness,
            tier,
            reads,
        }
    }
}

/// The weaker promise, with the longer span of the two: what holds for both.
fn weaker(one: Freshness, other: Freshness) -> Freshness {
    use Freshness::{Current, Stale, Unproven, WithinTtl};
    let span = |freshness| match freshness {
        Current { at_most } | WithinTtl { at_most } | Unproven { at_most } | Stale { at_most } => at_most,
    };
    let at_most = span(one).max(span(other));
    match (one, other) {
        (Stale { .. }, _) | (_, Stale { .. }) => Stale { at_most },
        (Unproven { .. }, _) | (_, Unproven { .. }) => Unproven { at_most },
        (WithinTtl { .. }, _) | (_, WithinTtl { .. }) => WithinTtl { at_most },
        (Current { .. }, Current { .. }) => Current { at_most },
    }
}

fn slower(one: Tier, other: Tier) -> Tier {
    match (one, other) {
        (Tier::Source, _) | (_, Tier::Source) => Tier::Source,
        (Tier::L2, _) | (_, Tier::L2) => Tier::L2,
        (Tier::L1, Tier::L1) => Tier::L1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_weak_as_its_weakest_part_and_as_old_as_its_oldest() {
        let span = Duration::from_millis;
        let current = Freshness::Current { at_most: span(7) };
        let ttl = Freshness::WithinTtl { at_most: span(3) };
        let stale = Freshness::Stale { at_most: span(1) };
        assert_eq!(weaker(current, ttl), Freshness::WithinTtl { at_most: span(7) });
        assert_eq!(weaker(stale, current), Freshness::Stale { at_most: span(7) });
        assert_eq!(slower(Tier::L2, Tier::L1), Tier::L2);
        assert_eq!(slower(Tier::L2, Tier::Source), Tier::Source);
    }
}
