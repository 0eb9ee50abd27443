//! What a follower is asked, what it answers, and what it orders.
//!
//! Only the words; what they follow from is decided in the follower itself.

use cache_core::{EventOp, Lineage, Moment, Seq};

/// What a node must know when it asks something, to judge the answer: taken by [`Follower::probe`](crate::Follower::probe) at send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// When it was sent.
    pub sent: Moment,
    /// The follower's era at that moment; an answer to an older era means nothing.
    pub era: u64,
    /// The generation entries must carry.
    pub generation: u64,
    /// The highest sequence number known to exist at that moment.
    pub seen: Seq,
    /// The lineage, once one is known and not under repair.
    pub lineage: Option<Lineage>,
}

/// Over which path, and from which copy, an answer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The copy that takes writes, over the connection that carries the events: what was published before the
    /// answer has been delivered, or is lost.
    Bus,
    /// The copy that takes writes, over another connection.
    Primary,
    /// Any copy.
    Any,
}

/// What an answer is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is current as of this sequence number.
    Admit {
        /// The shard's head when it was given.
        as_of: Seq,
    },
    /// It means nothing any more: ask again.
    Restart,
    /// The copy lags: ask the one that takes writes.
    AskPrimary,
    /// The shard's history is being repaired: use the source of truth.
    Down,
}

/// Whether a step of the history has been taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// Everything up to it has been applied.
    Applied,
    /// Not yet, as far as this node knows.
    NotYet,
    /// It belongs to a history that another one has superseded: it may have been lost.
    Superseded,
}

/// What the shell must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Drop or replace what the event names.
    Apply {
        /// The event's number.
        seq: Seq,
        /// What it says.
        op: EventOp,
    },
    /// Read the log from here on, this entry included, and hand it to [`Follower::replayed`](crate::Follower::replayed).
    Replay {
        /// The cursor.
        from: Seq,
    },
    /// Start a new lineage and hand the reply's head to [`Follower::observe`](crate::Follower::observe).
    Adopt {
        /// The lineage to supersede; `None` to create the first head.
        from: Option<Lineage>,
        /// The highest sequence number known to exist.
        hint: Seq,
    },
    /// Read the shard's head soon: something hints at another lineage.
    Ask,
    /// Subscribers have missed events that are no longer in the log.
    Missed,
}

/// How often things happened, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Events applied.
    pub applied: u64,
    /// Events that had been applied before.
    pub duplicates: u64,
    /// Times a hole in the sequence was found.
    pub gaps: u64,
    /// Logs read to fill a hole.
    pub replays: u64,
    /// Times the shard's entries were dropped as a whole.
    pub flushes: u64,
    /// Times history was found rewritten.
    pub forks: u64,
    /// Times another lineage was taken over.
    pub lineages: u64,
    /// Times another server answered, or the same one in a history of another name, and was verified or is being verified. One that
    /// keeps rising while the servers are well means that the node's connections disagree about who they lead to.
    pub servers: u64,
}
