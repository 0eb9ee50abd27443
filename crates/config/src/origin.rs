//! Where a value comes from.
//!
//! Says nothing of which origin wins: that is the order of the layers in `sources.rs`.

use std::fmt;

use crate::values::Preset;

/// Where a value comes from, precise enough to find the place that must be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody gave a value: the default stands.
    Default,
    /// The preset that `environment` chose.
    Preset(Preset),
    /// The YAML file.
    File {
        /// Its name, as it was handed in.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// This variable of the environment.
    Environment(String),
    /// This flag of the command line, without its value: that may be secret.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(preset) => write!(f, "preset {preset}"),
            Self::File { name, line } => write!(f, "file {name} line {line}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
