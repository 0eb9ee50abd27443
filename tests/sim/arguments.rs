//! The command line of the simulation.
//!
//! It reads no environment.

use std::num::NonZeroUsize;
use std::ops::Range;

use tests::simulation::Profile;

/// Runs whole fleets under seeded faults and virtual time, and compares every read with the truth.
#[derive(clap::Parser)]
#[command(name = "cargo xtask sim")]
pub(crate) struct Arguments {
    /// Seeds of each profile, or at most of each mutant
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// The first seed; the others follow it one by one
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Threads [default: one for each processor]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Only this profile [default: all]
    #[arg(long, value_parser = profile)]
    profile: Option<Profile>,
    /// Takes every rule of the protocol out once, and shows how many seeds it took to notice
    #[arg(long, conflicts_with = "profile")]
    pub(crate) mutants: bool,
    /// Prints every step of the smallest form of the first failing seed
    #[arg(long)]
    pub(crate) trace: bool,
}

impl Arguments {
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.first_seed..self.first_seed.saturating_add(self.seeds)
    }

    pub(crate) fn jobs(&self) -> usize {
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        jobs.map_or(1, NonZeroUsize::get)
    }

    pub(crate) fn profiles(&self) -> Vec<Profile> {
        self.profile
            .map_or_else(|| Profile::ALL.to_vec(), |one| vec![one])
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.map(Profile::name).join(", ");
    Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == name)
        .ok_or_else(|| format!("expected one of {}", known()))
}
