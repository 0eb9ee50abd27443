//! One run from start to report: who is started, in which order everybody stops, and what is gathered.
//!
//! It measures nothing itself.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cache_core::Clock as _;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use marketplace::{GpuModel, MarketStats};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bookers::Tenants;
use super::clock::MarketClock;
use super::fleet::{Fleet, TIMING};
use super::inputs::Inputs;
use super::queries::Catalogue;
use super::readers::{Buyer, Live, SLICE, Seen};
use super::report::{
    Bookings, Content, Delay, Events, Latencies, Latency, Reads, Report, Schedule, Staleness,
};
use super::report::{millis, share};
use super::spans::Spans;
use super::{checks, content, schedule, subscribers, weather};
use crate::cli::DemoArgs;

/// Buyers at each node: while one waits for the shared store, the others go on.
const BUYERS: usize = 4;
/// How long the tasks may take beyond the run before it is ended without them.
const GRACE: Duration = Duration::from_secs(15);
/// How often the progress is shown and memory is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Runs the demonstration.
pub(super) async fn run(args: &DemoArgs, inputs: Inputs, clock: MarketClock) -> Result<Report, String> {
    let Inputs {
        stock,
        tasks,
        skipped,
    } = inputs;
    let planned = schedule::compressed(&tasks, args.duration);
    let models: Vec<GpuModel> = stock.gpus.iter().map(|gpu| gpu.model.clone()).collect();
    let (gpus, listed) = (stock.gpus.clone(), stock.gpus.len());
    let fleet = Arc::new(Fleet::start(&args.nodes, stock.gpus, clock, args.seed).await?);
    let started = fleet.clock.shared().now();
    let (stop_buyers, stop_rest) = (CancellationToken::new(), CancellationToken::new());

    let live = Arc::new(Live::default());
    let subscribers = start_subscribers(&fleet);
    let followers = start_followers(&fleet, &stop_rest);
    let storm = start_storm(args, &fleet, &stop_buyers);
    let buyers = start_buyers(args, &fleet, &gpus, &live, &stop_buyers);
    let tenants = Arc::new(Tenants::of(Arc::clone(&fleet), models));
    let total = planned.len();
    let mut tasks: JoinSet<()> = planned
        .into_iter()
        .enumerate()
        .map(|(number, task)| Arc::clone(&tenants).live(number, task))
        .collect();

    let mut memory = BTreeMap::new();
    let ending = supervise(args.duration, &mut tasks, &tenants, &live, &fleet, &mut memory).await;
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
    stop_rest.cancel();
    join_all(followers).await;

    let (log, _) = checks::whole_log(&*fleet.records.ledger).await?;
    let statistics = fleet.nodes[0].market.market_stats(None).await.ok();
    let states = statistics
        .map(|answer| -> MarketStats { answer.value })
        .map(|stats| stats.states);
    note_memory(&fleet, &mut memory);
    let events = events(&fleet);
    fleet.shutdown().await;
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
        backend: "embedded",
        faults: args.faults,
        interrupted: ending == RunEnding::Interrupted,
        seconds: millis(ended.since(started)) / 1_000.0,
        skipped_rows: skipped.len(),
        content: Content {
            checked: compared.checked,
            violations: compared.violations,
        },
        schedule: Schedule {
            tasks: total as u64,
            done: counts.done.load(Relaxed),
            late_ms: Delay::of(&tenants.lateness()),
        },
        checks: checks::promises(&log, &fleet.recorder.history(), listed as u64, states),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnding {
    /// Every task has ended, or its time was up.
    Done,
    /// Somebody pressed ctrl-c.
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
) -> RunEnding {
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
    let interrupted = async {
        // Where the signal cannot be listened for, the run ends by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ending = tokio::select! {
        () = finished => RunEnding::Done,
        () = interrupted => RunEnding::Interrupted,
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

type Running<T> = Vec<tokio::task::JoinHandle<T>>;

fn start_subscribers(fleet: &Fleet) -> Running<Spans> {
    let start = |node: &super::fleet::Node| {
        let events = subscribers::subscribe(&node.market);
        let (truth, clock) = (Arc::clone(&fleet.truth), fleet.clock.shared());
        tokio::spawn(subscribers::listen(events, node.name.clone(), truth, clock))
    };
    fleet.nodes.iter().map(start).collect()
}

/// One node of each region looks after decisions that were not told: all of them would do the same work.
fn start_followers(fleet: &Fleet, stop: &CancellationToken) -> Running<()> {
    let mut followers = Vec::new();
    let mut region = None;
    for node in &fleet.nodes {
        if region.replace(&node.region) != Some(&node.region) {
            let (market, stop) = (node.market.clone(), stop.clone());
            followers.push(tokio::spawn(async move {
                market.follow_changes(stop.cancelled()).await
            }));
        }
    }
    followers
}

fn start_storm(
    args: &DemoArgs,
    fleet: &Fleet,
    stop: &CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    let names = fleet.nodes.iter().map(|node| node.name.clone()).collect();
    let (hub, stop, rng) = (
        fleet.hub.clone(),
        stop.clone(),
        SmallRng::seed_from_u64(args.seed ^ 0x7374_6f72_6d),
    );
    args.faults
        .then(|| tokio::spawn(async move { weather::storm(hub, names, rng, stop.cancelled()).await }))
}

/// The buyers of all nodes, on as many threads of their own as there are cores: the operating system shares the
/// processor between them and the nodes' tasks, and neither waits for the other to yield.
fn start_buyers(
    args: &DemoArgs,
    fleet: &Fleet,
    gpus: &[marketplace::inventory::GpuRecord],
    live: &Arc<Live>,
    stop: &CancellationToken,
) -> Running<Vec<Seen>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    // All buyers together take a quarter of the machine: all nodes have only this one.
    let pause = SLICE.mul_f64(4.0 * (fleet.nodes.len() * BUYERS) as f64 / cores as f64);
    let mut rng = SmallRng::seed_from_u64(args.seed ^ 0x6275_7965_7273);
    let mut catalogues = BTreeMap::new();
    let mut threads: Vec<Vec<Buyer>> = (0..cores).map(|_| Vec::new()).collect();
    let mut buyers = 0;
    for node in &fleet.nodes {
        let catalogue = catalogues
            .entry(node.region.clone())
            .or_insert_with(|| Arc::new(Catalogue::of(gpus, &node.region, &mut rng)));
        let catalogue = Arc::clone(catalogue);
        for _ in 0..BUYERS {
            let buyer = Buyer {
                market: node.market.clone(),
                catalogue: Arc::clone(&catalogue),
                rng: SmallRng::from_rng(&mut rng),
                truth: Arc::clone(&fleet.truth),
                clock: fleet.clock.shared(),
                pause,
                live: Arc::clone(live),
            };
            let thread = buyers % cores;
            threads[thread].push(buyer);
            buyers += 1;
        }
    }
    let handle = tokio::runtime::Handle::current();
    let start = |buyers: Vec<Buyer>| {
        let (handle, stop) = (handle.clone(), stop.clone());
        let ask = move || {
            handle.block_on(join_all(
                buyers.into_iter().map(|buyer| buyer.ask(stop.cancelled())),
            ))
        };
        tokio::task::spawn_blocking(ask)
    };
    threads.into_iter().map(start).collect()
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
    }
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
