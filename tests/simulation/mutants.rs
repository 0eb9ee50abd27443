//! Each rule taken out once: the simulation must notice.
//!
//! The load deadline, the lease from send time and the check of the era need a rarer coincidence than a few seeds
//! bring; their tests are the follower's own.

use std::sync::Arc;

use edge_cache::{Rule, Rules};

use crate::run::{Scenario, Trouble, simulate};
use crate::wraps::{WithoutFillLease, WithoutInFlightFloor};

/// Seeds tried before a mutant counts as unnoticed.
const SEEDS: u64 = 40;

fn is_noticed(name: &str, scenario: &Scenario) {
    for seed in 1..=SEEDS {
        let verdict = simulate(scenario, seed);
        if !verdict.breaches.is_empty() {
            println!("without {name}: seed {seed} breaks {:?}", verdict.breaches);
            return;
        }
    }
    panic!("nothing breaks without {name} in {SEEDS} seeds");
}

fn without(rule: Rule, trouble: Trouble) {
    let mut scenario = Scenario::new(trouble);
    scenario.options.rules = Rules::without(rule);
    is_noticed(&format!("{rule:?}"), &scenario);
}

#[test]
fn seen_check() {
    without(Rule::SeenCheck, Trouble::Network);
}

#[test]
fn lease_check() {
    without(Rule::LeaseCheck, Trouble::Network);
}

#[test]
fn gap_repair() {
    without(Rule::GapRepair, Trouble::Network);
}

#[test]
fn cursor_reaches_head() {
    without(Rule::CursorReachesHead, Trouble::Network);
}

#[test]
fn lease_for_any_copy() {
    without(Rule::LeaseForAnyCopy, Trouble::Network);
}

#[test]
fn identity_and_chain() {
    without(Rule::IdentityAndChain, Trouble::Failovers);
}

#[test]
fn in_flight_floor() {
    let mut scenario = Scenario::new(Trouble::Network);
    scenario.options.local = Some(Arc::new(|inner| Arc::new(WithoutInFlightFloor(inner))));
    is_noticed("the in-flight floor", &scenario);
}

#[test]
fn fill_lease() {
    let mut scenario = Scenario::new(Trouble::Network);
    scenario.options.shared = Some(Arc::new(|inner| Arc::new(WithoutFillLease(inner))));
    is_noticed("the fill lease", &scenario);
}
