//! Where settings are taken from: the way into this crate.
//!
//! Deliberately reads nothing itself, neither file nor environment: whoever starts the program does and hands
//! it in.

use std::fmt;

use crate::given::Given;
use crate::loaded::Loaded;
use crate::overrides::Overrides;
use crate::problems::Problems;
use crate::resolve::resolve;

/// Where settings are taken from. Each layer is optional; the order of the calls does not matter.
#[derive(Default, Clone)]
pub struct Sources {
    file: Option<(String, String)>,
    environment: Vec<(String, String)>,
    overrides: Overrides,
}

impl Sources {
    /// No layer but the defaults and the presets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The YAML file: its name, for messages, and its text.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.file = Some((name.into(), text.into()));
        self
    }

    /// The environment, usually all of it: variables of other programs are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables.into_iter().collect();
        self
    }

    /// What the flags of the command line say.
    #[must_use]
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// The settings in force.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any layer, at once.
    pub fn load(self) -> Result<Loaded, Problems> {
        let mut given = Given::default();
        if let Some((name, text)) = &self.file {
            given.add_file(name, text);
        }
        given.add_environment(self.environment);
        given.add_overrides(self.overrides);
        resolve(given)
    }
}

impl fmt::Debug for Sources {
    /// Without the values: the environment holds the secrets of all programs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
