//! The program behind `cargo xtask sim`: the simulation over many seeds, as a table.
//!
//! It judges nothing itself; exit code 1 says that a promise was broken, or that a mutant was not noticed.

mod arguments;
mod report;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use tests::simulation::{MUTANTS, Scenario, Trace, Verdict, shrink, simulate};

use arguments::Arguments;
use report::Row;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sound = if arguments.mutants {
        mutants(&arguments)
    } else {
        profiles(&arguments)
    };
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs every profile over all seeds; tells whether every promise held.
fn profiles(arguments: &Arguments) -> bool {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for profile in arguments.profiles() {
        let scenario = Scenario::of(profile);
        let (row, failures) = run(profile.name(), &scenario, arguments);
        rows.push(row);
        failed.extend(failures.into_iter().map(|seed| (profile, seed)));
    }
    println!("{}", report::table(&rows));
    if let Some((profile, seed)) = failed.first() {
        let small = shrink(Scenario::of(*profile), *seed);
        println!(
            "{} seeds break a promise. {}",
            failed.len(),
            report::reproduction(*profile, *seed)
        );
        println!("Its smallest form: {}", report::description(&small));
        if arguments.trace {
            simulate(&small, *seed, Trace::On);
        }
    }
    failed.is_empty()
}

/// Runs one scenario over all seeds, on as many threads as asked for; tells which seeds broke a promise.
fn run(name: &'static str, scenario: &Scenario, arguments: &Arguments) -> (Row, Vec<u64>) {
    let seeds = arguments.seeds();
    let bar = bar(name, arguments.seeds);
    let (next, started) = (AtomicU64::new(seeds.start), report::Stopwatch::start());
    let (sum, failed) = (Mutex::new(Verdict::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _job in 0..arguments.jobs() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let verdict = simulate(scenario, seed, Trace::Off);
                    sum.lock().expect("no run panics").add(&verdict);
                    if !verdict.breaches.is_empty() {
                        failed.lock().expect("no run panics").push(seed);
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let verdict = sum.into_inner().expect("no run panics");
    let mut failed = failed.into_inner().expect("no run panics");
    failed.sort_unstable();
    let row = Row {
        name,
        seeds: arguments.seeds,
        bad: failed.len(),
        verdict,
        processor: started.processor(),
    };
    (row, failed)
}

/// Takes every rule out once; tells whether all were missed within the seeds.
fn mutants(arguments: &Arguments) -> bool {
    let seeds = arguments.seeds();
    let mut rows = Vec::new();
    for mutant in MUTANTS {
        let bar = bar(mutant.name, arguments.seeds);
        let noticed = seeds
            .clone()
            .inspect(|_| bar.inc(1))
            .find_map(|seed| Some((seed, mutant.noticed_by(seed)?)));
        bar.finish_and_clear();
        rows.push((
            mutant,
            noticed.map(|(seed, verdict)| (seed - seeds.start + 1, verdict)),
        ));
    }
    println!("{}", report::mutants(&rows));
    rows.iter().all(|(_, noticed)| noticed.is_some())
}

fn bar(name: &'static str, seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>20} {wide_bar} {pos}/{len} seeds, {eta} left");
    ProgressBar::new(seeds)
        .with_style(style.expect("the template is valid"))
        .with_message(name)
}
