//! The name that somebody probably meant.
//!
//! Deliberately silent rather than wrong: a far-fetched suggestion costs more time than none.

/// `; did you mean X?` if one of the known names is near, else nothing.
pub(crate) fn did_you_mean(name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.filter_map(|candidate| Some((distance(name, &candidate)?, candidate)));
    let nearest = near.min_by_key(|(distance, _)| *distance);
    nearest
        .map(|(_, candidate)| format!("; did you mean {candidate}?"))
        .unwrap_or_default()
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
