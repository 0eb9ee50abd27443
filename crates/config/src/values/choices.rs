//! Values chosen from a short list of words.
//!
//! Says nothing of what a choice brings about; a preset's values stand in the table of settings.

use std::fmt;

use super::{Value, parsed_from_text};
use crate::suggest::did_you_choose;

/// Declares an enum whose variants are written as words.
macro_rules! choices {
    ($(
        $(#[doc = $doc:literal])+ $name:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal $(| $synonym:literal)*,)+
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// Every choice there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Value for $name {
            fn expects() -> String {
                format!("one of {}", [$($word),+].join(", "))
            }

            fn hint(text: &str) -> String {
                did_you_choose(text, &[$($word),+])
            }

            /// Case does not matter.
            fn parse(text: &str) -> Option<Self> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word $(| $synonym)* => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn render(&self) -> String {
                self.as_str().to_owned()
            }
        }
        parsed_from_text!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

choices! {
    /// A named set of values that suits one kind of deployment.
    Preset {
        /// A developer's own machine.
        Development = "development",
        /// A rehearsal of production.
        Staging = "staging",
        /// A node that serves customers.
        Production = "production",
        /// A small node near customers: production with less memory and fewer workers.
        Edge = "edge",
        /// A large node that serves a whole region: production with more memory.
        Regional = "regional",
    }

    /// Quality of the network between a node and the others.
    NetworkTier {
        /// Shared network without promises.
        Standard = "standard",
        /// Reserved network with low latency.
        Premium = "premium",
        /// The last mile: near customers, far from the other nodes.
        Edge = "edge",
    }

    /// Whom a node's cache serves.
    CacheTier {
        /// The customers near one node.
        Edge = "edge",
        /// The edge nodes of a region.
        Regional = "regional",
        /// All regions.
        Global = "global",
    }

    /// Whether something happens. Written `on` or `off`; `true`, `yes`, `1` and `false`, `no`, `0` are
    /// understood too.
    Switch {
        /// It happens.
        On = "on" | "true" | "yes" | "1",
        /// It does not happen.
        Off = "off" | "false" | "no" | "0",
    }
}

impl Preset {
    /// The preset from which this one takes what it does not say itself.
    #[must_use]
    pub const fn base(self) -> Option<Self> {
        match self {
            Self::Development | Self::Staging | Self::Production => None,
            Self::Edge | Self::Regional => Some(Self::Production),
        }
    }
}

impl Switch {
    /// Whether it is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}
