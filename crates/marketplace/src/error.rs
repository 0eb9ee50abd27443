//! What the ports of this crate answer when they cannot do what was asked: one type per port, sorted by reaction.
//!
//! A lost race is not an error; it is an outcome and stands in the result.

use std::error::Error;
use std::fmt;

/// What the caller should do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing was done; try again later, or serve the last known view.
    Unavailable,
    /// The request itself is wrong and will be refused every time; do not try again.
    Rejected,
    /// What is stored cannot be read; treat it as missing and tell an operator.
    Corrupt,
}

macro_rules! port_error {
    ($(#[$doc:meta])* $name:ident, $port:literal) => {
        $(#[$doc])*
        ///
        #[doc = concat!("```\nuse marketplace::{ErrorKind, ", stringify!($name), "};")]
        #[doc = concat!("let error = ", stringify!($name), "::new(ErrorKind::Unavailable, \"no connection\");")]
        #[doc = concat!("assert_eq!(error.to_string(), \"", $port, ": no connection\");")]
        /// assert_eq!(error.kind(), ErrorKind::Unavailable);
        /// ```
        #[derive(Debug)]
        pub struct $name {
            kind: ErrorKind,
            message: String,
            cause: Option<Box<dyn Error + Send + Sync>>,
        }

        impl $name {
            /// An error asking for the reaction `kind`, described by `message`.
            #[must_use]
            pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
                Self { kind, message: message.into(), cause: None }
            }

            /// The same error with what brought it about.
            #[must_use]
            pub fn caused_by(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                Self { cause: Some(cause.into()), ..self }
            }

            /// What to do about it.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                self.kind
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($port, ": {}"), self.message)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
            }
        }
    };
}

port_error!(
    /// Why a [`BookingStore`](crate::BookingStore) could not answer. An answer that may have been given is not an
    /// error but [`Uncertain`](crate::BookingOutcome::Uncertain).
    BookingStoreError, "booking store"
);
port_error!(
    /// Why a [`BookingLedger`](crate::BookingLedger) could not answer.
    BookingLedgerError, "booking ledger"
);
port_error!(
    /// Why a [`BidBook`](crate::BidBook) could not answer.
    BidBookError, "bid book"
);
port_error!(
    /// Why an [`Inventory`](crate::Inventory) or [`InventoryControl`](crate::InventoryControl) could not answer.
    InventoryError, "inventory"
);
