//! G2: what one node reads of one key never goes back.
//!
//! Reads that overlap may be shown anything in any order; only a read that began after another was over is held to it.

use super::demands::{Answer, Demand, broken};
use super::{Counterexample, HistoryKey, Promise, Revision};
use crate::history::History;

/// Reads that were shown something older than what an earlier read of the same node and key was shown.
#[must_use]
pub fn monotonic_reads<K: HistoryKey, R: Revision>(history: &History<K, R>) -> Vec<Counterexample> {
    let demands: Vec<_> = history
        .reads
        .iter()
        .map(|read| Demand {
            group: (read.node, &read.key),
            revision: read.revision,
            from: read.ended,
            forgotten: None,
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
        .map(|(later, earlier)| Counterexample {
            promise: Promise::MonotonicReads,
            steps: vec![
                history.reads[earlier].to_string(),
                history.reads[later].to_string(),
            ],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn a_node_may_see_the_same_and_newer_things_and_another_node_older_ones() {
        let mut script = Script::default();
        script.read(0, "a", 2, 1..2);
        script.read(0, "a", 2, 3..4);
        script.read(0, "a", 7, 5..6);
        script.read(1, "a", 3, 7..8);
        assert_eq!(monotonic_reads(&script.history), []);
    }

    #[test]
    fn a_read_that_goes_back_is_found_even_if_another_came_between() {
        let mut script = Script::default();
        script.read(0, "a", 7, 1..2);
        script.read(0, "b", 1, 3..4);
        script.read(0, "a", 6, 5..6);
        let found = monotonic_reads(&script.history);
        assert_eq!(
            found[0].to_string(),
            "broken: reads never go back\n  \
             0.001000 s to 0.002000 s: node 0 reads \"a\" from memory and is shown 7\n  \
             0.005000 s to 0.006000 s: node 0 reads \"a\" from memory and is shown 6"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn what_comes_first_at_one_moment_is_told_by_the_order_of_recording() {
        let mut script = Script::default();
        script.read(0, "a", 7, 1..1);
        script.read(0, "a", 6, 1..1);
        assert_eq!(monotonic_reads(&script.history).len(), 1);
        let mut overlapping = Script::default();
        overlapping.overlapping_read(0, "a", 6, 1, |script| script.read(0, "a", 7, 1..1), 1);
        assert_eq!(monotonic_reads(&overlapping.history), []);
    }
}
