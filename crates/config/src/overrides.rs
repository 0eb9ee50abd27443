//! What the flags of the command line say.
//!
//! Does not read the command line: whoever does hands in names and values. Nothing is refused here; what is
//! wrong is reported by `Sources::load` together with everything else.

use std::fmt;

/// Values given by flags: the last layer.
///
/// If a setting is given twice the later wins, and `--set` wins over named flags.
///
/// ```
/// use config::{Overrides, Sources};
///
/// let overrides = Overrides::new().flag("--redis-port", "6380").set("redis.db=3");
/// let loaded = Sources::new().overrides(overrides).load()?;
/// assert_eq!(loaded.settings.redis.port.get(), 6380);
/// assert_eq!(loaded.settings.redis.db.get(), 3);
/// # Ok::<(), config::Problems>(())
/// ```
#[derive(Default, Clone)]
pub struct Overrides {
    pub(crate) flags: Vec<(String, String)>,
    pub(crate) assignments: Vec<(String, Option<String>)>,
}

impl Overrides {
    /// No flags at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag named after its setting, as [`Setting::flag`](crate::Setting::flag) gives it: `--redis-port`
    /// and `6380`.
    #[must_use]
    pub fn flag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((name.into(), value.into()));
        self
    }

    /// The text behind `--set`: `redis.port=6380`.
    #[must_use]
    pub fn set(mut self, assignment: &str) -> Self {
        let (path, value) = match assignment.split_once('=') {
            Some((path, value)) => (path, Some(value.to_owned())),
            None => (assignment, None),
        };
        self.assignments.push((path.trim().to_owned(), value));
        self
    }
}

impl fmt::Debug for Overrides {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides").finish_non_exhaustive()
    }
}
