//! Each rule taken out once: a few seeds are enough to notice.

use tests::simulation::MUTANTS;

/// Seeds tried before a mutant counts as unnoticed.
const SEEDS: u64 = 120;

#[test]
fn every_mutant_is_noticed() {
    for mutant in MUTANTS {
        let noticed = (1..=SEEDS).find(|seed| mutant.noticed_by(*seed).is_some());
        match noticed {
            Some(seed) => println!("without {}: noticed by seed {seed}", mutant.name),
            None => panic!("nothing breaks without {} in {SEEDS} seeds", mutant.name),
        }
    }
}
