//! Each rule taken out once: a few seeds are enough to notice.

use tests::simulation::{MUTANTS, Noticed, Trace, simulate};

/// Seeds tried before a mutant counts as unnoticed.
const SEEDS: u64 = 120;

#[test]
fn every_mutant_is_noticed() {
    for mutant in MUTANTS {
        let mut noticed = Noticed::default();
        for seed in 1..=SEEDS {
            noticed.add(seed, mutant.under(seed));
            if mutant.stands_alone() && noticed.is_missed() {
                break;
            }
        }
        let Noticed {
            tried,
            broken,
            anyway,
            ..
        } = noticed;
        println!(
            "without {}: {broken} of {tried} seeds break, with it {anyway}",
            mutant.name
        );
        assert!(
            noticed.is_missed(),
            "{} is not missed in {SEEDS} seeds",
            mutant.name
        );
    }
}

/// Rules without which a node serves from memory what its own log contradicts. The floor of a fetch is not among them: memory
/// compares versions itself, so that without it an entry must claim a newer one to be kept, and the log does not contradict that. Neither is the moment from which a lease counts: what it hides is too short-lived for most logs.
const TOLD_BY_THE_LOG: [&str; 4] = ["seen check", "lease check", "gap repair", "cursor reaches head"];

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
