//! One run from start to report: who is started, in which order everybody stops, and what is gathered.
//!
//! It measures nothing itself.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cache_core::Clock as _;
use edge_cache::SpotCheckTally;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use marketplace::inventory::GpuRecord;
use marketplace::{Completeness, GpuModel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::bookers::Tenants;
use super::clock::MarketClock;
use super::fleet::{Fleet, TIMING};
use super::inputs::Inputs;
use super::launch::{
    has_died, start_buyers, start_death_of_a_master, start_followers, start_storm, start_subscribers,
};
use super::readers::{Live, Seen};
use super::report::{
    Bookings, Check, Content, Delay, Events, Latencies, Latency, Reads, Report, Schedule, SpotChecks,
    Staleness, millis, share,
};
use super::schedule::Planned;
use super::signals::unless_stopped;
use super::spans::Spans;
use super::truth::Truth;
use super::{checks, content, schedule};
use crate::cli::DemoArgs;

/// How long the tasks may take beyond the run before it is ended without them.
const GRACE: Duration = Duration::from_secs(15);
/// How long anybody may take to stop once told to.
const FAREWELL: Duration = Duration::from_secs(10);
/// How often the progress is shown and memory is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Runs the demonstration, until its end or until it is told to stop. Whatever comes of it, nothing is left on a server that can
/// be reached.
pub(super) async fn run(
    args: &DemoArgs,
    inputs: Inputs,
    clock: MarketClock,
    stop: CancellationToken,
) -> Result<Report, String> {
    let shards = match &args.redis {
        Some(settings) => settings.shards,
        None if args.cluster => cache_redis::Servers::CLUSTER_SHARDS,
        None => cache_core::ShardCount::DEFAULT,
    };
    let truth = Arc::new(Truth::new(shards));
    let backend = unless_stopped(&stop, Backend::start(args, &truth, clock.shared())).await?;
    let backend = Arc::new(backend);
    let report = run_on(Arc::clone(&backend), truth, args, inputs, clock, &stop).await;
    if let Err(error) = backend.clean().await {
        // The report is worth more than a tidy server.
        eprintln!("{error}");
    }
    report
}

async fn run_on(
    backend: Arc<Backend>,
    truth: Arc<Truth>,
    args: &DemoArgs,
    inputs: Inputs,
    clock: MarketClock,
    stop: &CancellationToken,
) -> Result<Report, String> {
    let Inputs { stock, tasks, notes } = inputs;
    let planned = schedule::compressed(&tasks, args.duration);
    let gpus = stock.gpus.clone();
    let building = Fleet::build(args, stock.gpus, clock, truth, backend);
    let fleet = Arc::new(unless_stopped(stop, building).await?);
    let report = match unless_stopped(stop, fleet.ready()).await {
        Ok(()) => measured(args, &fleet, gpus, planned, notes.skipped, stop).await,
        Err(problem) => Err(problem),
    };
    if report.is_err() {
        // Nodes that go on would lay out anew what is removed.
        unless_ended("the nodes", fleet.shutdown()).await;
    }
    report
}

async fn measured(
    args: &DemoArgs,
    fleet: &Arc<Fleet>,
    gpus: Vec<GpuRecord>,
    planned: Vec<Planned>,
    skipped_rows: usize,
    stop: &CancellationToken,
) -> Result<Report, String> {
    let models: Vec<GpuModel> = gpus.iter().map(|gpu| gpu.model.clone()).collect();
    let listed = gpus.len();
    let started = fleet.clock.shared().now();
    let [stop_buyers, stop_followers, stop_subscribers] = std::array::from_fn(|_| CancellationToken::new());

    let live = Arc::new(Live::default());
    let subscribers = start_subscribers(fleet, &stop_subscribers);
    let followers = start_followers(fleet, &stop_followers);
    let storm = start_storm(args, fleet, &stop_buyers);
    let buyers = start_buyers(args, fleet, &gpus, &live, &stop_buyers);
    let tenants = Arc::new(Tenants::of(Arc::clone(fleet), models));
    let total = planned.len();
    let mut tasks: JoinSet<()> = planned
        .into_iter()
        .enumerate()
        .map(|(number, task)| Arc::clone(&tenants).live(number, task))
        .collect();

    let mut memory = BTreeMap::new();
    let death = start_death_of_a_master(args, fleet);
    let ending = supervise(
        args.duration,
        &mut tasks,
        &tenants,
        &live,
        fleet,
        &mut memory,
        stop,
    )
    .await;
    tasks.shutdown().await;
    stop_buyers.cancel();
    let mut seen = Seen::default();
    join_all(buyers)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .for_each(|one| seen.merge(one));
    let ended = fleet.clock.shared().now();
    join_all(storm).await;
    stop_followers.cancel();
    let mut lingering = Vec::new();
    lingering.extend(unless_ended("the followers of the change log", join_all(followers)).await);

    let (log, completeness) = checks::whole_log(&*fleet.records.ledger).await?;
    let statistics = tokio::time::timeout(FAREWELL, fleet.nodes[0].market.market_stats(None)).await;
    let states = statistics
        .ok()
        .and_then(Result::ok)
        .map(|answer| answer.value.states);
    note_memory(fleet, &mut memory);
    let events = events(fleet);
    let (spot_checks, canary_age_ms) = own_findings(fleet);
    lingering.extend(unless_ended("the nodes", fleet.shutdown()).await);
    stop_subscribers.cancel();
    let mut propagation = Spans::new();
    join_all(subscribers)
        .await
        .iter()
        .flatten()
        .for_each(|spans| propagation.merge(spans));
    let mut invalidation = Spans::new();
    fleet
        .nodes
        .iter()
        .for_each(|node| invalidation.merge(&node.memory.delays()));

    let mut checks = checks::promises(&log, &fleet.recorder.history(), listed as u64, states);
    checks.push(Check::that(
        "the change log reaches back to its start",
        completeness == Completeness::Complete,
    ));
    if let Some(death) = death {
        checks.push(has_died(death).await);
    }
    checks.push(Check::that("everybody stops when told", lingering.is_empty()).because(lingering.join(", ")));
    let told = tenants.told();
    let compared = content::compare(&log, &told, &seen.sightings, &fleet.clock, TIMING.lease);
    let counts = tenants.counts();
    Ok(Report {
        nodes: args.nodes.total(),
        regions: args
            .nodes
            .regions()
            .iter()
            .map(|(region, nodes)| (region.to_string(), *nodes))
            .collect(),
        gpus: listed,
        bookings: Bookings {
            attempted: counts.attempted.load(Relaxed),
            won: counts.won.load(Relaxed),
            conflict: counts.conflict.load(Relaxed),
            cancelled: counts.cancelled.load(Relaxed),
            double: checks::doubles(&log),
            queued: counts.queued.load(Relaxed),
            unserved: counts.unserved.load(Relaxed),
        },
        reads: reads(&seen),
        propagation_ms: Delay::of(&propagation),
        invalidation_ms: Delay::of(&invalidation),
        staleness: Staleness {
            checked: seen.judged,
            violations: seen.violations,
            max_ms: millis(seen.stalest),
            bound_ms: millis(TIMING.lease),
            unversioned: seen.unversioned,
        },
        events,
        memory_bytes: memory
            .into_iter()
            .map(|(class, bytes)| (class.to_owned(), bytes))
            .collect(),
        seed: args.seed,
        backend: fleet.backend.name(),
        faults: args.faults,
        interrupted: ending == RunEnding::Interrupted,
        seconds: millis(ended.since(started)) / 1_000.0,
        skipped_rows,
        content: Content {
            checked: compared.checked,
            violations: compared.violations,
        },
        schedule: Schedule {
            tasks: total as u64,
            done: counts.done.load(Relaxed),
            late_ms: Delay::of(&tenants.lateness()),
        },
        checks,
        store: args.store.kind(),
        spot_checks,
        canary_age_ms,
    })
}

/// Waits for an end that should come at once; names who has not come to it. A run that hangs would hide everything
/// that it found.
async fn unless_ended(who: &'static str, end: impl Future) -> Option<&'static str> {
    tokio::time::timeout(FAREWELL, end).await.err().map(|_| who)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnding {
    /// Every task has ended, or its time was up.
    Done,
    /// It was told to stop.
    Interrupted,
}

/// Waits for the run's time to pass and its tasks to end, and shows how far it is.
async fn supervise(
    duration: Duration,
    tasks: &mut JoinSet<()>,
    tenants: &Tenants,
    live: &Live,
    fleet: &Fleet,
    memory: &mut BTreeMap<&'static str, u64>,
    stop: &CancellationToken,
) -> RunEnding {
    if !std::io::stderr().is_terminal() {
        eprintln!("running for {duration:?}; SIGTERM or ctrl-c ends it early, with the report so far");
    }
    let bar = progress_bar(duration);
    let start = tokio::time::Instant::now();
    let finished = async {
        tokio::time::sleep_until(start + duration).await;
        // Who is late may still end; who never ends is not waited for.
        let _ = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    };
    let shown = async {
        loop {
            tokio::time::sleep(TICK).await;
            note_memory(fleet, memory);
            bar.set_position(u64::try_from(start.elapsed().min(duration).as_millis()).unwrap_or(u64::MAX));
            let (won, cancelled) = (
                tenants.counts().won.load(Relaxed),
                tenants.counts().cancelled.load(Relaxed),
            );
            let (answered, violations) = (live.answered.load(Relaxed), live.violations.load(Relaxed));
            bar.set_message(format!(
                "{won} booked, {cancelled} given back, {answered} queries, {violations} stale beyond the bound"
            ));
        }
    };
    let ending = tokio::select! {
        () = finished => RunEnding::Done,
        () = stop.cancelled() => RunEnding::Interrupted,
        () = shown => RunEnding::Done,
    };
    bar.finish_and_clear();
    ending
}

fn progress_bar(duration: Duration) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let length = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {percent:>3} % {msg}");
    ProgressBar::with_draw_target(Some(length), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Keeps the most that each class took on any one node.
fn note_memory(fleet: &Fleet, memory: &mut BTreeMap<&'static str, u64>) {
    for node in &fleet.nodes {
        for (class, stats) in node.market.cache().stats().namespaces {
            let most = memory.entry(class).or_default();
            *most = stats.memory.bytes.max(*most);
        }
    }
}

fn reads(seen: &Seen) -> Reads {
    let [memory, shared, source] = seen.values;
    Reads {
        total: seen.all.count(),
        l1_hit_ratio: share(memory, memory + shared + source),
        l2_hit_ratio: share(shared, shared + source),
        latency_us: Latencies {
            l1: Latency::of(&seen.from_memory),
            l2: Latency::of(&seen.from_shared),
            all: Latency::of(&seen.all),
        },
        values: memory + shared + source,
        failed: seen.failed,
        shared_asked: shared + source,
    }
}

/// What the nodes found out about themselves, and the oldest view among them.
fn own_findings(fleet: &Fleet) -> (SpotChecks, f64) {
    let (mut sum, mut oldest) = (SpotCheckTally::default(), Duration::ZERO);
    for stats in fleet.nodes.iter().map(|node| node.market.cache().stats()) {
        sum.add(&stats.spot_checks);
        oldest = oldest.max(stats.canary_age.unwrap_or_default());
    }
    let checks = SpotChecks {
        consistent: sum.consistent,
        inconsistent: sum.inconsistent,
        undecided: sum.undecided,
    };
    (checks, millis(oldest))
}

fn events(fleet: &Fleet) -> Events {
    let mut events = Events::default();
    for stats in fleet.nodes.iter().map(|node| node.market.cache().stats()) {
        events.published += stats.published;
        for tally in stats.events {
            events.applied += tally.applied;
            events.duplicates += tally.duplicates;
            events.gaps += tally.gaps;
            events.replays += tally.replays;
            events.flushes += tally.flushes;
        }
    }
    events
}
