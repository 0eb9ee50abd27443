//! Times of hits and fills, in rounds that take turns: what disturbs the machine disturbs everyone.
//!
//! Absolute figures of a shared machine mean little; the ratios within a round are what to look at.

use std::time::{Duration, Instant};

use crate::contender::{AnyContender, Runner, Scope};
use crate::trace::zipf;

const HITS_PER_ROUND: usize = 500_000;
const FILLS_PER_ROUND: usize = 100_000;

/// The times of one contender.
pub(crate) struct Times {
    pub(crate) hit: Time,
    /// When two threads do it at the same time.
    pub(crate) hit_by_two: Time,
    pub(crate) fill: Option<Time>,
}

/// A median over all rounds.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    /// Of one operation.
    pub(crate) nanos: f64,
    /// To the first contender's in the same round.
    pub(crate) ratio: f64,
}

/// Measures all contenders in turns. All of `keys` are resident when hits are measured.
pub(crate) fn measure(contenders: &[Box<dyn AnyContender>], rounds: usize, keys: u32) -> Vec<Times> {
    let hits = zipf(keys as usize, 0.99, HITS_PER_ROUND, 1);
    // Half of the keys fit. Whichever comes next was evicted long ago.
    let fills: Vec<u32> = (0..keys).cycle().take(FILLS_PER_ROUND).collect();
    let mut lanes: Vec<Lane> = contenders
        .iter()
        .map(|contender| Lane::open(&**contender, keys as usize))
        .collect();
    for round in 0..=rounds {
        for lane in &mut lanes {
            lane.run(&hits, &fills);
            if round == 0 {
                // The first round warms up.
                lane.forget();
            }
        }
    }
    let yardstick = &lanes[0];
    lanes
        .iter()
        .map(|lane| Times {
            hit: time(&lane.hit, &yardstick.hit),
            hit_by_two: time(&lane.hit_by_two, &yardstick.hit_by_two),
            fill: (!lane.fill.is_empty()).then(|| time(&lane.fill, &yardstick.fill)),
        })
        .collect()
}

/// How long something takes.
#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures the time that really passes"
)]
pub(crate) fn stopwatch(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// A contender and what its rounds took.
struct Lane {
    resident: Box<dyn Runner>,
    evicting: Option<Box<dyn Runner>>,
    hit: Vec<f64>,
    hit_by_two: Vec<f64>,
    fill: Vec<f64>,
}

impl Lane {
    fn open(contender: &dyn AnyContender, keys: usize) -> Self {
        Self {
            // Twice the room, so that none is missing however unevenly keys spread over shards.
            resident: contender.open(keys, 2 * keys, keys),
            evicting: (contender.scope() == Scope::Everything)
                .then(|| contender.open(keys, keys / 2, keys / 2)),
            hit: Vec::new(),
            hit_by_two: Vec::new(),
            fill: Vec::new(),
        }
    }

    fn run(&mut self, hits: &[u32], fills: &[u32]) {
        self.hit.push(each(self.resident.hits(hits, 1), hits.len()));
        self.hit_by_two
            .push(each(self.resident.hits(hits, 2), hits.len()));
        if let Some(evicting) = &self.evicting {
            self.fill.push(each(evicting.fills(fills), fills.len()));
        }
    }

    fn forget(&mut self) {
        self.hit.clear();
        self.hit_by_two.clear();
        self.fill.clear();
    }
}

fn each(total: Duration, count: usize) -> f64 {
    total.as_secs_f64() * 1e9 / count as f64
}

fn time(rounds: &[f64], yardstick: &[f64]) -> Time {
    Time {
        nanos: median(rounds.to_vec()),
        ratio: median(
            rounds
                .iter()
                .zip(yardstick)
                .map(|(own, other)| own / other)
                .collect(),
        ),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
