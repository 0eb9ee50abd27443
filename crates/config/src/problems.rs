//! Everything that is wrong with the settings, reported at once.
//!
//! Deliberately no kinds of problems: all ask for the same reaction, which is that a person changes the
//! settings.

use std::fmt;

use crate::origin::Origin;
use crate::secret::{REDACTED, Secrecy};

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting concerned (`redis.port`), or the unknown name as it was written, or the name of a
    /// malformed file.
    pub path: String,
    /// Where the wrong value stands.
    pub origin: Origin,
    /// The wrong value; `[redacted]` if it may be secret, `None` if there is none or its meaning is unknown.
    pub value: Option<String>,
    /// What would be right, to stand after "expected".
    pub expected: String,
}

impl Problem {
    /// A problem with a value that must not be shown, or with no value at all.
    pub(crate) fn new(path: impl Into<String>, origin: Origin, expected: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            origin,
            value: None,
            expected: expected.into(),
        }
    }

    /// The same problem, with the wrong value as far as it may be shown.
    ///
    /// A refused value may be a secret in the wrong place, most often an address of the form
    /// `redis://user:password@host`, or its parts, as in `host=... password=...`.
    pub(crate) fn with_value(mut self, value: &str, secrecy: Secrecy) -> Self {
        let may_be_secret = secrecy == Secrecy::Secret || value.contains('@') || value.contains("pass");
        let hide = may_be_secret && !value.is_empty();
        self.value = Some(if hide { REDACTED } else { value }.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " ({}): expected {}", self.origin, self.expected)
    }
}

/// Everything that is wrong with the settings; never empty. The reaction is to change the settings and start
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems as an error, or the value if there are none.
    pub(crate) fn or<T>(problems: Vec<Problem>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(Self(problems)),
        }
    }

    /// The problems one by one, in the order of the layers, then of the settings.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
