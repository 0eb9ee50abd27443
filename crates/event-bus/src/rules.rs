//! The rules of the protocol by name, so that a test can switch one off and show that something breaks.
//!
//! In a normal build every rule holds and asking costs nothing.

/// A rule of the coherence protocol. `docs/coherence.md` lists which test fails without which rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A reply must be at least as new as everything known to exist when it was asked for.
    SeenCheck,
    /// Events that came before their predecessors are known to exist (H1).
    EarlyEventsAreSeen,
    /// What an answer's head says is known to exist, the acknowledgement of an own write included (H2).
    AnswersAreSeen,
    /// A copy that may lag is asked only under a lease: what it may lack is then no older than the lease.
    LeaseForAnyCopy,
    /// A memory hit needs a lease that has not run out.
    LeaseCheck,
    /// A hole in the sequence is filled from the log.
    GapRepair,
    /// A lease is renewed by a head only once everything up to that head has been applied.
    CursorReachesHead,
    /// A lease runs from the moment its question was sent, not from when the answer came.
    LeaseFromSendTime,
    /// A reply older than the load deadline is thrown away.
    LoadDeadline,
    /// The server's identity and the chain of event ids are compared.
    IdentityAndChain,
    /// Replies to questions of an earlier era are thrown away.
    GenerationCheck,
    /// An event that does not fit into the queue flushes its shard.
    OverflowFlushes,
    /// An event that this release does not understand flushes its shard.
    UnknownFlushes,
    /// A barrier that was raised is never lowered, in whatever order events come.
    BarriersOnlyRise,
    /// While an invalidation is owed, its key is neither served from memory nor read from the shared store.
    OwedKeysAreBypassed,
    /// What was loaded past the shared store may be newer than what others will store: its key is owed an invalidation
    /// (H7).
    UnsavedLoadsAreOwed,
    /// How stale an answer is counts from the question whose answer last proved it current, whether or not that lease still
    /// stands.
    StaleSinceProof,
    /// What memory holds yields to what was read past it: by its version, whatever event it is known to be current up to.
    MemoryYields,
    /// A write that is refused because another version stands there takes the older one out of memory.
    ConflictsAreNews,
}

/// Which rules hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    #[cfg(any(test, feature = "test-util"))]
    broken: u32,
}

impl Rules {
    /// All rules but one: a mutant.
    #[cfg(any(test, feature = "test-util"))]
    pub const fn without(rule: Rule) -> Self {
        Self {
            broken: 1 << rule as u32,
        }
    }

    /// These rules but for one more: for a rule that another one stands in for.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub const fn and_without(self, rule: Rule) -> Self {
        Self {
            broken: self.broken | 1 << rule as u32,
        }
    }

    /// Whether the rule holds.
    #[cfg(any(test, feature = "test-util"))]
    pub const fn hold(self, rule: Rule) -> bool {
        self.broken & 1 << rule as u32 == 0
    }

    /// Whether the rule holds: always.
    #[cfg(not(any(test, feature = "test-util")))]
    pub const fn hold(self, _rule: Rule) -> bool {
        true
    }
}
