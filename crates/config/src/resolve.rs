//! How the values that are given become settings: choose the preset, check all, let the last right one win.
//!
//! Deliberately checks values that are overridden as well: a wrong line in a file is a trap for the day on
//! which the variable that hides it goes away.

use crate::given::{Candidate, Given};
use crate::loaded::{Effective, Loaded};
use crate::origin::Origin;
use crate::problems::{Problem, Problems};
use crate::rules;
use crate::settings::{SETTINGS, Settings};
use crate::table::{PresetValue, Setting};
use crate::values::{Preset, Value};

/// The settings in force, or everything that is wrong.
pub(crate) fn resolve(mut given: Given) -> Result<Loaded, Problems> {
    let (preset, ground) = given.ground();
    let resolved: Vec<Resolved> = SETTINGS
        .iter()
        .map(|setting| given.resolve_one(setting, preset, ground))
        .collect();
    let settings = Settings::build(|path| {
        let found = resolved.iter().find(|one| one.setting.path == path);
        found.map_or("", |one| one.text.as_str())
    });
    if let Some(settings) = &settings {
        given.problems.extend(rules::check(settings, &resolved));
    }
    Problems::or(given.problems, settings).map(|settings| Loaded {
        settings,
        effective: resolved.into_iter().map(Resolved::into_effective).collect(),
    })
}

impl Given {
    /// The preset, and whether what defaults and preset say can be relied on: not when the name of the preset
    /// is wrong or the file, which might have overridden them, is malformed. Checking then goes on with what
    /// there is.
    fn ground(&self) -> (Preset, Standing) {
        let named = self
            .values
            .iter()
            .rev()
            .find(|(setting, _)| setting.path == "environment");
        let preset = named.map_or(Some(Preset::Development), |(_, named)| Preset::parse(&named.text));
        match preset {
            Some(preset) if !self.file_is_malformed => (preset, Standing::Firm),
            _ => (preset.unwrap_or(Preset::Development), Standing::Doubtful),
        }
    }

    /// Checks every value proposed for a setting and lets the last right one win.
    fn resolve_one(&mut self, setting: &'static Setting, preset: Preset, ground: Standing) -> Resolved {
        let mut candidates = vec![Candidate {
            text: setting.default.to_owned(),
            origin: Origin::Default,
        }];
        if let Some(PresetValue::Is(text)) = setting.preset(preset) {
            candidates.push(Candidate {
                text: text.to_owned(),
                origin: Origin::Preset(preset),
            });
        }
        let mut winner = Resolved::nothing(setting, ground);
        for candidate in candidates {
            self.consider(candidate, &mut winner, ground);
        }
        let own = |(other, _): &mut (&Setting, Candidate)| other.path == setting.path;
        let given: Vec<_> = self
            .values
            .extract_if(.., own)
            .map(|(_, candidate)| candidate)
            .collect();
        for candidate in given {
            self.consider(candidate, &mut winner, Standing::Firm);
        }
        if setting.preset(preset) == Some(PresetValue::Required) && winner.is_missing() {
            winner.standing = Standing::Doubtful;
            let (path, variable, flag) = (setting.path, setting.variable(), setting.flag());
            let expected = format!("a value: set {variable}, {flag}, or {path} in the file");
            self.problems
                .push(Problem::new(path, Origin::Preset(preset), expected));
        }
        winner
    }

    /// Lets a candidate win if it is right, else reports it.
    fn consider(&mut self, candidate: Candidate, winner: &mut Resolved, standing: Standing) {
        let setting = winner.setting;
        let Candidate { text, origin } = candidate;
        match (setting.canonical)(&text) {
            Some(shown) => {
                *winner = Resolved {
                    setting,
                    text,
                    shown,
                    origin,
                    standing,
                }
            }
            None => {
                winner.standing = Standing::Doubtful;
                let expected = format!("{}{}", setting.expects(), (setting.hint)(&text));
                let problem = Problem::new(setting.path, origin, expected);
                self.problems.push(problem.with_value(&text, setting.secrecy));
            }
        }
    }
}

/// A setting with the value that won.
pub(crate) struct Resolved {
    pub(crate) setting: &'static Setting,
    text: String,
    pub(crate) shown: String,
    pub(crate) origin: Origin,
    pub(crate) standing: Standing,
}

impl Resolved {
    fn nothing(setting: &'static Setting, standing: Standing) -> Self {
        Self {
            setting,
            text: String::new(),
            shown: String::new(),
            origin: Origin::Default,
            standing,
        }
    }

    /// Whether nobody gave a value, nor tried to: one mistake is one problem.
    fn is_missing(&self) -> bool {
        let given = self.origin != Origin::Default && !self.text.is_empty();
        !given && self.standing == Standing::Firm
    }

    fn into_effective(self) -> Effective {
        let Self {
            setting,
            shown,
            origin,
            ..
        } = self;
        Effective {
            setting,
            value: shown,
            origin,
        }
    }
}

/// Whether the value that won is the one that was meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Firm,
    /// A value above it was refused or is missing, which is reported already.
    Doubtful,
}
