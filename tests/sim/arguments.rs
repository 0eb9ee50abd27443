//! The command line of the simulation.
//!
//! It reads no environment.

use std::num::NonZeroUsize;
use std::ops::Range;

use tests::simulation::{MUTANTS, Mutant, Profile};

/// Runs whole fleets under seeded faults and virtual time, and compares every read with the truth.
#[derive(clap::Parser)]
#[command(name = "cargo xtask sim")]
pub(crate) struct Arguments {
    /// Seeds of each profile, or at most of each mutant
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed; the others follow it one by one
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Only this seed; with `--trace` every step of a profile's life is printed, whether it fails or not
    #[arg(long, conflicts_with_all = ["seeds", "first_seed"])]
    seed: Option<u64>,
    /// Threads [default: one for each processor]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Only this profile [default: all whose promises are kept]
    #[arg(long, value_parser = profile)]
    profile: Option<Profile>,
    /// Takes every rule of the protocol out once, or the one named, and shows how many seeds it took to notice
    #[arg(long, conflicts_with = "profile", value_name = "NAME", value_parser = mutant)]
    pub(crate) mutants: Option<Option<&'static Mutant>>,
    /// Prints every step of the smallest form of the first failing seed, of a profile or of one mutant
    #[arg(long)]
    pub(crate) trace: bool,
}

impl Arguments {
    pub(crate) fn seeds(&self) -> Range<u64> {
        let (first, count) = self.seed.map_or((self.first_seed, self.seeds), |seed| (seed, 1));
        first..first.saturating_add(count)
    }

    /// How many seeds.
    pub(crate) fn count(&self) -> u64 {
        let seeds = self.seeds();
        seeds.end - seeds.start
    }

    /// The one seed whose every step is to be printed.
    pub(crate) fn traced(&self) -> Option<u64> {
        self.seed.filter(|_| self.trace)
    }

    pub(crate) fn jobs(&self) -> usize {
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        jobs.map_or(1, NonZeroUsize::get)
    }

    pub(crate) fn mutants(&self) -> impl Iterator<Item = &'static Mutant> {
        let named = self.mutants.flatten().map(|mutant| mutant.name);
        MUTANTS
            .iter()
            .filter(move |mutant| named.is_none_or(|name| name == mutant.name))
    }

    pub(crate) fn profiles(&self) -> Vec<Profile> {
        self.profile
            .map_or_else(|| Profile::ALL.to_vec(), |one| vec![one])
    }
}

fn mutant(name: &str) -> Result<&'static Mutant, String> {
    named(name, MUTANTS.iter(), |mutant| mutant.name)
}

fn profile(name: &str) -> Result<Profile, String> {
    let all = Profile::ALL.into_iter().chain(Profile::UNMET);
    named(name, all, |profile| profile.name())
}

/// The one of this name, or the names there are.
fn named<T>(
    name: &str,
    all: impl Iterator<Item = T> + Clone,
    name_of: impl Fn(&T) -> &'static str,
) -> Result<T, String> {
    let known = || {
        all.clone()
            .map(|one| name_of(&one))
            .collect::<Vec<_>>()
            .join(", ")
    };
    all.clone()
        .find(|one| name_of(one) == name)
        .ok_or_else(|| format!("expected one of {}", known()))
}
