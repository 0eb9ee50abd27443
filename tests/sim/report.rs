//! What the simulation prints.
//!
//! Figures of processor time are the machine's; all others follow from the seeds.

use std::time::Duration;

use comfy_table::{Table, presets};
use tests::simulation::{Breach, Mutant, Noticed, Profile, Scenario, TIMING, Verdict};

/// One profile's figures.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) seeds: u64,
    pub(crate) bad: usize,
    pub(crate) verdict: Verdict,
    pub(crate) processor: Duration,
}

/// Measures the processor time of this process.
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(spent())
    }

    pub(crate) fn processor(&self) -> Duration {
        spent().saturating_sub(self.0)
    }
}

fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = empty(&[
        "profile",
        "seeds",
        "reads",
        "L1 hits",
        "writes",
        "G1",
        "G2",
        "G3",
        "understated",
        "G5",
        "stale at the end",
        "not acknowledged at the end",
        "needless repairs",
        "spot checks",
        "conflicts forgotten",
        "lost updates",
        "bad seeds",
        "oldest",
        "flushes",
        "replays",
        "collapses",
        "reads per CPU second",
    ]);
    for row in rows {
        let verdict = &row.verdict;
        let breaches = |breach| verdict.breaches.get(&breach).copied().unwrap_or(0).to_string();
        table.add_row([
            row.name.to_owned(),
            row.seeds.to_string(),
            verdict.reads.to_string(),
            format!(
                "{:.1} %",
                100.0 * verdict.hits as f64 / verdict.reads.max(1) as f64
            ),
            verdict.writes.to_string(),
            breaches(Breach::OwnWrite),
            breaches(Breach::Backwards),
            breaches(Breach::TooOld),
            breaches(Breach::Understated),
            breaches(Breach::FilledOver),
            breaches(Breach::NeverCaughtUp),
            breaches(Breach::NotAcknowledged),
            breaches(Breach::NeedlessRepair),
            format!(
                "{} of {}",
                verdict.spot_checks.inconsistent,
                verdict.spot_checks.inconsistent + verdict.spot_checks.consistent
            ),
            breaches(Breach::ConflictForgotten),
            breaches(Breach::LostUpdate),
            row.bad.to_string(),
            format!(
                "{} of {} ms",
                verdict.oldest.as_millis(),
                TIMING.lease.as_millis()
            ),
            verdict.flushes.to_string(),
            verdict.replays.to_string(),
            verdict.collapses.to_string(),
            format!("{:.0}", verdict.reads as f64 / row.processor.as_secs_f64()),
        ]);
    }
    table
}

pub(crate) fn mutants(rows: &[(&Mutant, Noticed)]) -> Table {
    let mut table = empty(&[
        "without",
        "profile",
        "first seed",
        "breaks",
        "seeds that break, without it and with it",
    ]);
    for (mutant, noticed) in rows {
        let (seed, breaches) = noticed.first.as_ref().map_or_else(
            || ("NOT NOTICED".to_owned(), String::new()),
            |(seed, verdict)| (seed.to_string(), format!("{:?}", verdict.breaches)),
        );
        let counted = match (mutant.stands_alone(), noticed.is_missed()) {
            (true, _) => String::new(),
            (false, missed) => format!(
                "{} and {} of {}{}",
                noticed.broken,
                noticed.anyway,
                noticed.tried,
                if missed { "" } else { ": NOTHING IS PROVEN" }
            ),
        };
        let name = mutant.name.to_owned();
        table.add_row([name, mutant.profile.name().to_owned(), seed, breaches, counted]);
    }
    table
}

pub(crate) fn reproduction(profile: Profile, seed: u64) -> String {
    format!(
        "The first: cargo xtask sim --profile {} --seed {seed} --trace",
        profile.name()
    )
}

pub(crate) fn description(scenario: &Scenario) -> String {
    format!(
        "{} nodes, {} keys, {} ms, {:?}, {:?}",
        scenario.options.nodes,
        scenario.keys,
        scenario.span.as_millis(),
        scenario.troubles,
        scenario.faults
    )
}

fn empty(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(header.iter().copied());
    table
}
