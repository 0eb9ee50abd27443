//! A text that must never be shown: a password or a token.
//!
//! Deliberately no protection of memory: whoever can read the process's memory can read its connections too.

use std::fmt;

use crate::values::Value;

/// What stands in place of a secret wherever settings are shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// A password or token. Shown as `[redacted]`; only [`Secret::reveal`] gives it away.
///
/// ```
/// let password: config::Secret = "open sesame".parse()?;
/// assert_eq!(format!("{password} {password:?}"), "[redacted] [redacted]");
/// assert_eq!(password.reveal(), "open sesame");
/// # Ok::<(), config::Refused>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for handing it to whoever asks for authentication. Never log it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Value for Secret {
    const SECRECY: Secrecy = Secrecy::Secret;

    fn expects() -> String {
        "a text without line breaks (was it read from a file that ends in one?)".to_owned()
    }

    /// Taken as it stands, blanks included: what looks like a mistake may be the password.
    fn parse(text: &str) -> Option<Self> {
        let right = !text.is_empty() && !text.contains(char::is_control);
        right.then(|| Self(text.to_owned()))
    }

    fn render(&self) -> String {
        REDACTED.to_owned()
    }
}
crate::values::parsed_from_text!(Secret);

/// Whether a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// May be shown and logged.
    Open,
    /// Must not be shown: `[redacted]` stands in its place.
    Secret,
}
