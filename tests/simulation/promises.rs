//! The promises hold in every simulated run, under every profile.

use tests::simulation::{MAX_STALE, Profile, Scenario, TIMING, Trace, Verdict, simulate};

/// Seeds of each profile.
const SEEDS: u64 = 60;

#[test]
fn every_promise_holds_under_every_profile() {
    for profile in Profile::ALL {
        let (scenario, mut sum) = (Scenario::of(profile), Verdict::default());
        for seed in 1..=SEEDS {
            let verdict = simulate(&scenario, seed, Trace::Off);
            assert!(
                verdict.breaches.is_empty(),
                "{:?} under {profile:?} with seed {seed}: cargo xtask sim --profile {} --seed {seed} --trace",
                verdict.breaches,
                profile.name(),
            );
            sum.add(&verdict);
        }
        assert!(sum.reads > 500 * SEEDS, "hardly anything was read: {sum:?}");
        let bound = match profile {
            Profile::Stale => MAX_STALE,
            _nothing_stale_is_served => TIMING.lease,
        };
        assert!(sum.oldest <= bound, "{sum:?}");
        assert!(
            sum.spot_checks.consistent > SEEDS,
            "hardly anything was checked: {sum:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for profile in Profile::ALL {
        let scenario = Scenario::of(profile);
        let [one, two] = [(); 2].map(|()| simulate(&scenario, 7, Trace::Off));
        assert_eq!(format!("{one:?}"), format!("{two:?}"), "under {profile:?}");
    }
}
