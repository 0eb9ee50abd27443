//! A fill under way: who leads it, who may join it, and what it must not install.
//!
//! Pure: the store holds the lock and acts; here is decided.

use std::any::Any;
use std::sync::Arc;

use cache_core::{Flight, Moment, Seq, Ticket};

/// The slot that a fill occupies from its beginning to its end.
pub(crate) struct Slot {
    ticket: Ticket,
    flight: Flight,
    /// The newest version that was heard of since the beginning, if any.
    superseded: Option<Seq>,
    /// What was read so far and has this version, or an older one, must be read again.
    doubted: Option<Seq>,
}

impl Slot {
    /// A fill that begins now. It inherits nothing from a fill it takes over: it reads after whatever superseded
    /// that one.
    pub(crate) const fn new(ticket: Ticket, flight: Flight) -> Self {
        Self {
            ticket,
            flight,
            superseded: None,
            doubted: None,
        }
    }

    /// What a reader waits on if it may join: the fill is young enough, of the reader's generation, and what it
    /// reads is not already known to be outdated.
    pub(crate) fn rendezvous(&self, now: Moment, generation: u64) -> Option<&Arc<dyn Any + Send + Sync>> {
        let open =
            now < self.flight.join_until && generation == self.flight.generation && self.superseded.is_none();
        open.then_some(&self.flight.rendezvous)
    }

    /// Whether the fill of this ticket still leads.
    pub(crate) fn is_led_by(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }

    /// How new an entry must be, if one of this version is not new enough. What is doubted is so once: what is read after that
    /// may have the same version.
    pub(crate) fn floor_above(&mut self, version: Seq) -> Option<Seq> {
        let doubted = self
            .doubted
            .take()
            .map(|doubted| Seq(doubted.0.saturating_add(1)));
        let floor = self.superseded.max(doubted);
        floor.filter(|floor| version < *floor)
    }

    /// The key has this version by now. Events may come in any order; the highest counts.
    pub(crate) fn supersede(&mut self, seq: Seq) {
        self.superseded = self.superseded.max(Some(seq));
    }

    /// Somebody was shown this version, or another of the same number, that may be newer than what is being read.
    pub(crate) fn doubt(&mut self, seq: Seq) {
        self.supersede(Seq::ZERO);
        self.doubted = self.doubted.max(Some(seq));
    }
}
