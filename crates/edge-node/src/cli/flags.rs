//! One flag for each setting, made from the settings' own table.
//!
//! It judges no value: all problems are reported together by whoever loads the settings.

use std::fmt;

use clap::{Arg, ArgMatches, Command, Error, FromArgMatches};
use config::{PresetValue, SETTINGS, Setting};

/// The settings given by flags, as `(--redis-port, 6380)`.
#[derive(Clone, Default)]
pub struct SettingFlags(Vec<(String, String)>);

impl SettingFlags {
    /// Name and text of each flag that was given.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

impl fmt::Debug for SettingFlags {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.given().map(|(name, _)| name))
            .finish()
    }
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.path)?;
            Some((setting.flag(), text.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(setting: &Setting) -> Arg {
    let doc: Vec<&str> = setting.doc.iter().map(|line| line.trim()).collect();
    let heading = match setting.section {
        "" => "Preset".to_owned(),
        section => format!("Settings of {section}"),
    };
    let required = matches!(
        setting.preset(config::Preset::Production),
        Some(PresetValue::Required)
    );
    let default = match setting.default {
        "" => String::new(),
        default => format!(" Default: {default}."),
    };
    let note = if required { " Production requires it." } else { "" };
    Arg::new(setting.path)
        .long(setting.flag().trim_start_matches('-').to_owned())
        .value_name("VALUE")
        .allow_hyphen_values(true)
        .help_heading(heading)
        .help(format!(
            "{}{default}{note} [env: {}]",
            doc.join(" "),
            setting.variable()
        ))
}
