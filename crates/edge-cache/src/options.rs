//! What one call may do otherwise than its namespace's policy says.
//!
//! The default changes nothing.

use cache_core::Policy;

/// How a call uses one tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TierUse {
    /// Reads and writes.
    #[default]
    ReadWrite,
    /// Reads, and leaves nothing behind.
    ReadOnly,
    /// Does not look, but leaves what it finds elsewhere.
    WriteOnly,
    /// Passes the tier by.
    Skip,
}

impl TierUse {
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::ReadWrite | Self::ReadOnly)
    }

    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::ReadWrite | Self::WriteOnly)
    }
}

/// Overrides for one call.
///
/// ```
/// # use edge_cache::{CacheError, EdgeCache};
/// use cache_core::Key;
/// use edge_cache::{Options, TierUse};
///
/// /// Passes this node's copy by, and replaces it with what the shared store has.
/// async fn read_again(cache: &EdgeCache, key: &Key<u64>) -> Result<Option<u64>, CacheError> {
///     let options = Options::default().with_l1(TierUse::WriteOnly);
///     Ok(cache.get_with(key, options).await?.as_deref().copied())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub(crate) policy: Option<Policy>,
    pub(crate) l1: TierUse,
    pub(crate) l2: TierUse,
}

impl Options {
    /// Whether the call does with the shared store what other readers of the key do not: then it shares no fetch with
    /// them. They would miss what it did not look for, and it would be given what it must not look at.
    pub(crate) fn is_private(&self) -> bool {
        self.l2 != TierUse::ReadWrite
    }

    /// Uses this policy's lifetimes, timeouts and failure behaviour for what the call loads, writes and waits for. Lane, coherence and memory
    /// limits stay the namespace's, and so does how long what memory holds already may be served.
    #[must_use]
    pub const fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How the call uses memory.
    #[must_use]
    pub const fn with_l1(mut self, tier_use: TierUse) -> Self {
        self.l1 = tier_use;
        self
    }

    /// How the call uses the shared store.
    #[must_use]
    pub const fn with_l2(mut self, tier_use: TierUse) -> Self {
        self.l2 = tier_use;
        self
    }
}
