//! The settings in force, and where each comes from.
//!
//! Holds no secret outside of the settings themselves: what is shown is redacted before it arrives here.

use crate::origin::Origin;
use crate::settings::Settings;
use crate::table::Setting;

/// The settings in force, and where each comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The settings, checked.
    pub settings: Settings,
    /// Every setting with its value as text and its origin, in the order of the table.
    pub effective: Vec<Effective>,
}

/// One setting as it is in force.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Effective {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value in its customary form; `[redacted]` if secret, empty if there is none.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Loaded {
    /// Where the value of the setting with this path comes from, or `None` if there is no such setting.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        let found = self.effective.iter().find(|one| one.setting.path == path);
        found.map(|one| &one.origin)
    }

    /// All settings as a person reads them: `path = value   # origin`, aligned, one a line, secrets redacted.
    #[must_use]
    pub fn show(&self) -> String {
        let shown = |one: &Effective| match one.value.as_str() {
            "" => "(none)".to_owned(),
            value => value.to_owned(),
        };
        let width = |length: fn(&str) -> usize, texts: &[String]| {
            texts.iter().map(|text| length(text)).max().unwrap_or_default()
        };
        let paths: Vec<_> = self
            .effective
            .iter()
            .map(|one| one.setting.path.to_owned())
            .collect();
        let values: Vec<_> = self.effective.iter().map(shown).collect();
        let (path_width, value_width) = (width(str::len, &paths), width(str::len, &values));
        let lines = self.effective.iter().zip(&values).map(|(one, value)| {
            let (path, origin) = (one.setting.path, &one.origin);
            format!("{path:path_width$} = {value:value_width$}   # {origin}\n")
        });
        lines.collect()
    }
}
