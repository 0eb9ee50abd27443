//! What later steps are held to: a demand says "nothing older than this from here on", an answer keeps it or does not.
//!
//! It does not know what demands and answers are made of; three checks are this one with other words.

use std::collections::HashMap;
use std::hash::Hash;

use crate::history::Point;

/// Nothing older than `revision` may come in `group` after `from`.
pub(super) struct Demand<G, R> {
    pub(super) group: G,
    pub(super) revision: R,
    pub(super) from: Point,
    /// From then on it is void.
    pub(super) forgotten: Option<Point>,
}

/// What came.
pub(super) struct Answer<G, R> {
    pub(super) group: G,
    pub(super) revision: R,
    /// Demands from before this bind it …
    pub(super) began: Point,
    /// … if they were not void by then.
    pub(super) ended: Point,
}

/// Answers that broke a demand, each with the highest demand it broke: pairs of indices.
pub(super) fn broken<G: Clone + Eq + Hash, R: Copy + Ord>(
    demands: &[Demand<G, R>],
    answers: &[Answer<G, R>],
) -> Vec<(usize, usize)> {
    let mut groups: HashMap<G, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (index, demand) in demands.iter().enumerate() {
        groups.entry(demand.group.clone()).or_default().0.push(index);
    }
    for (index, answer) in answers.iter().enumerate() {
        if let Some((_, held)) = groups.get_mut(&answer.group) {
            held.push(index);
        }
    }
    let mut broken = Vec::new();
    for (mut binding, mut held) in groups.into_values() {
        binding.sort_by_key(|index| demands[*index].from.tick);
        held.sort_by_key(|index| answers[*index].began.tick);
        let (mut next, mut lasting, mut passing) = (0, None, Vec::new());
        for answer in held {
            while next < binding.len() && demands[binding[next]].from.precedes(answers[answer].began) {
                let demand = binding[next];
                match demands[demand].forgotten {
                    None => lasting = higher(demands, lasting, demand),
                    Some(_) => passing.push(demand),
                }
                next += 1;
            }
            let ended = answers[answer].ended;
            let stands = |demand: &usize| {
                demands[*demand]
                    .forgotten
                    .is_none_or(|forgotten| ended.precedes(forgotten))
            };
            let highest = passing
                .iter()
                .copied()
                .filter(stands)
                .fold(lasting, |highest, demand| higher(demands, highest, demand));
            if let Some(demand) = highest
                && answers[answer].revision < demands[demand].revision
            {
                broken.push((answer, demand));
            }
        }
    }
    broken.sort_by_key(|(answer, _)| answers[*answer].ended.tick);
    broken
}

/// The demand of the higher revision; the earlier one where both are the same.
fn higher<G, R: Ord>(demands: &[Demand<G, R>], known: Option<usize>, other: usize) -> Option<usize> {
    match known {
        Some(known) if demands[known].revision >= demands[other].revision => Some(known),
        _ => Some(other),
    }
}
