//! The end of a run: once everything has come to rest, every node reads what the system of record holds.
//!
//! It does not decide when that is; whoever ran it knows what was still under way.

use std::collections::{HashMap, HashSet};

use super::{Counterexample, HistoryKey, Promise, Revision};
use crate::history::{Commit, History, NodeIndex, Point};

/// What is not the newest although everything had come to rest at `rest`, or was not read since by everybody who ever read.
///
/// A key that was not looked at proves nothing, so it counts as broken.
#[must_use]
pub fn convergence<K: HistoryKey, R: Revision>(history: &History<K, R>, rest: Point) -> Vec<Counterexample> {
    let mut newest: HashMap<&K, &Commit<K, R>> = HashMap::new();
    for commit in &history.commits {
        let known = newest.entry(&commit.key).or_insert(commit);
        if known.revision < commit.revision {
            *known = commit;
        }
    }
    let (mut found, mut looked) = (Vec::new(), HashSet::new());
    for read in history.reads.iter().filter(|read| !read.began.precedes(rest)) {
        looked.insert((read.node, &read.key));
        let Some(commit) = newest.get(&read.key) else {
            continue;
        };
        if read.revision != commit.revision {
            found.push(counterexample(commit, read.to_string()));
        }
    }
    let nodes: HashSet<NodeIndex> = history.reads.iter().map(|read| read.node).collect();
    let mut nodes: Vec<_> = nodes.into_iter().collect();
    nodes.sort_unstable();
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_by_key(|commit| commit.at.tick);
    for commit in newest {
        let absent = nodes
            .iter()
            .filter(|node| !looked.contains(&(**node, &commit.key)));
        found.extend(absent.map(|node| {
            counterexample(
                commit,
                format!("{node} does not read {:?} after {rest}", commit.key),
            )
        }));
        if nodes.is_empty() {
            found.push(counterexample(
                commit,
                format!("nobody reads {:?} after {rest}", commit.key),
            ));
        }
    }
    found
}

fn counterexample<K: HistoryKey, R: Revision>(commit: &Commit<K, R>, step: String) -> Counterexample {
    Counterexample {
        promise: Promise::Convergence,
        steps: vec![
            format!("{}: {:?} becomes {:?}", commit.at, commit.key, commit.revision),
            step,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn before_the_rest_anything_goes_and_afterwards_only_the_newest() {
        let mut script = Script::default();
        script.commit("a", 1, 1);
        script.commit("a", 2, 2);
        script.read(0, "a", 1, 3..4);
        let rest = script.at(5);
        script.read(0, "a", 2, 6..7);
        assert_eq!(convergence(&script.history, rest), []);
        script.read(0, "a", 1, 8..9);
        let found = convergence(&script.history, rest);
        assert_eq!(
            found[0].to_string(),
            "broken: at rest everybody has the newest\n  \
             0.002000 s: \"a\" becomes 2\n  \
             0.008000 s to 0.009000 s: node 0 reads \"a\" from memory and is shown 1"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_revision_that_was_never_committed_is_found_as_well() {
        let mut script = Script::default();
        script.commit("a", 1, 1);
        let rest = script.at(2);
        script.read(0, "a", 7, 3..4);
        assert_eq!(convergence(&script.history, rest).len(), 1);
    }

    #[test]
    fn a_node_that_does_not_look_proves_nothing() {
        let mut script = Script::default();
        script.commit("a", 1, 1);
        script.read(1, "a", 1, 2..3);
        let rest = script.at(4);
        script.read(0, "a", 1, 5..6);
        let found = convergence(&script.history, rest);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].steps[1], "node 1 does not read \"a\" after 0.004000 s");
        script.history.reads.clear();
        assert_eq!(
            convergence(&script.history, rest)[0].steps[1],
            "nobody reads \"a\" after 0.004000 s"
        );
    }
}
