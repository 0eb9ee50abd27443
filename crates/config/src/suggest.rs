//! The name that somebody probably meant.
//!
//! Deliberately silent rather than wrong: a far-fetched suggestion costs more time than none.

use crate::table::Setting;

/// `; did you mean X?` if one of the known names is near, else nothing.
pub(crate) fn did_you_mean(name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.filter_map(|candidate| Some((distance(name, &candidate)?, candidate)));
    let nearest = near.min_by_key(|(distance, _)| *distance);
    nearest
        .map(|(_, candidate)| format!("; did you mean {candidate}?"))
        .unwrap_or_default()
}

/// `; did you mean X?` if one of the words that may be chosen is near or begins alike, as `prod` does for `production`.
pub(crate) fn did_you_choose(text: &str, words: &[&str]) -> String {
    let text = text.trim().to_lowercase();
    let alike = |word: &&&str| {
        let common = text
            .chars()
            .zip(word.chars())
            .take_while(|(one, other)| one == other);
        common.count() >= 3
    };
    match words.iter().find(alike) {
        // One or two letters may be the beginning of anything.
        _ if text.len() < 3 => String::new(),
        Some(word) => format!("; did you mean {word}?"),
        None => did_you_mean(&text, words.iter().map(|word| (*word).to_owned())),
    }
}

/// What settings are called elsewhere, in small letters with underscores, and what they are here.
const ELSEWHERE: [(&[&str], &[&str]); 5] = [
    (
        &[
            "redis_url",
            "redis_uri",
            "redis_addr",
            "redis_address",
            "redis_endpoint",
        ],
        &[
            "redis.host",
            "redis.port",
            "redis.db",
            "redis.user",
            "redis.password",
            "redis.ssl",
        ],
    ),
    (&["redis_username"], &["redis.user"]),
    (&["redis_database"], &["redis.db"]),
    (&["redis_auth", "redis_pass", "redis_passwd"], &["redis.password"]),
    (&["redis_tls", "redis_use_ssl", "redis_use_tls"], &["redis.ssl"]),
];

/// `; set X here` if the name is what others call a setting, with the settings named as `named` has them.
pub(crate) fn called_elsewhere(name: &str, named: fn(&Setting) -> String) -> Option<String> {
    let name = name
        .trim_start_matches('-')
        .to_lowercase()
        .replace(['.', '-'], "_");
    let (_, paths) = ELSEWHERE
        .iter()
        .find(|(names, _)| names.contains(&name.as_str()))?;
    let here: Vec<_> = paths
        .iter()
        .filter_map(|path| Setting::find(path))
        .map(named)
        .collect();
    Some(match &here[..] {
        [one] => format!("; it is {one} here"),
        parts => format!("; an address is set in its parts here: {}", parts.join(", ")),
    })
}

/// How many slips lie between two names, or `None` if they are not near.
///
/// Near means one slip, and one more for every ten letters; or the right name in the wrong section, such as
/// `cache.port` for `redis.port`.
fn distance(name: &str, candidate: &str) -> Option<usize> {
    let (name, candidate) = (name.to_lowercase(), candidate.to_lowercase());
    let distance = strsim::osa_distance(&name, &candidate);
    let in_section = |path: &str| path.split_once('.').map(|(_, rest)| rest.to_owned());
    let misplaced = in_section(&name).is_some() && in_section(&name) == in_section(&candidate);
    (misplaced || distance <= 1 + name.len() / 10).then_some(distance)
}
