//! The program behind `cargo xtask sim`: the simulation over many seeds, as a table.
//!
//! It judges nothing itself; exit code 1 says that a promise was broken, or that a mutant was not noticed.

mod arguments;
mod report;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use tests::simulation::{Mutant, Scenario, Trace, Trial, Verdict, shrink, simulate};

use arguments::Arguments;
use report::Row;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sound = if arguments.mutants.is_some() {
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
        if let Some(seed) = arguments.traced() {
            simulate(&scenario, seed, Trace::On);
        }
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

/// Runs one scenario over all seeds; tells which of them broke a promise.
fn run(name: &'static str, scenario: &Scenario, arguments: &Arguments) -> (Row, Vec<u64>) {
    let started = report::Stopwatch::start();
    let (sum, failed) = (Mutex::new(Verdict::default()), Mutex::new(Vec::new()));
    each_seed(name, arguments, |seed| {
        let verdict = simulate(scenario, seed, Trace::Off);
        sum.lock().expect("no run panics").add(&verdict);
        if !verdict.breaches.is_empty() {
            failed.lock().expect("no run panics").push(seed);
        }
        ControlFlow::Continue(())
    });
    let mut failed = failed.into_inner().expect("no run panics");
    failed.sort_unstable();
    let row = Row {
        name,
        seeds: arguments.count(),
        bad: failed.len(),
        verdict: sum.into_inner().expect("no run panics"),
        processor: started.processor(),
    };
    (row, failed)
}

/// Takes every rule out once; tells whether all were missed within the seeds.
fn mutants(arguments: &Arguments) -> bool {
    let rows: Vec<_> = arguments
        .mutants()
        .map(|mutant| (mutant, noticed(mutant, arguments)))
        .collect();
    println!("{}", report::mutants(&rows));
    if let (true, [(mutant, Some((seed, Trial::Noticed(_))))]) = (arguments.trace, &rows[..]) {
        let small = shrink(mutant.scenario(), *seed);
        println!(
            "The smallest form of seed {seed}: {}",
            report::description(&small)
        );
        simulate(&small, *seed, Trace::On);
    }
    rows.iter()
        .all(|(_, noticed)| matches!(noticed, Some((_, Trial::Noticed(_)))))
}

/// The first seed under which anything breaks, and what that says.
fn noticed(mutant: &'static Mutant, arguments: &Arguments) -> Option<(u64, Trial)> {
    let first = Mutex::new(None::<(u64, Trial)>);
    let is_first =
        |seed: u64, first: &Option<(u64, Trial)>| first.as_ref().is_none_or(|(other, _)| seed < *other);
    each_seed(mutant.name, arguments, |seed| {
        // Seeds are handed out in order: those that come before the first one found are already being tried.
        if !is_first(seed, &first.lock().expect("no run panics")) {
            return ControlFlow::Break(());
        }
        let trial = mutant.under(seed);
        let mut first = first.lock().expect("no run panics");
        if !matches!(trial, Trial::Unnoticed) && is_first(seed, &first) {
            *first = Some((seed, trial));
        }
        ControlFlow::Continue(())
    });
    first.into_inner().expect("no run panics")
}

/// Tries the seeds in order, on as many threads as asked for, until one says that it is enough.
fn each_seed(name: &'static str, arguments: &Arguments, try_one: impl Fn(u64) -> ControlFlow<()> + Sync) {
    let seeds = arguments.seeds();
    let (bar, next) = (bar(name, arguments.count()), AtomicU64::new(seeds.start));
    std::thread::scope(|scope| {
        for _job in 0..arguments.jobs() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) || try_one(seed).is_break() {
                        return;
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
}

fn bar(name: &'static str, seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>20} {wide_bar} {pos}/{len} seeds, {eta} left");
    ProgressBar::new(seeds)
        .with_style(style.expect("the template is valid"))
        .with_message(name)
}
