//! Settings of all layers: a file, an environment and flags, divided by zero bytes.
//!
//! It does not judge which values are right; the tests of `config` do.

#![no_main]

use config::{Overrides, Sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let (file, environment, flags) = (part(), part(), part());
    let environment = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let overrides = flags
        .lines()
        .fold(Overrides::new(), |overrides, flag| overrides.set(flag));
    let sources = Sources::new()
        .file("fuzzed.yaml", file)
        .environment(environment)
        .overrides(overrides);
    match sources.load() {
        Ok(loaded) => assert!(!loaded.show().is_empty()),
        Err(problems) => assert!(problems.to_string().contains("wrong")),
    }
});
