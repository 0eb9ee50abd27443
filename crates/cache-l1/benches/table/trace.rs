//! Sequences of requests: one from a real database, one drawn at random.
//!
//! Keys are numbered from 0 in the order of their first request.

use std::collections::HashMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::arguments::Arguments;

/// A sequence of requests.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    /// Empty if it could not be read.
    pub(crate) requests: Vec<u32>,
    /// Distinct keys.
    pub(crate) keys: usize,
    /// Why it is empty or short.
    pub(crate) remark: String,
}

/// All traces.
pub(crate) fn all(arguments: &Arguments) -> Vec<Trace> {
    let mut traces = vec![
        oltp(&arguments.oltp),
        Trace::of("Zipf 0.9", zipf(100_000, 0.9, 1_000_000, 7)),
    ];
    if arguments.quick {
        for trace in &mut traces {
            let short = trace.requests.iter().copied().take(200_000);
            let remark = format!("{}{} cut to 200,000 requests. ", trace.remark, trace.name);
            *trace = Trace {
                remark,
                ..Trace::of(trace.name, short.collect::<Vec<_>>())
            };
        }
    }
    traces
}

/// Requests for `keys` keys whose popularity falls with the power `exponent` of their rank.
pub(crate) fn zipf(keys: usize, exponent: f64, requests: usize, seed: u64) -> Vec<u32> {
    let mut total = 0.0;
    let cumulated: Vec<f64> = (1..=keys)
        .map(|rank| {
            total += (rank as f64).powf(-exponent);
            total
        })
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    // Ranks are scattered over the numbers, so that neighbours in memory are not neighbours in popularity.
    let mut number: Vec<u32> = (0..keys as u32).collect();
    for at in (1..keys).rev() {
        number.swap(at, random.random_range(0..=at));
    }
    (0..requests)
        .map(|_| {
            let point = random.random::<f64>() * total;
            number[cumulated.partition_point(|sum| *sum < point).min(keys - 1)]
        })
        .collect()
}

/// Each line: first page, number of pages, two more numbers. Every page is a request.
fn oltp(path: &Path) -> Trace {
    let read = || -> std::io::Result<Vec<u32>> {
        let text = zstd::decode_all(std::fs::File::open(path)?)?;
        let mut pages = Vec::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut fields = line.split(' ').map(str::parse::<u32>);
            let (Some(Ok(first)), Some(Ok(count))) = (fields.next(), fields.next()) else {
                return Err(std::io::Error::other(format!("not a request: {line}")));
            };
            pages.extend(first..first + count);
        }
        Ok(pages)
    };
    match read() {
        Ok(pages) => Trace::of("OLTP", pages),
        Err(error) => Trace {
            remark: format!("OLTP skipped: {}: {error}. ", path.display()),
            ..Trace::of("OLTP", Vec::new())
        },
    }
}

impl Trace {
    fn of(name: &'static str, mut requests: Vec<u32>) -> Self {
        let mut numbers = HashMap::new();
        for request in &mut requests {
            let next = numbers.len() as u32;
            *request = *numbers.entry(*request).or_insert(next);
        }
        Self {
            name,
            requests,
            keys: numbers.len(),
            remark: String::new(),
        }
    }
}
