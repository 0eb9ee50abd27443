//! G3: what a read is shown lacks nothing that was published longer ago than the bound.
//!
//! It looks at when the read began: what is published while a read is under way may be in it or not.

use std::collections::HashMap;
use std::time::Duration;

use super::{Counterexample, HistoryKey, Promise, Revision};
use crate::history::{History, Publication, Read, Served};

/// How far behind a read may be, by what answered it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Answers of the node's memory.
    pub memory: Duration,
    /// Answers of the shared store.
    pub shared: Duration,
    /// Answers of the system of record.
    pub source: Duration,
    /// Answers that say that they are stale.
    pub stale: Duration,
}

impl Bounds {
    /// What is promised at a lease of L and a deadline of D: L from memory; L + D from the shared store, where a reader may have
    /// joined a fetch that had waited for D; D from the system of record. What says that it is stale is bounded by its policy alone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use testkit::checks::Bounds;
    /// let bounds = Bounds::promised(Duration::from_secs(3), Duration::from_secs(2));
    /// assert_eq!(bounds.shared, Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn promised(lease: Duration, deadline: Duration) -> Self {
        Self {
            memory: lease,
            shared: lease + deadline,
            source: deadline,
            stale: Duration::MAX,
        }
    }

    /// One bound, whatever answers.
    #[must_use]
    pub const fn all(bound: Duration) -> Self {
        Self {
            memory: bound,
            shared: bound,
            source: bound,
            stale: bound,
        }
    }

    const fn of(&self, served: Served) -> Duration {
        match served {
            Served::Memory => self.memory,
            Served::Shared => self.shared,
            Served::Source => self.source,
            Served::Stale => self.stale,
        }
    }
}

/// Reads that lack something published longer ago than the bound, and the longest time by which any read was behind.
///
/// A publication that the servers forgot before the read was over is not asked for.
#[must_use]
pub fn staleness<K: HistoryKey, R: Revision>(
    history: &History<K, R>,
    bounds: Bounds,
) -> (Vec<Counterexample>, Duration) {
    let mut keys: HashMap<&K, Published<'_, K, R>> = HashMap::new();
    for publication in &history.publications {
        keys.entry(&publication.key).or_default().add(publication);
    }
    keys.values_mut().for_each(Published::sort);
    let (mut found, mut longest) = (Vec::new(), Duration::ZERO);
    for read in &history.reads {
        let Some(missing) = keys.get(&read.key).and_then(|key| key.first_missing(read)) else {
            continue;
        };
        let behind = read.began.at.since(missing.at.at);
        longest = longest.max(behind);
        if behind > bounds.of(read.served) {
            found.push(Counterexample {
                promise: Promise::Staleness,
                steps: vec![
                    format!(
                        "{}: {:?} of {:?} is published",
                        missing.at, missing.revision, missing.key
                    ),
                    read.to_string(),
                    format!(
                        "which is {behind:?} behind and may be {:?}",
                        bounds.of(read.served)
                    ),
                ],
            });
        }
    }
    (found, longest)
}

/// What was published of one key.
struct Published<'h, K, R> {
    /// In the order of time, only those that are newer than all before.
    lasting: Vec<&'h Publication<K, R>>,
    /// Those that were forgotten, in any order: few.
    passing: Vec<&'h Publication<K, R>>,
}

impl<K, R> Default for Published<'_, K, R> {
    fn default() -> Self {
        Self {
            lasting: Vec::new(),
            passing: Vec::new(),
        }
    }
}

impl<'h, K, R: Revision> Published<'h, K, R> {
    fn add(&mut self, publication: &'h Publication<K, R>) {
        match publication.forgotten {
            None => self.lasting.push(publication),
            Some(_) => self.passing.push(publication),
        }
    }

    fn sort(&mut self) {
        self.lasting.sort_by_key(|publication| publication.at.tick);
        let mut highest = None;
        self.lasting.retain(|publication| {
            let newer = highest.is_none_or(|highest| highest < publication.revision);
            highest = highest.max(Some(publication.revision));
            newer
        });
    }

    /// The first publication that the read lacks.
    fn first_missing(&self, read: &Read<K, R>) -> Option<&'h Publication<K, R>> {
        let known = |publication: &&Publication<K, R>| publication.revision <= read.revision;
        let lasting = self.lasting.get(self.lasting.partition_point(known));
        let passing = self.passing.iter().filter(|publication| {
            let forgotten = publication
                .forgotten
                .is_some_and(|point| point.precedes(read.ended));
            !forgotten && !known(publication)
        });
        lasting
            .into_iter()
            .chain(passing)
            .copied()
            .min_by_key(|publication| publication.at.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    const BOUND: Bounds = Bounds::all(Duration::from_millis(10));

    #[test]
    fn a_read_may_be_behind_up_to_the_bound_and_not_a_moment_longer() {
        let mut script = Script::default();
        script.publish("a", 2, 100);
        script.read(0, "a", 1, 110..150);
        assert_eq!(
            staleness(&script.history, BOUND),
            (vec![], Duration::from_millis(10))
        );
        script.read(0, "a", 1, 111..112);
        let (found, longest) = staleness(&script.history, BOUND);
        assert_eq!(
            found[0].to_string(),
            "broken: nothing is staler than the bound\n  \
             0.100000 s: 2 of \"a\" is published\n  \
             0.111000 s to 0.112000 s: node 0 reads \"a\" from memory and is shown 1\n  \
             which is 11ms behind and may be 10ms"
        );
        assert_eq!((found.len(), longest), (1, Duration::from_millis(11)));
    }

    #[test]
    fn what_counts_is_the_first_newer_publication_and_not_the_latest() {
        let mut script = Script::default();
        script.publish("a", 2, 100);
        script.publish("a", 3, 120);
        script.publish("a", 2, 125);
        script.read(0, "a", 1, 125..126);
        assert_eq!(staleness(&script.history, BOUND).1, Duration::from_millis(25));
        script.history.reads.clear();
        script.read(0, "a", 2, 125..126);
        assert_eq!(
            staleness(&script.history, BOUND),
            (vec![], Duration::from_millis(5))
        );
    }

    #[test]
    fn what_answers_decides_the_bound() {
        let bounds = Bounds::promised(Duration::from_millis(30), Duration::from_millis(20));
        let mut script = Script::default();
        script.publish("a", 2, 100);
        for served in [Served::Memory, Served::Shared, Served::Source] {
            script.read(0, "a", 1, 140..141);
            script.history.reads.last_mut().expect("just pushed").served = served;
        }
        let (found, _) = staleness(&script.history, bounds);
        let told: Vec<_> = found.iter().map(|found| found.steps[2].as_str()).collect();
        assert_eq!(
            told,
            [
                "which is 40ms behind and may be 30ms",
                "which is 40ms behind and may be 20ms"
            ]
        );
    }

    #[test]
    fn what_the_servers_forgot_is_asked_for_only_until_then() {
        let mut script = Script::default();
        script.publish("a", 2, 100);
        script.read(0, "a", 1, 120..121);
        let forgotten = Some(script.at(122));
        script.history.publications[0].forgotten = forgotten;
        script.read(0, "a", 1, 130..131);
        let (found, longest) = staleness(&script.history, BOUND);
        assert_eq!((found.len(), longest), (1, Duration::from_millis(20)));
    }
}
