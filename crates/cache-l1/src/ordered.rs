//! What orders fills against events: residents, and the slots of fills under way.
//!
//! Every rule about a key is applied while the key's slot is held, whether or not a fill is under way; only `read`,
//! eviction and `clear` go past it, and these never put anything in. It does not know which maps these are, so that tests
//! try every interleaving of what is shipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{Begun, CacheKey, Entry, Finished, Flight, LocalUsage, Moment, Replacement, Seq, Ticket};

use crate::residents::{Discarded, Residency};
use crate::slot::Slot;
use crate::slots::{Held as _, Slots};

/// The memory of one namespace, over a table of slots and a map of residents.
pub(crate) struct Ordered<S, R> {
    residents: R,
    slots: S,
    tickets: AtomicU64,
}

impl<S, R> Ordered<S, R> {
    pub(crate) const fn new(slots: S, residents: R) -> Self {
        Self {
            residents,
            slots,
            tickets: AtomicU64::new(0),
        }
    }
}

impl<S: Slots, R: Residency> Ordered<S, R> {
    pub(crate) fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.residents.read(key)
    }

    pub(crate) fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        // The older fill's slot leaves the block, and with it the lock, before it is dropped.
        let (begun, _taken_over) = {
            let mut held = self.slots.hold(key);
            let open = held
                .slot()
                .and_then(|slot| slot.rendezvous(now, flight.generation));
            if let Some(rendezvous) = open {
                (Begun::Join(Arc::clone(rendezvous)), None)
            } else {
                let ticket = self.next_ticket();
                (Begun::Lead(ticket), held.put(Slot::new(ticket, flight)))
            }
        };
        begun
    }

    pub(crate) fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        let mut discarded = Discarded::default();
        let (finished, _freed) = {
            let mut held = self.slots.hold(key);
            match held.slot().filter(|slot| slot.is_led_by(ticket)) {
                Some(slot) => {
                    let version = entry.as_ref().map(|entry| entry.version.seq);
                    let floor = version.and_then(|version| slot.floor_above(version));
                    if let Some(floor) = floor {
                        (Finished::Superseded { floor }, None)
                    } else {
                        if let Some(entry) = &entry {
                            self.install(key, entry, &mut discarded);
                        }
                        (Finished::Installed, held.take())
                    }
                }
                None => (Finished::NotYours, None),
            }
        };
        finished
    }

    pub(crate) fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        let mut discarded = Discarded::default();
        // Held to the end, whether or not there is a fill.
        let mut held = self.slots.hold(key);
        if let Some(slot) = held.slot() {
            match &replacement {
                Replacement::Evict => slot.doubt(seq),
                _event => slot.supersede(seq),
            }
        }
        match &replacement {
            Replacement::None => self.residents.remove_older(key, seq, &mut discarded),
            Replacement::Evict => {
                let next = Seq(seq.0.saturating_add(1));
                self.residents.remove_older(key, next, &mut discarded)
            }
            Replacement::IfResident(entry) => {
                let yields = self.resident_yields(key, seq, entry) == Some(true);
                if yields {
                    self.residents.replace(key, Arc::clone(entry), &mut discarded);
                }
                yields
            }
            Replacement::Always(entry) => {
                let yields = self.resident_yields(key, seq, entry);
                if yields != Some(false) {
                    self.residents.insert(key, Arc::clone(entry), &mut discarded);
                }
                yields == Some(true)
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.residents.clear();
    }

    pub(crate) fn usage(&self) -> LocalUsage {
        LocalUsage {
            entries: self.residents.entries(),
            bytes: self.residents.bytes(),
            encoded_bytes: self.residents.encoded_bytes(),
            in_flight: self.slots.count(),
        }
    }

    fn next_ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the resident entry, if there is one, is older than the change or dead.
    fn resident_yields(&self, key: &CacheKey, seq: Seq, replacement: &Entry) -> Option<bool> {
        let resident = self.residents.peek(key)?;
        Some(resident.version.seq < seq || resident.generation != replacement.generation)
    }

    /// Something newer may be resident: an event put it in while the fill was under way, or the fill read a copy that lags.
    /// That stays.
    fn install(&self, key: &CacheKey, entry: &Arc<Entry>, discarded: &mut Discarded) {
        let order = |entry: &Entry| (entry.version.seq, entry.as_of);
        let newer = self.residents.peek(key).is_some_and(|resident| {
            resident.generation == entry.generation && order(&resident) > order(entry)
        });
        if !newer {
            self.residents.insert(key, Arc::clone(entry), discarded);
        }
    }
}

#[cfg(test)]
mod tests;
