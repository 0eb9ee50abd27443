//! What one row of the table of settings says, and the macro that expands the table.
//!
//! Holds no settings: those stand in `settings.rs`. Nothing here reads a layer.

use crate::secret::Secrecy;
use crate::values::{Preset, Value};

/// One row of the table: everything that is known of a setting before any layer is read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setting {
    /// Section it belongs to (`redis`), or empty for a setting outside all sections.
    pub section: &'static str,
    /// Its path (`redis.port`): the key in the file, and its name in every message.
    pub path: &'static str,
    /// What it means, in which unit, and why its default is what it is.
    pub doc: &'static [&'static str],
    /// The default as text; empty when there is none.
    pub default: &'static str,
    /// Whether it may be shown.
    pub secrecy: Secrecy,
    pub(crate) prefix: &'static str,
    pub(crate) name: &'static str,
    pub(crate) presets: &'static [(Preset, PresetValue)],
    pub(crate) expects: fn() -> String,
    pub(crate) hint: fn(&str) -> String,
    pub(crate) canonical: fn(&str) -> Option<String>,
}

/// What a preset says of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetValue {
    /// The preset gives this value.
    Is(&'static str),
    /// The preset has no sensible value: a later layer must give one.
    Required,
}

impl Setting {
    /// The setting with this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        crate::SETTINGS.iter().find(|setting| setting.path == path)
    }

    /// Its environment variable: `REDIS_PORT`. Features, performance and security share the prefix `CACHE_`.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = self.name.to_uppercase();
        if self.prefix.is_empty() {
            name
        } else {
            format!("{}_{name}", self.prefix)
        }
    }

    /// Whether a variable of this name must be a setting, because it begins like this one's.
    pub(crate) fn claims(&self, variable: &str) -> bool {
        let rest = variable.strip_prefix(self.prefix);
        !self.prefix.is_empty() && rest.is_some_and(|rest| rest.starts_with('_'))
    }

    /// Its flag: `--redis-port`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.path.replace(['.', '_'], "-"))
    }

    /// What a right value looks like, to stand after "expected".
    #[must_use]
    pub fn expects(&self) -> String {
        (self.expects)()
    }

    /// What a preset says of it, or `None` when the default stands.
    #[must_use]
    pub fn preset(&self, preset: Preset) -> Option<PresetValue> {
        let own = self.presets.iter().find(|(name, _)| *name == preset);
        own.map(|(_, value)| *value)
            .or_else(|| self.preset(preset.base()?))
    }
}

/// Reads `text` as a `T` and writes it in its one customary form: `10`, `10s` and `10000ms` are all `10s`.
pub(crate) fn canonical<T: Value>(text: &str) -> Option<String> {
    T::parse(text).map(|value| value.render())
}

/// Expands the table into the public structs, [`Setting`] rows, and the way from resolved texts to the
/// structs.
macro_rules! settings {
    (
        $(#[doc = $top_doc:literal])+ $top:ident: $top_type:ty = $top_default:literal;
        $(
            $(#[doc = $section_doc:literal])+ $prefix:literal $section:ident: $Section:ident {
                $(
                    $(#[doc = $doc:literal])+
                    $field:ident: $type:ty = $default:literal $({ $($preset:ident: $given:tt),+ })?;
                )+
            }
        )+
    ) => {
        /// Every setting of an edge node, checked.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            $(#[doc = $top_doc])+ pub $top: $top_type,
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $field: $type,)+
            }
        )+

        /// Every setting there is, in the order in which it is shown.
        pub static SETTINGS: &[crate::table::Setting] = &[
            crate::table::Setting {
                section: "",
                path: stringify!($top),
                doc: &[$($top_doc),+],
                default: $top_default,
                secrecy: <$top_type as crate::values::Value>::SECRECY,
                prefix: "",
                name: stringify!($top),
                presets: &[],
                expects: <$top_type as crate::values::Value>::expects,
                hint: <$top_type as crate::values::Value>::hint,
                canonical: crate::table::canonical::<$top_type>,
            },
            $($(
                crate::table::Setting {
                    section: stringify!($section),
                    path: concat!(stringify!($section), ".", stringify!($field)),
                    doc: &[$($doc),+],
                    default: $default,
                    secrecy: <$type as crate::values::Value>::SECRECY,
                    prefix: $prefix,
                    name: stringify!($field),
                    presets: &[$($(
                        (crate::table::preset!($preset), crate::table::preset_value!($given)),
                    )+)?],
                    expects: <$type as crate::values::Value>::expects,
                    hint: <$type as crate::values::Value>::hint,
                    canonical: crate::table::canonical::<$type>,
                },
            )+)+
        ];

        /// What a section is about, line by line.
        pub(crate) fn section_doc(section: &str) -> &'static [&'static str] {
            match section {
                $(stringify!($section) => &[$($section_doc),+],)+
                _ => &[],
            }
        }

        impl Settings {
            /// Builds the settings from the text that `text_of` gives for each path, or nothing if one is
            /// refused.
            pub(crate) fn build<'a>(text_of: impl Fn(&str) -> &'a str) -> Option<Self> {
                use crate::values::Value;
                Some(Self {
                    $top: <$top_type>::parse(text_of(stringify!($top)))?,
                    $($section: $Section {
                        $($field: <$type>::parse(text_of(concat!(stringify!($section), ".", stringify!($field))))?,)+
                    },)+
                })
            }
        }
    };
}
pub(crate) use settings;

/// The preset that a row of the table names.
macro_rules! preset {
    (development) => {
        crate::values::Preset::Development
    };
    (staging) => {
        crate::values::Preset::Staging
    };
    (production) => {
        crate::values::Preset::Production
    };
    (edge) => {
        crate::values::Preset::Edge
    };
    (regional) => {
        crate::values::Preset::Regional
    };
}
pub(crate) use preset;

/// What a row of the table says for a preset: a text, or the word `required`.
macro_rules! preset_value {
    (required) => {
        crate::table::PresetValue::Required
    };
    ($text:literal) => {
        crate::table::PresetValue::Is($text)
    };
}
pub(crate) use preset_value;
