//! The rules of the protocol by name, so that a test can switch one off and show that something breaks.
//!
//! In a normal build every rule holds and asking costs nothing.

/// A rule of the coherence protocol. `docs/coherence.md` lists which test fails without which rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A reply must be at least as new as everything known to exist when it was asked for.
    SeenCheck,
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
}

/// Which rules hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    #[cfg(any(test, feature = "test-util"))]
    broken: Option<Rule>,
}

impl Rules {
    /// All rules but one: a mutant.
    #[cfg(any(test, feature = "test-util"))]
    pub const fn without(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    /// Whether the rule holds.
    #[cfg(any(test, feature = "test-util"))]
    pub fn hold(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    /// Whether the rule holds: always.
    #[cfg(not(any(test, feature = "test-util")))]
    pub const fn hold(self, _rule: Rule) -> bool {
        true
    }
}
