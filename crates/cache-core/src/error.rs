//! Errors of the ports. Each kind names the reaction it asks for; the cause is in `source()`.
//!
//! What the cache itself answers to its callers is the engine's own error type.

use std::error::Error;
use std::fmt;

/// What a caller should do about an error of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing happened: retry later, or serve from elsewhere.
    Unavailable,
    /// The request was sent and no answer came: it may or may not have happened.
    Uncertain,
    /// The request is wrong and will be refused again: do not retry.
    Rejected,
    /// What came back cannot be understood: drop it and treat it as missing.
    Corrupt,
    /// What stands there has the format of another release, and nothing was changed: do not write until that release is
    /// used, or what it left was removed. The message names the format.
    Incompatible,
}

macro_rules! port_error {
    ($name:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug)]
        pub struct $name {
            kind: ErrorKind,
            message: String,
            source: Option<Box<dyn Error + Send + Sync>>,
        }

        impl $name {
            /// An error of this kind, with a sentence that says what was attempted.
            pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
                Self {
                    kind,
                    message: message.into(),
                    source: None,
                }
            }

            /// Adds the cause.
            #[must_use]
            pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                self.source = Some(source.into());
                self
            }

            /// The reaction this error asks for.
            pub const fn kind(&self) -> ErrorKind {
                self.kind
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($what, ": {}"), self.message)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.source
                    .as_deref()
                    .map(|source| source as &(dyn Error + 'static))
            }
        }
    };
}

port_error!(
    StoreError,
    "shared store",
    "What went wrong in a [`SharedStore`](crate::SharedStore)."
);
port_error!(
    BusError,
    "event bus",
    "What went wrong in an [`EventBus`](crate::EventBus)."
);
port_error!(
    CodecError,
    "codec",
    "What went wrong in a [`Codec`](crate::Codec)."
);
