//! Two judges look at the same runs: the simulation's own, which judges each read as it ends, and testkit's checks of the
//! history. They share what records and nothing of what judges, and must count the same breaches.

use std::collections::BTreeMap;

use testkit::checks::Promise;
use tests::simulation::{Breach, MUTANTS, Profile, Scenario, Verdict, record};

/// Seeds of each scenario: as many as it takes until most mutants have broken something.
const SEEDS: u64 = 26;

/// What both judge.
const BOTH: [(Breach, Promise); 5] = [
    (Breach::OwnWrite, Promise::OwnWrites),
    (Breach::Backwards, Promise::MonotonicReads),
    (Breach::TooOld, Promise::Staleness),
    (Breach::FilledOver, Promise::LostInvalidations),
    (Breach::NeverCaughtUp, Promise::Convergence),
];

/// Runs a scenario under a few seeds; returns how often both judges found each promise broken.
fn both_agree(what: &str, scenario: &Scenario) -> BTreeMap<Promise, u64> {
    let mut found = BTreeMap::new();
    for seed in 1..=SEEDS {
        let (verdict, recording) = record(scenario, seed);
        assert_eq!(recording.reads() as u64, verdict.reads);
        let examples = recording.counterexamples();
        let unacknowledged = count(&verdict, Breach::NotAcknowledged) > 0;
        for (breach, promise) in BOTH {
            // A fleet that acknowledges nothing at rest is not asked what it holds in the end.
            if unacknowledged && promise == Promise::Convergence {
                continue;
            }
            let theirs = examples.iter().filter(|example| example.promise == promise);
            let (ours, theirs) = (count(&verdict, breach), theirs.count() as u64);
            assert_eq!(
                ours,
                theirs,
                "{what}, seed {seed}, {promise}: {:#?}",
                examples.first()
            );
            *found.entry(promise).or_default() += ours;
        }
    }
    found
}

fn count(verdict: &Verdict, breach: Breach) -> u64 {
    verdict.breaches.get(&breach).copied().unwrap_or(0)
}

#[test]
fn neither_judge_finds_anything_in_a_sound_fleet() {
    for profile in Profile::ALL {
        let found = both_agree(profile.name(), &Scenario::of(profile));
        assert!(found.values().all(|count| *count == 0), "{profile:?}: {found:?}");
    }
}

#[test]
fn both_judges_count_the_same_breaches_of_every_mutant() {
    let (mut sum, mut breaking) = (BTreeMap::<Promise, u64>::new(), 0);
    for mutant in MUTANTS {
        let found = both_agree(mutant.name, &mutant.scenario());
        breaking += usize::from(found.values().any(|count| *count > 0));
        for (promise, count) in found {
            *sum.entry(promise).or_default() += count;
        }
    }
    println!(
        "{breaking} of {} mutants break what both judge: {sum:?}",
        MUTANTS.len()
    );
    assert!(
        sum.values().all(|count| *count > 0),
        "the mutants break each promise: {sum:?}"
    );
    assert!(
        breaking * 4 > MUTANTS.len() * 3,
        "only {breaking} mutants break anything"
    );
}
