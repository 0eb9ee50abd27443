//! The namespaces of a cache, and what events do to their memory.
//!
//! It is told what changed; it asks nobody.

use std::any::TypeId;
use std::sync::Arc;

use cache_core::{Barrier, CacheEvent, CacheKey, LocalStore, Policy, Propagation, Replacement};
use event_bus::{Changed, Replica};

use crate::entries::{Basis, make_entry, open_body};
use crate::fidelity::Fidelity;
use crate::ports::Ports;
use crate::stats::{Count, Counters};
use crate::value::ValueType;

/// One registered namespace.
pub(crate) struct NamespaceState {
    pub(crate) name: &'static str,
    pub(crate) policy: Policy,
    pub(crate) value: ValueType,
    pub(crate) local: Arc<dyn LocalStore>,
    /// The key of the barrier that covers the whole namespace.
    pub(crate) barrier: CacheKey,
    pub(crate) counters: Counters,
    pub(crate) fidelity: Fidelity,
}

/// All registered namespaces.
pub(crate) struct Memory {
    pub(crate) namespaces: Vec<NamespaceState>,
    pub(crate) ports: Ports,
}

impl NamespaceState {
    pub(crate) fn barrier_of(name: &str) -> Barrier {
        Barrier::Namespace(Arc::from(name))
    }
}

impl Memory {
    /// The namespace of this name. A handful of them: a scan beats a hash, and a name that comes from the same constant
    /// is the same text, not only an equal one.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<&NamespaceState> {
        self.namespaces
            .iter()
            .find(|namespace| std::ptr::eq(namespace.name, name) || namespace.name == name)
    }

    /// The namespace of this name, if its values have this type.
    #[inline]
    pub(crate) fn find_typed(&self, name: &str, value: TypeId) -> Option<&NamespaceState> {
        self.find(name).filter(|namespace| namespace.value.id == value)
    }
}

impl Replica for Memory {
    fn announced(&self, event: &CacheEvent) {
        for affected in &event.keys {
            // A value that travels with its event is about to replace the old one. Dropping that first would leave nothing
            // to replace, and every reader would go to the shared store: measured, a third of the queries a second.
            let dropped = self
                .find(affected.key.namespace())
                .filter(|namespace| namespace.policy.propagation == Propagation::Invalidate);
            if let Some(namespace) = dropped {
                namespace
                    .local
                    .supersede(&affected.key, affected.version, Replacement::None);
            }
        }
        for name in &event.namespaces {
            if let Some(namespace) = self.find(name) {
                namespace.local.clear();
            }
        }
    }

    fn changed(&self, change: Changed<'_>) {
        let Some(namespace) = self.find(change.key.namespace()) else {
            return;
        };
        let seq = change.version.seq;
        let replacement = change
            .record
            .filter(|_| {
                namespace
                    .local
                    .read(change.key)
                    .is_some_and(|resident| resident.version.seq < seq)
            })
            .and_then(|(record, remaining)| {
                let opened = open_body(namespace, &self.ports, &record.body)?;
                let basis = Basis {
                    now: self.ports.clock.now(),
                    version: change.version,
                    as_of: seq,
                    generation: change.generation,
                    remaining,
                };
                let length = change.key.as_str().len();
                Some(Arc::new(make_entry(
                    namespace,
                    &self.ports,
                    &namespace.policy,
                    length,
                    opened,
                    &basis,
                )))
            })
            .map_or(Replacement::None, Replacement::IfResident);
        if namespace.local.supersede(change.key, seq, replacement) {
            namespace.counters.add(Count::Superseded);
        }
    }
}
