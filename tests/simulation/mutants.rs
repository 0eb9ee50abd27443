//! Each rule taken out once: a few seeds are enough to notice.

use tests::simulation::{MUTANTS, Trace, Trial, simulate};

/// Seeds tried before a mutant counts as unnoticed.
const SEEDS: u64 = 120;

#[test]
fn every_mutant_is_noticed() {
    for mutant in MUTANTS {
        let noticed = (1..=SEEDS).find(|seed| match mutant.under(*seed) {
            Trial::Unnoticed => false,
            Trial::Noticed(_) => true,
            Trial::BrokenAnyway(verdict) => panic!(
                "seed {seed} breaks {:?} although the rule {} holds: what else is missing is missed by itself",
                verdict.breaches, mutant.name
            ),
        });
        match noticed {
            Some(seed) => println!("without {}: noticed by seed {seed}", mutant.name),
            None => panic!("nothing breaks without {} in {SEEDS} seeds", mutant.name),
        }
    }
}

/// Rules without which a node serves from memory what its own log contradicts.
const TOLD_BY_THE_LOG: [&str; 6] = [
    "in-flight floor",
    "seen check",
    "lease check",
    "gap repair",
    "cursor reaches head",
    "lease from send time",
];

#[test]
fn a_nodes_own_spot_checks_notice_what_the_log_contradicts() {
    for mutant in MUTANTS
        .iter()
        .filter(|mutant| TOLD_BY_THE_LOG.contains(&mutant.name))
    {
        let scenario = mutant.scenario();
        let told = |seed: &u64| simulate(&scenario, *seed, Trace::Off).spot_checks.inconsistent > 0;
        match (1..=SEEDS).find(told) {
            Some(seed) => println!(
                "without {}: told by the nodes themselves under seed {seed}",
                mutant.name
            ),
            None => panic!(
                "no node finds out that {} is missing in {SEEDS} seeds",
                mutant.name
            ),
        }
    }
}
