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
    only: Option<String>,
}

/// What can be measured alone.
pub(crate) const PARTS: [&str; 6] = ["reads", "writes", "events", "lanes", "burst", "repairs"];

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut url, mut only, mut json, mut rounds) = (None, None, false, 5_000);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--json" => json = true,
                "--quick" => rounds = 500,
                "--url" => url = words.next(),
                "--only" => {
                    let part = words.next().unwrap_or_default();
                    if !PARTS.contains(&&*part) {
                        return Err(format!(
                            "--only {part} names none of {}; {USAGE}",
                            PARTS.join(", ")
                        ));
                    }
                    only = Some(part);
                }
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
            only,
        })
    }

    /// Whether this part is to be measured.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

const USAGE: &str =
    "usage: cargo xtask bench redis -- --url redis://host:port [--quick] [--only PART] [--json]";
