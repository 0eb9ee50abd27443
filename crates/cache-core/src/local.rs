//! Port: one node's memory of one namespace (L1), with the slots that order fills against events.
//!
//! Synchronous and infallible. It knows nothing of leases or events: it is told what to drop and what to keep.

use std::any::Any;
use std::sync::Arc;

use crate::{CacheKey, Entry, Moment, Seq};

/// How much memory a namespace may take on one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalLimits {
    /// Sum of entry weights, in bytes.
    pub max_bytes: u64,
    /// Number of entries.
    pub max_entries: u64,
}

/// What a namespace takes at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LocalUsage {
    /// Entries held, dead ones that nobody has asked for since included.
    pub entries: u64,
    /// Sum of their weights, in bytes: what they take in memory.
    pub bytes: u64,
    /// Sum of the lengths of their encoded values, in bytes before compression: what they would be in the shared store.
    pub encoded_bytes: u64,
    /// Fills under way.
    pub in_flight: u64,
}

/// A fill that somebody wants to start.
#[derive(Clone)]
pub struct Flight {
    /// The shard's generation at the start; readers of another generation do not join.
    pub generation: u64,
    /// Readers that come after this moment start a fill of their own.
    pub join_until: Moment,
    /// What joiners wait on; opaque to the store.
    pub rendezvous: Arc<dyn Any + Send + Sync>,
}

/// Identifies one fill among all that its store has seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(pub u64);

/// Answer to [`LocalStore::begin`].
pub enum Begun {
    /// This caller leads the fill and must call [`LocalStore::finish`].
    Lead(Ticket),
    /// Another fill is under way and may be joined: this is its rendezvous.
    Join(Arc<dyn Any + Send + Sync>),
}

/// Answer to [`LocalStore::finish`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finished {
    /// The slot is free; the entry, if there was one, is resident.
    Installed,
    /// Something newer than the entry is known, by an event or by a reader that passed memory by. The slot stays with the
    /// caller, who reads again.
    Superseded {
        /// The next attempt must be at least as new as this.
        floor: Seq,
    },
    /// The slot belongs to a later fill, or to nobody.
    NotYours,
}

/// What takes the place of a superseded entry.
#[derive(Clone, Debug)]
pub enum Replacement {
    /// Nothing: what is resident of an older version goes.
    None,
    /// Nothing, and what is resident goes unless its version is newer. A fill under way reads again, once, unless it brings
    /// something newer. For what was read past memory: two loads between the same two events have one version, and which
    /// of them is newer cannot be told.
    Evict,
    /// This, but only where an older entry is resident: for values that travelled inside an event.
    IfResident(Arc<Entry>),
    /// This: for the node's own writes.
    Always(Arc<Entry>),
}

/// Port: the memory of one namespace on one node.
///
/// An entry that fits the limits by itself is kept, at least until the next one is put in; one that does not is not.
/// All calls about one key are ordered: `begin`, `finish` and `supersede` take the key's bucket lock, and `read`
/// sees an entry only between its installation and its removal. Every call is O(1).
///
/// ```no_run
/// # fn demo(store: &dyn cache_core::LocalStore, key: &cache_core::CacheKey) {
/// use cache_core::{Replacement, Seq};
/// if let Some(entry) = store.read(key) {
///     println!("version {:?}", entry.version);
/// }
/// // An event says that the key changed at 17: whatever is older goes.
/// store.supersede(key, Seq(17), Replacement::None);
/// # }
/// ```
pub trait LocalStore: Send + Sync + 'static {
    /// The resident entry, whatever its state; the caller judges it.
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>>;

    /// Starts a fill, or joins one that is open to this caller.
    ///
    /// A fill may be joined while `now < join_until`, in the same generation, and as long as nothing has superseded
    /// the key since it began. Otherwise the caller takes the slot over and the older fill finds it is not its own.
    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun;

    /// Ends a fill: installs `entry`, unless one of a newer version is resident, or with `None` only frees the slot.
    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished;

    /// The key has this version, or one that is newer: drops or replaces a resident entry of an older one, closes a running
    /// fill to new readers and raises its floor. Returns whether a resident entry was dropped or replaced.
    ///
    /// What counts is the version that an entry has, not only up to which event it is known to be current: a load changes
    /// the version without an event.
    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool;

    /// Frees all entries. Running fills are not touched: what they install is judged by its generation.
    fn clear(&self);

    /// What the namespace takes at the moment.
    fn usage(&self) -> LocalUsage;
}

/// Port: opens the memory of namespaces.
///
/// ```no_run
/// # fn demo(stores: &dyn cache_core::LocalStores) {
/// use cache_core::LocalLimits;
/// let store = stores.open("gpu_pricing", LocalLimits { max_bytes: 50 << 20, max_entries: 500 });
/// assert_eq!(store.usage().entries, 0);
/// # }
/// ```
pub trait LocalStores: Send + Sync + 'static {
    /// A new, empty memory for a namespace.
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore>;
}
