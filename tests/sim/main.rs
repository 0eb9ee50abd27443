//! The program behind `cargo xtask sim`: the simulation over many seeds, as a table.
//!
//! It judges nothing itself; exit code 1 says that a promise was broken, or that a mutant was not noticed.

mod arguments;
mod report;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use tests::simulation::{Mutant, Noticed, Scenario, Trace, Verdict, shrink, simulate};

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
    if let (true, [(mutant, noticed)]) = (arguments.trace, &rows[..]) {
        trace(mutant, noticed);
    }
    rows.iter().all(|(_, noticed)| noticed.is_missed())
}

/// Prints every step of the first seed that breaks: of its smallest form, unless that may break for want of another rule.
fn trace(mutant: &Mutant, noticed: &Noticed) {
    let Some((seed, _)) = noticed.first else { return };
    let scenario = if mutant.stands_alone() {
        shrink(mutant.scenario(), seed)
    } else {
        mutant.scenario()
    };
    println!("Seed {seed}: {}", report::description(&scenario));
    simulate(&scenario, seed, Trace::On);
}

/// Tries a mutant: up to the first seed that breaks, or all seeds where another rule stands in for this one.
fn noticed(mutant: &'static Mutant, arguments: &Arguments) -> Noticed {
    let noticed = Mutex::new(Noticed::default());
    each_seed(mutant.name, arguments, |seed| {
        // Seeds are handed out in order: those before the first that breaks are already being tried.
        if mutant.stands_alone() && noticed.lock().expect("no run panics").first.is_some() {
            return ControlFlow::Break(());
        }
        let trial = mutant.under(seed);
        noticed.lock().expect("no run panics").add(seed, trial);
        ControlFlow::Continue(())
    });
    noticed.into_inner().expect("no run panics")
}

/// Tries the seeds in order, on as many threads as asked for, until one says that it is enough. One that panics is named.
fn each_seed(name: &'static str, arguments: &Arguments, try_one: impl Fn(u64) -> ControlFlow<()> + Sync) {
    let seeds = arguments.seeds();
    let (bar, next) = (bar(name, arguments.count()), AtomicU64::new(seeds.start));
    let try_one = |seed| {
        catch_unwind(AssertUnwindSafe(|| try_one(seed))).unwrap_or_else(|panic| {
            eprintln!("{name} panics with seed {seed}");
            resume_unwind(panic)
        })
    };
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
