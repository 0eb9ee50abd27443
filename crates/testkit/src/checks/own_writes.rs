//! G1: a node reads its own writes.
//!
//! What other nodes wrote is no matter here, nor is how long anything took.

use super::demands::{Answer, Demand, broken};
use super::{Counterexample, HistoryKey, Promise, Revision};
use crate::history::History;

/// Reads that lack a write of their own node which was acknowledged before they began.
///
/// A write that the servers forgot before the read was over is not asked for.
#[must_use]
pub fn own_writes<K: HistoryKey, R: Revision>(history: &History<K, R>) -> Vec<Counterexample> {
    let demands: Vec<_> = history
        .acknowledgements
        .iter()
        .map(|write| Demand {
            group: (write.node, &write.key),
            revision: write.revision,
            from: write.at,
            forgotten: write.forgotten,
        })
        .collect();
    let answers: Vec<_> = history
        .reads
        .iter()
        .map(|read| Answer {
            group: (read.node, &read.key),
            revision: read.revision,
            began: read.began,
            ended: read.ended,
        })
        .collect();
    broken(&demands, &answers)
        .into_iter()
        .map(|(read, write)| {
            let (read, write) = (&history.reads[read], &history.acknowledgements[write]);
            Counterexample {
                promise: Promise::OwnWrites,
                steps: vec![
                    format!(
                        "{}: {} is told that the own write of {:?} to {:?} is done",
                        write.at, write.node, write.revision, write.key
                    ),
                    read.to_string(),
                ],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn a_read_after_the_acknowledgement_may_have_the_write_or_something_newer() {
        let mut script = Script::default();
        script.acknowledge(0, "a", 4, 10);
        script.read(0, "a", 4, 11..12);
        script.read(0, "a", 5, 13..14);
        assert_eq!(own_writes(&script.history), []);
    }

    #[test]
    fn a_read_without_the_own_write_is_found_and_told_in_order() {
        let mut script = Script::default();
        script.acknowledge(0, "a", 4, 10);
        script.acknowledge(0, "a", 3, 11);
        script.read(0, "a", 3, 12..13);
        let found = own_writes(&script.history);
        assert_eq!(
            found[0].to_string(),
            "broken: a node reads its own writes\n  \
             0.010000 s: node 0 is told that the own write of 4 to \"a\" is done\n  \
             0.012000 s to 0.013000 s: node 0 reads \"a\" from memory and is shown 3"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn neither_a_read_that_began_before_nor_another_node_or_key_is_held_to_it() {
        let mut script = Script::default();
        script.overlapping_read(0, "a", 3, 9, |script| script.acknowledge(0, "a", 4, 10), 12);
        script.read(1, "a", 3, 13..14);
        script.read(0, "b", 3, 15..16);
        assert_eq!(own_writes(&script.history), []);
    }

    #[test]
    fn a_write_that_was_forgotten_binds_only_until_then() {
        let mut script = Script::default();
        script.acknowledge(0, "a", 4, 10);
        script.read(0, "a", 3, 11..12);
        let forgotten = Some(script.at(13));
        script.history.acknowledgements[0].forgotten = forgotten;
        script.read(0, "a", 3, 14..15);
        let found = own_writes(&script.history);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].steps[1].starts_with("0.011"), "{}", found[0]);
    }
}
