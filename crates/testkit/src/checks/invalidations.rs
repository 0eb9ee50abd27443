//! G5: no fetch leaves something behind that an invalidation made void before.
//!
//! A place is held to what it knew: a node that has not heard of a change may still keep what is older, for as long as the
//! staleness bound allows.

use super::demands::{Answer, Demand, broken};
use super::{Counterexample, HistoryKey, Promise, Revision};
use crate::history::History;

/// Values that were put where something newer was known to be needed.
#[must_use]
pub fn lost_invalidations<K: HistoryKey, R: Revision>(history: &History<K, R>) -> Vec<Counterexample> {
    let demands: Vec<_> = history
        .invalidations
        .iter()
        .map(|invalidation| Demand {
            group: (invalidation.place, &invalidation.key),
            revision: invalidation.revision,
            from: invalidation.at,
            forgotten: invalidation.forgotten,
        })
        .collect();
    let answers: Vec<_> = history
        .installs
        .iter()
        .map(|install| Answer {
            group: (install.place, &install.key),
            revision: install.revision,
            began: install.at,
            ended: install.at,
        })
        .collect();
    broken(&demands, &answers)
        .into_iter()
        .map(|(install, invalidation)| {
            let (install, known) = (&history.installs[install], &history.invalidations[invalidation]);
            Counterexample {
                promise: Promise::LostInvalidations,
                steps: vec![
                    format!(
                        "{}: {} learns that of {:?} nothing before {:?} is current",
                        known.at, known.place, known.key, known.revision
                    ),
                    format!("{}: {:?} is put there", install.at, install.revision),
                ],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;
    use crate::history::{NodeIndex, Place};

    const MEMORY: Place = Place::Memory(NodeIndex(0));

    #[test]
    fn what_is_new_enough_may_be_put_in_and_a_place_that_knows_nothing_takes_anything() {
        let mut script = Script::default();
        script.install(MEMORY, "a", 1, 1);
        script.invalidate(MEMORY, "a", 2, 2);
        script.install(MEMORY, "a", 2, 3);
        script.install(Place::Shared, "a", 1, 4);
        script.install(MEMORY, "b", 1, 5);
        assert_eq!(lost_invalidations(&script.history), []);
    }

    #[test]
    fn a_late_install_of_what_was_invalidated_is_found() {
        let mut script = Script::default();
        script.invalidate(MEMORY, "a", 2, 2);
        script.install(MEMORY, "a", 1, 3);
        let found = lost_invalidations(&script.history);
        assert_eq!(
            found[0].to_string(),
            "broken: no invalidation is lost\n  \
             0.002000 s: the memory of node 0 learns that of \"a\" nothing before 2 is current\n  \
             0.003000 s: 1 is put there"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_server_that_forgot_an_invalidation_is_not_held_to_it() {
        let mut script = Script::default();
        script.invalidate(Place::Shared, "a", 2, 2);
        let forgotten = Some(script.at(3));
        script.history.invalidations[0].forgotten = forgotten;
        script.install(Place::Shared, "a", 1, 4);
        assert_eq!(lost_invalidations(&script.history), []);
    }
}
