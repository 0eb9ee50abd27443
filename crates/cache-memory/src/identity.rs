//! What a node's connections take the servers' identity for.
//!
//! A history may get another name while its servers go on and no connection ends. Those of one node agree on the newest name that
//! any of them was told, unless the hub is made to have each keep its own.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::ServerId;

use crate::servers::{Servers, locked};

/// What some connections of a node take it for.
#[derive(Debug, Default)]
pub(crate) struct Told(AtomicU64);

impl Told {
    pub(crate) fn now(&self) -> ServerId {
        ServerId(self.0.load(Ordering::Acquire))
    }

    fn is(&self, server: ServerId) -> ServerId {
        self.0.store(server.0, Ordering::Release);
        server
    }
}

impl Servers {
    /// Who they are, as a connection is told that asks for it.
    pub(crate) fn tell(&self, told: &Told) -> ServerId {
        told.is(self.server())
    }

    /// Who they are, as a connection takes it from what it was told before: it does not notice another name, but it ends with
    /// the servers it was made to, and its successor asks.
    pub(crate) fn known_as(&self, told: &Told) -> ServerId {
        let known = told.now();
        match self.was_called(known) {
            true => known,
            false => self.tell(told),
        }
    }

    /// Whether the servers had this name before, and have another one now.
    pub(crate) fn was_called(&self, name: ServerId) -> bool {
        name != self.server() && locked(&self.former_names).contains(&name)
    }
}
