//! The promises hold in every simulated run.
//!
//! A few seeds here; thousands by `cargo xtask sim`.

use crate::run::{Scenario, TIMING, Trouble, simulate};

/// Seeds of one run: `SIM_FIRST_SEED` and `SIM_SEEDS`, or a few.
fn seeds() -> std::ops::Range<u64> {
    let first = from_outside("SIM_FIRST_SEED", 1);
    first..first + from_outside("SIM_SEEDS", 20)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test binary is a composition root: how long it runs is asked from outside"
)]
fn from_outside(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn hold(trouble: Trouble) {
    let mut scenario = Scenario::new(trouble);
    scenario.traced = from_outside("SIM_TRACE", 0) == 1;
    let (mut reads, mut oldest, mut broken) = (0, std::time::Duration::ZERO, Vec::new());
    for seed in seeds() {
        let verdict = simulate(&scenario, seed);
        reads += verdict.reads;
        oldest = oldest.max(verdict.oldest);
        if !verdict.breaches.is_empty() {
            println!("seed {seed}: {:?}", verdict.breaches);
            broken.push(seed);
        }
    }
    println!(
        "{trouble:?}: {reads} reads over seeds {:?}, oldest {oldest:?} of {:?}",
        seeds(),
        TIMING.lease
    );
    assert!(reads > 0, "nothing was read");
    assert!(
        broken.is_empty(),
        "promises broken under {trouble:?} with seeds {broken:?}; SIM_FIRST_SEED={} SIM_SEEDS=1 reproduces",
        broken[0]
    );
}

#[test]
fn every_promise_holds_on_a_healthy_network() {
    hold(Trouble::None);
}

#[test]
fn every_promise_holds_under_loss_delay_duplication_reordering_freezes_and_partitions() {
    hold(Trouble::Network);
}

#[test]
fn every_promise_holds_when_servers_forget_acknowledged_writes_as_well() {
    hold(Trouble::Failovers);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for trouble in [Trouble::None, Trouble::Network, Trouble::Failovers] {
        let scenario = Scenario::new(trouble);
        let (one, two) = (simulate(&scenario, 7), simulate(&scenario, 7));
        assert_eq!(
            (one.reads, one.oldest),
            (two.reads, two.oldest),
            "under {trouble:?}"
        );
    }
}
