//! From command line, file and environment to settings.
//!
//! The layers are read here and judged by the `config` crate, all at once.

use std::ffi::OsString;

use config::{Loaded, Overrides, Sources};

use crate::cli::SettingsArgs;

/// Reads every layer.
///
/// # Errors
/// What is wrong with the settings, all of it, or that the file cannot be read.
pub(crate) fn load(
    args: &SettingsArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, String> {
    let mut sources = Sources::new().environment(environment.into_iter().map(as_text));
    if let Some(path) = &args.config {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
        sources = sources.file(name, text);
    }
    let named = args
        .flags
        .given()
        .fold(Overrides::new(), |all, (name, text)| all.flag(name, text));
    let overrides = args
        .assignments
        .iter()
        .fold(named, |all, assignment| all.set(assignment));
    sources
        .overrides(overrides)
        .load()
        .map_err(|problems| problems.to_string())
}

/// A variable that is not text belongs to another program, or is refused as the setting it was meant to be.
fn as_text((name, value): (OsString, OsString)) -> (String, String) {
    (
        name.to_string_lossy().into_owned(),
        value.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ending, end};

    fn shown(line: &[&str], environment: &[(&str, &str)]) -> (Ending, String, String) {
        let line = [&["edge-node", "config"], line]
            .concat()
            .into_iter()
            .map(OsString::from);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ending = end(line, environment, &mut out, &mut err);
        (
            ending,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn the_settings_are_shown_with_their_origins_and_without_secrets() {
        let environment = [("REDIS_PASSWORD", "open sesame"), ("CACHE_L1_SIZE", "7")];
        let (ending, out, err) = shown(
            &["--show", "--redis-port", "6380", "--set", "redis.db=3"],
            &environment,
        );
        assert_eq!((ending, err.as_str()), (Ending::Well, ""));
        assert!(!out.contains("sesame"), "{out}");
        for (path, value, origin) in [
            ("redis.password", "[redacted]", "environment REDIS_PASSWORD"),
            ("redis.port", "6380", "flag --redis-port"),
            ("redis.db", "3", "flag --set redis.db"),
            ("cache.l1_size", "7", "environment CACHE_L1_SIZE"),
            ("redis.host", "localhost", "default"),
        ] {
            let line = out
                .lines()
                .find(|line| line.starts_with(&format!("{path} ")))
                .unwrap();
            assert!(
                line.contains(&format!("= {value} ")) && line.contains(origin),
                "{line}"
            );
        }
    }

    #[test]
    fn every_problem_is_told_at_once_and_the_ending_is_a_refusal() {
        let (ending, out, err) = shown(
            &["--show", "--redis-port", "99999", "--set", "cache.l1_size=0"],
            &[],
        );
        assert_eq!((ending, out.as_str()), (Ending::Refused, ""));
        assert!(err.starts_with("2 settings are wrong:"), "{err}");
        assert!(
            err.contains("redis.port") && err.contains("cache.l1_size"),
            "{err}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let (ending, _, err) = shown(&["--show", "--config", "no/such.yaml"], &[]);
        assert_eq!(ending, Ending::Refused);
        assert!(err.starts_with("no/such.yaml: cannot be read"), "{err}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_a_problem_and_no_panic() {
        use std::os::unix::ffi::OsStringExt as _;
        let broken = OsString::from_vec(vec![b'7', 0xff]);
        let environment = [
            (OsString::from("REDIS_PORT"), broken.clone()),
            (broken, OsString::from("x")),
        ];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let line = ["edge-node", "config", "--show"].map(OsString::from);
        assert_eq!(end(line, environment, &mut out, &mut err), Ending::Refused);
        assert!(String::from_utf8(err).unwrap().contains("redis.port"));
    }
}
