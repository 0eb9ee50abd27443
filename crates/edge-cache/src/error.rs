//! What the cache answers when it cannot do what was asked.
//!
//! Each variant asks for another reaction; an outage is never disguised as a miss.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use cache_core::Seq;

/// Why a call to the cache failed.
///
/// ```
/// use edge_cache::CacheError;
///
/// /// Whether it makes sense to do the same again.
/// fn worth_a_retry(error: &CacheError) -> bool {
///     match error {
///         CacheError::Unavailable(_) | CacheError::Load(_) => true,
///         // Read first what stands there now.
///         CacheError::Conflict { .. } | CacheError::Uncertain(_) => false,
///         _rejected_or_closed => false,
///     }
/// }
/// assert!(!worth_a_retry(&CacheError::Closed));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CacheError {
    /// The shared store cannot be reached and nothing happened: retry later, or use a loader.
    Unavailable(Arc<dyn Error + Send + Sync>),
    /// A write was sent and no valid answer came: it may or may not have happened. Read the source of truth.
    Uncertain(Arc<dyn Error + Send + Sync>),
    /// The value has another version than expected; nothing was written. Read it and decide anew.
    Conflict {
        /// The version found, [`Seq::ZERO`] for none.
        found: Seq,
    },
    /// The loader failed, and no stale value may be served.
    Load(Arc<LoadError>),
    /// The call is wrong and will fail again: an unregistered namespace, a value that cannot be encoded.
    Rejected(Arc<str>),
    /// The cache is shutting down.
    Closed,
}

/// Why a loader gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It returned an error.
    Failed(Box<dyn Error + Send + Sync>),
    /// It took longer than the hard timeout; its future was dropped.
    TimedOut,
    /// It panicked.
    Panicked,
    /// It answered "not modified", but there was no earlier value.
    NothingToKeep,
}

impl CacheError {
    pub(crate) fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(error.into()))
    }

    pub(crate) fn uncertain(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Uncertain(Arc::from(error.into()))
    }

    /// Unavailable for this reason, which something else has caused.
    pub(crate) fn unavailable_since(
        message: &'static str,
        cause: Option<Arc<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::unavailable(Because { message, cause })
    }

    pub(crate) fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected(Arc::from(message.into()))
    }
}

/// What is the matter, and what has caused it.
#[derive(Debug)]
struct Because {
    message: &'static str,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for Because {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(_) => f.write_str("the shared store is unavailable; nothing was changed"),
            Self::Uncertain(_) => {
                f.write_str("no answer from the shared store; the write may or may not have happened")
            }
            Self::Conflict { found } if *found == Seq::ZERO => {
                f.write_str("expected another version; there is no value")
            }
            Self::Conflict { found } => write!(f, "expected another version; version {found} was found"),
            Self::Load(_) => f.write_str("the value could not be loaded"),
            Self::Rejected(why) => f.write_str(why),
            Self::Closed => f.write_str("the cache is shutting down"),
        }
    }
}

impl Error for CacheError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(source) | Self::Uncertain(source) => Some(source.as_ref()),
            Self::Load(source) => Some(source.as_ref()),
            Self::Conflict { .. } | Self::Rejected(_) | Self::Closed => None,
        }
    }
}

impl From<crate::StartError> for CacheError {
    fn from(error: crate::StartError) -> Self {
        Self::rejected(error.to_string())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "the loader failed",
            Self::TimedOut => "the loader took longer than the hard timeout",
            Self::Panicked => "the loader panicked",
            Self::NothingToKeep => "the loader answered 'not modified' to a first load",
        })
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source.as_ref()),
            _no_cause => None,
        }
    }
}
