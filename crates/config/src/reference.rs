//! The reference page: every setting in Markdown.
//!
//! Holds no knowledge of any setting: everything is taken from the table.

use std::fmt::Write as _;

use crate::secret::Secrecy;
use crate::settings::{SETTINGS, section_doc};
use crate::table::{PresetValue, Setting};
use crate::values::Preset;

/// The text of `docs/configuration.md`. The example `reference` prints it.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += &presets();
    let mut section = "";
    for setting in SETTINGS {
        if setting.section != section {
            section = setting.section;
            _ = writeln!(page, "\n## {section}\n\n{}", paragraph(section_doc(section)));
        }
        page += &entry(setting);
    }
    page
}

/// What the presets say, side by side: only the settings in which they differ.
fn presets() -> String {
    let names = Preset::ALL.iter().map(|preset| format!(" {preset} |"));
    let rules = Preset::ALL.iter().map(|_| " --- |");
    let mut table = format!(
        "| setting |{}\n| --- |{}\n",
        names.collect::<String>(),
        rules.collect::<String>()
    );
    for setting in SETTINGS.iter().filter(|setting| !setting.presets.is_empty()) {
        let cells = Preset::ALL.iter().map(|preset| match setting.preset(*preset) {
            Some(PresetValue::Is(value)) => format!(" `{value}` |"),
            Some(PresetValue::Required) => " *required* |".to_owned(),
            None if setting.default.is_empty() => " |".to_owned(),
            None => format!(" `{}` |", setting.default),
        });
        _ = writeln!(table, "| `{}` |{}", setting.path, cells.collect::<String>());
    }
    table
}

fn entry(setting: &Setting) -> String {
    let default = match setting.default {
        "" => "none".to_owned(),
        text => format!("`{text}`"),
    };
    let secret = match setting.secrecy {
        Secrecy::Open => "",
        Secrecy::Secret => " Secret: never shown.",
    };
    let (path, doc, expects) = (setting.path, paragraph(setting.doc), setting.expects());
    let (variable, flag) = (setting.variable(), setting.flag());
    format!(
        "\n### `{path}`\n\n{doc}{secret}\n\n\
         - value: {expects}\n- default: {default}\n- variable: `{variable}`\n- flag: `{flag}`\n"
    )
}

fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = "# Configuration

<!-- Generated from the table of settings. Do not edit; run
     `cargo run -p config --example reference > docs/configuration.md` instead. -->

Settings come in five layers, each overriding what stands before it:

1. the defaults,
2. the preset that `environment` chooses,
3. the YAML file, with sections as below,
4. the environment,
5. the flags: `--redis-port 6380`, or `--set redis.port=6380`.

All that is wrong in any layer is reported at once, also a value that a later layer overrides. A variable that
begins with `REDIS_`, `CACHE_`, `MARKET_` or `EDGE_NODE_` and is not known is refused, since it is most often misspelled.
Kubernetes sets such variables by itself for a service named `redis`; `enableServiceLinks: false` in the pod keeps
them out.

An empty value stands for none where none is allowed. A switch is `on` or `off`; `true`, `yes`, `1` and `false`,
`no`, `0` are understood too. A time without unit is in seconds.

## Presets

What a preset does not name keeps its default. *Required* means that the preset has no sensible value and a later
layer must give one.

";
