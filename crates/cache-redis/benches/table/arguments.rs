//! What follows `cargo xtask bench redis`.
//!
//! Cargo's own `--bench` is accepted and means nothing.

use cache_redis::{Servers, Settings};

/// The arguments.
pub(crate) struct Arguments {
    pub(crate) settings: Settings,
    pub(crate) json: bool,
    /// Repetitions of what is measured one by one.
    pub(crate) rounds: usize,
    /// Nothing is measured but how missed events are made up for.
    pub(crate) only_repairs: bool,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut url, mut json, mut rounds, mut only_repairs) = (None, false, 5_000, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--json" => json = true,
                "--quick" => rounds = 500,
                "--only-repairs" => only_repairs = true,
                "--url" => url = words.next(),
                other => return Err(format!("unknown argument {other}; {USAGE}")),
            }
        }
        let url = url.ok_or_else(|| format!("no server is named; {USAGE}"))?;
        let settings = Settings::from_url(&url).map_err(|error| error.to_string())?;
        if !matches!(settings.servers, Servers::Single(_)) {
            return Err(format!("the plain client is measured on one server; {USAGE}"));
        }
        Ok(Self {
            settings: settings.with_prefix(format!("bench-{}", std::process::id())),
            json,
            rounds,
            only_repairs,
        })
    }
}

const USAGE: &str =
    "usage: cargo xtask bench redis -- --url redis://host:port [--quick] [--only-repairs] [--json]";
