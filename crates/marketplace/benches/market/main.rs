//! `cargo xtask bench marketplace`: how queries and changes of one node behave as supply grows.
//!
//! It measures one process without network or disk, on whatever machine it runs, and judges nothing.

use std::time::Duration;

use marketplace::inventory::OperatorStatus;
use marketplace::{
    AvailabilityQuery, Cores, Currency, Effects, MemoryMib, Money, Ranking, Region, SearchFilter,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use crate::supply::{Market, Shape};

mod supply;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Questions of each kind: enough for a 99th percentile of twenty.
const QUESTIONS: usize = 2_000;
/// Changes: a tenth of that, since each is a hundred times dearer.
const CHANGES: usize = 400;
/// GPUs that a list shows.
const SHOWN: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(size) = arguments.next() else {
        return every_size();
    };
    let size = size.parse().expect("a number of GPUs");
    let shape = match arguments.next().as_deref() {
        Some("one") => Shape::OneShelf,
        _ => Shape::FiftyShelves,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(row(size, shape));
}

/// Each size in a process of its own, so that none inherits another's memory.
fn every_size() {
    println!("p50 / p99 in microseconds; one node, its memory warm");
    println!(
        "| shelves | GPUs | availability | cheapest {SHOWN} | top {SHOWN} | four bounds | status change | bytes written | L1 bytes per GPU | process bytes per GPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let own = std::env::current_exe().expect("this program has a path");
    for shape in ["fifty", "one"] {
        for size in SIZES {
            let ran = std::process::Command::new(&own)
                .args([size.to_string(), shape.to_owned()])
                .status();
            assert!(ran.expect("this program runs").success());
        }
    }
}

async fn row(size: usize, shape: Shape) {
    let before = resident();
    let market = Market::of(size, shape).await;
    let mut dice = StdRng::seed_from_u64(1);
    market.warm().await;
    let node = &market.node;
    let mut cells = vec![shape.shelves().len().to_string(), size.to_string()];

    let mut spans = Vec::new();
    for _question in 0..QUESTIONS {
        let shelf = market.any_shelf(&mut dice);
        let query = AvailabilityQuery {
            region: Some(shelf.region),
            model: Some(shelf.model),
            ..AvailabilityQuery::default()
        };
        let began = Instant::now();
        let found = node.gpu_availability(&query).await.expect("the market answers");
        spans.push(began.elapsed());
        assert!(!found.value.is_empty());
    }
    cells.push(percentiles(spans));
    for ranking in [Ranking::Cheapest, Ranking::TopPerforming] {
        let mut spans = Vec::new();
        for _question in 0..QUESTIONS {
            let began = Instant::now();
            let found = match ranking {
                Ranking::Cheapest => node.cheapest_gpus(SHOWN, SearchFilter::default()).await,
                Ranking::TopPerforming => node.top_performing_gpus(SHOWN, SearchFilter::default()).await,
            };
            spans.push(began.elapsed());
            assert_eq!(found.expect("the market answers").value.len(), SHOWN);
        }
        cells.push(percentiles(spans));
    }
    let mut spans = Vec::new();
    for _question in 0..QUESTIONS {
        let filter = four_bounds(market.any_shelf(&mut dice).region, &mut dice);
        let began = Instant::now();
        let found = node.search_gpus(filter, SHOWN).await;
        spans.push(began.elapsed());
        found.expect("the market answers");
    }
    cells.push(percentiles(spans));
    let l1 = node.cache().stats().total().memory.bytes;
    let process = resident().saturating_sub(before);

    let (mut spans, encoded) = (Vec::new(), market.encoded());
    let mut gpu = market.any_gpu(&mut dice);
    for number in 0..CHANGES {
        // Out of service, and back: each is a change.
        if number % 2 == 0 {
            gpu = market.any_gpu(&mut dice);
        }
        let status = [OperatorStatus::Maintenance, OperatorStatus::InService][number % 2];
        let began = Instant::now();
        let effects = node.update_gpu_status(&gpu, status).await.expect("it is listed");
        spans.push(began.elapsed());
        assert!(matches!(effects, Effects::Published { .. }), "{effects:?}");
    }
    cells.push(percentiles(spans));
    cells.push(((market.encoded() - encoded) / CHANGES as u64).to_string());
    cells.push((l1 / size as u64).to_string());
    cells.push((process / size as u64).to_string());
    println!("| {} |", cells.join(" | "));
    node.cache().shutdown().await;
}

fn four_bounds(region: Region, dice: &mut StdRng) -> SearchFilter {
    SearchFilter {
        min_memory: Some(MemoryMib(16_384 << dice.random_range(0..4))),
        min_cores: Some(Cores(2_560 * dice.random_range(1..4))),
        max_price: Some(Money::from_micros(
            dice.random_range(100..400) * 10_000,
            Currency::USD,
        )),
        region: Some(region),
        ..SearchFilter::default()
    }
}

fn percentiles(mut spans: Vec<Duration>) -> String {
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() - 1) * share / 100].as_secs_f64() * 1e6;
    format!("{:.1} / {:.1}", at(50), at(99))
}

/// Memory of this process in bytes, where the system tells: 0 elsewhere.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
