//! What a run did, as plain data: reads, publications, acknowledgements, what was put in, and what was made void.
//!
//! It judges nothing and draws no conclusions; [`checks`](crate::checks) does. Whoever records a run fills the lists in
//! any order: what came first is told by each entry's [`Point`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::Moment;

/// One node of a recorded run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeIndex(pub usize);

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// A point of a recording: when it was, and its place among all points.
///
/// Under virtual time much happens at one moment, so that moments alone do not tell what came first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Point {
    /// When, by the one clock of the recording.
    pub at: Moment,
    /// The place in the recording; no two points share one.
    pub tick: u64,
}

impl Point {
    /// Whether this was over when `other` came.
    #[must_use]
    pub const fn precedes(self, other: Self) -> bool {
        self.tick < other.tick
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} s", self.at.as_nanos() as f64 / 1e9)
    }
}

/// Issues the points of one recording, from any thread.
#[derive(Debug, Default)]
pub struct Timeline {
    next: AtomicU64,
}

impl Timeline {
    /// The next point, at `now`.
    #[must_use]
    pub fn point(&self, now: Moment) -> Point {
        Point {
            at: now,
            tick: self.next.fetch_add(1, Ordering::SeqCst),
        }
    }
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Served {
    /// The node's memory.
    Memory,
    /// The shared store.
    Shared,
    /// The system of record.
    Source,
    /// Either tier, on purpose: a value that is no longer current, or not known to be.
    Stale,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Shared => "the shared store",
            Self::Source => "the system of record",
            Self::Stale => "what is stale",
        })
    }
}

/// A read that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read<K, R> {
    /// Who read.
    pub node: NodeIndex,
    /// What.
    pub key: K,
    /// The revision of the value it was shown.
    pub revision: R,
    /// When it began.
    pub began: Point,
    /// When it was answered.
    pub ended: Point,
    /// What answered it.
    pub served: Served,
}

impl<K: fmt::Debug, R: fmt::Debug> fmt::Display for Read<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}: {} reads {:?} from {} and is shown {:?}",
            self.began, self.ended, self.node, self.key, self.served, self.revision
        )
    }
}

/// From here on everybody can know that nothing older than `revision` is current: a write, or an invalidation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication<K, R> {
    /// What was changed.
    pub key: K,
    /// The oldest revision that is still current.
    pub revision: R,
    /// When the shared store took it.
    pub at: Point,
    /// When the servers forgot it, if a failover made them: from then on it counts no more.
    pub forgotten: Option<Point>,
}

/// A node was told that its write is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acknowledgement<K, R> {
    /// Who wrote.
    pub node: NodeIndex,
    /// What.
    pub key: K,
    /// The revision that it made current.
    pub revision: R,
    /// When the writer was told.
    pub at: Point,
    /// When the servers forgot it; `None` as well where the recorder holds the cache to it nevertheless.
    pub forgotten: Option<Point>,
}

/// Where a value is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// A node's memory.
    Memory(NodeIndex),
    /// The shared store.
    Shared,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(node) => write!(f, "the memory of {node}"),
            Self::Shared => f.write_str("the shared store"),
        }
    }
}

/// A value was put somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Install<K, R> {
    /// Where.
    pub place: Place,
    /// Under which key.
    pub key: K,
    /// Its revision.
    pub revision: R,
    /// When.
    pub at: Point,
}

/// A place learned that nothing older than `revision` may stay or come there.
///
/// The shared store learns it by the publication itself, a node's memory when the event is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalidation<K, R> {
    /// Who learned it.
    pub place: Place,
    /// Which key.
    pub key: K,
    /// The oldest revision that may come.
    pub revision: R,
    /// When.
    pub at: Point,
    /// When it was forgotten: by a failover of the servers, or a restart of the node.
    pub forgotten: Option<Point>,
}

/// The system of record changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit<K, R> {
    /// What was changed.
    pub key: K,
    /// Its revision since.
    pub revision: R,
    /// When.
    pub at: Point,
}

/// A recorded run.
///
/// `K` names what is read and written. `R` orders what it was: a counter of the system of record, or a lineage's rank with a
/// number in it. Revisions of one key only are compared.
///
/// ```
/// use cache_core::Moment;
/// use testkit::checks;
/// use testkit::history::{Acknowledgement, History, NodeIndex, Read, Served, Timeline};
///
/// let (timeline, mut history) = (Timeline::default(), History::default());
/// let at = |millis: u64| timeline.point(Moment::from_nanos(millis * 1_000_000));
/// let node = NodeIndex(0);
/// history.acknowledgements.push(Acknowledgement { node, key: "price", revision: 2, at: at(5), forgotten: None });
/// history.reads.push(Read {
///     node, key: "price", revision: 1, began: at(6), ended: at(7), served: Served::Memory,
/// });
/// let found = checks::own_writes(&history);
/// assert!(found[0].to_string().contains("the own write of 2"), "{}", found[0]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History<K, R> {
    /// Reads that were answered.
    pub reads: Vec<Read<K, R>>,
    /// What was published.
    pub publications: Vec<Publication<K, R>>,
    /// Writes that were acknowledged.
    pub acknowledgements: Vec<Acknowledgement<K, R>>,
    /// What was put into memories and into the shared store.
    pub installs: Vec<Install<K, R>>,
    /// What these places knew to be outdated.
    pub invalidations: Vec<Invalidation<K, R>>,
    /// Changes of the system of record.
    pub commits: Vec<Commit<K, R>>,
}

impl<K, R> Default for History<K, R> {
    fn default() -> Self {
        Self {
            reads: Vec::new(),
            publications: Vec::new(),
            acknowledgements: Vec::new(),
            installs: Vec::new(),
            invalidations: Vec::new(),
            commits: Vec::new(),
        }
    }
}
