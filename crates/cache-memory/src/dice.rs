//! Draws what goes wrong next, from a seed.
//!
//! It acts on nothing: the same draws in the same order give the same faults.

use std::ops::RangeInclusive;
use std::time::Duration;

use cache_core::Permille;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Faults;

/// The faults in force, and where their randomness comes from.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: StdRng,
    pub(crate) faults: Faults,
}

/// What becomes of one event on its way to one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Passage {
    /// How long it takes.
    pub(crate) delay: Duration,
    /// How much later it arrives while others pass it.
    pub(crate) overtaken: Option<Duration>,
    /// How much later it arrives once more.
    pub(crate) again: Option<Duration>,
}

impl Passage {
    /// Nothing goes wrong.
    pub(crate) const AT_ONCE: Self = Self {
        delay: Duration::ZERO,
        overtaken: None,
        again: None,
    };
}

/// What becomes of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Journey {
    pub(crate) out: Duration,
    pub(crate) back: Duration,
    pub(crate) fate: Fate,
    /// After what time its sender gives up.
    pub(crate) timeout: Duration,
}

/// How a request ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Answered,
    RequestLost,
    ReplyLost,
}

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            faults: Faults::NONE,
        }
    }

    /// An event's passage; `None` when it is lost.
    pub(crate) fn passage(&mut self) -> Option<Passage> {
        if self.roll(self.faults.event_loss) {
            return None;
        }
        let mut delay = self.draw(self.faults.event_delay.clone());
        if self.roll(self.faults.tail) {
            delay += self.draw(self.faults.tail_delay.clone());
        }
        let overtaken = self.roll(self.faults.reorder);
        let again = self.roll(self.faults.duplicate);
        Some(Passage {
            delay,
            overtaken: overtaken.then(|| self.detour()),
            again: again.then(|| self.detour()),
        })
    }

    /// A request's journey.
    pub(crate) fn journey(&mut self) -> Journey {
        let fate = if self.roll(self.faults.lost_request) {
            Fate::RequestLost
        } else if self.roll(self.faults.lost_reply) {
            Fate::ReplyLost
        } else {
            Fate::Answered
        };
        let out = self.draw(self.faults.request_delay.clone());
        let mut back = self.draw(self.faults.request_delay.clone());
        if self.roll(self.faults.late_reply) {
            back += self.draw(self.faults.tail_delay.clone());
        }
        Journey {
            out,
            back,
            fate,
            timeout: self.faults.timeout,
        }
    }

    /// How many events behind the copy is that answers a read; `None` for the primary.
    pub(crate) fn lag(&mut self) -> Option<usize> {
        if !self.roll(self.faults.lagging_read) {
            return None;
        }
        let most = self.faults.lag.max(1);
        Some(usize::from(self.rng.random_range(1..=most)))
    }

    /// A server's identity.
    pub(crate) fn identity(&mut self) -> u64 {
        self.rng.random()
    }

    /// The way round that an overtaken or doubled event takes: as long as a late event, and at least long enough
    /// that the timer can tell.
    fn detour(&mut self) -> Duration {
        let longest = (*self.faults.event_delay.end()).max(SHORTEST_DETOUR * 4);
        self.draw(SHORTEST_DETOUR..=longest)
    }

    fn roll(&mut self, share: Permille) -> bool {
        share.0 > 0 && self.rng.random_range(0..1000) < share.0
    }

    fn draw(&mut self, range: RangeInclusive<Duration>) -> Duration {
        if range.is_empty() || range.start() == range.end() {
            return *range.start();
        }
        self.rng.random_range(range)
    }
}

const SHORTEST_DETOUR: Duration = Duration::from_millis(1);
