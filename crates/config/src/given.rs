//! What the file, the environment and the flags give, collected setting by setting.
//!
//! Deliberately judges names only: whether a value is right is asked when all of them are known.

use crate::origin::Origin;
use crate::overrides::Overrides;
use crate::problems::Problem;
use crate::settings::SETTINGS;
use crate::suggest::{called_elsewhere, did_you_mean};
use crate::table::Setting;
use crate::yaml;

/// What the file, the environment and the flags give, later layers last.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) values: Vec<(&'static Setting, Candidate)>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) file_is_malformed: bool,
}

/// A value that one layer proposes for a setting.
pub(crate) struct Candidate {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl Given {
    pub(crate) fn add_file(&mut self, name: &str, text: &str) {
        let origin = |line| Origin::File {
            name: name.to_owned(),
            line,
        };
        let contents = yaml::read(text);
        for yaml::Line { path, text, line } in contents.values {
            let is_section = !path.is_empty() && SETTINGS.iter().any(|setting| setting.section == path);
            match Setting::find(&path) {
                Some(setting) => self.add(setting, text, origin(line)),
                None if is_section && text.is_empty() => {}
                None if is_section => {
                    let expected = "a section with settings beneath it";
                    self.problems.push(Problem::new(path, origin(line), expected));
                }
                None => self.add_unknown(path, origin(line), "setting", path_of),
            }
        }
        for yaml::Fault { path, line, expected } in contents.faults {
            let path = if path.is_empty() { name } else { &path };
            self.problems.push(Problem::new(path, origin(line), expected));
        }
        self.file_is_malformed = contents.is_malformed;
    }

    pub(crate) fn add_environment(&mut self, variables: Vec<(String, String)>) {
        for (name, text) in variables {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
                self.add(setting, text, Origin::Environment(name));
            } else if SETTINGS.iter().any(|setting| setting.claims(&name)) {
                self.add_unknown(
                    name.clone(),
                    Origin::Environment(name),
                    "variable",
                    Setting::variable,
                );
            }
        }
    }

    pub(crate) fn add_overrides(&mut self, overrides: Overrides) {
        for (name, text) in overrides.flags {
            let origin = Origin::Flag(name.clone());
            match SETTINGS.iter().find(|setting| setting.flag() == name) {
                Some(setting) => self.add(setting, text, origin),
                None => self.add_unknown(name, origin, "flag", Setting::flag),
            }
        }
        for (path, text) in overrides.assignments {
            let origin = Origin::Flag(format!("--set {path}"));
            match (Setting::find(&path), text) {
                (Some(setting), Some(text)) => self.add(setting, text, origin),
                (Some(_), None) => {
                    let expected = format!("--set {path}=VALUE");
                    self.problems.push(Problem::new(path, origin, expected));
                }
                (None, _) => self.add_unknown(path, origin, "setting", path_of),
            }
        }
    }

    fn add(&mut self, setting: &'static Setting, text: String, origin: Origin) {
        self.values.push((setting, Candidate { text, origin }));
    }

    /// The value is kept out of the message: under a misspelled name may stand a secret.
    fn add_unknown(&mut self, name: String, origin: Origin, what: &str, named: fn(&Setting) -> String) {
        let hint =
            called_elsewhere(&name, named).unwrap_or_else(|| did_you_mean(&name, SETTINGS.iter().map(named)));
        let expected = format!("a known {what}{hint}");
        self.problems.push(Problem::new(name, origin, expected));
    }
}

fn path_of(setting: &Setting) -> String {
    setting.path.to_owned()
}
