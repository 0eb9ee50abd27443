//! Hit ratios on traces, and the best that could be had by who knows the future.
//!
//! One thread; weights are equal.

use std::collections::BTreeSet;

use crate::contender::{AnyContender, Scope};
use crate::trace::Trace;

/// Capacities, as a share of the distinct keys in percent.
pub(crate) const SHARES: [usize; 3] = [1, 5, 10];

/// Hit ratios between 0 and 1.
pub(crate) struct HitRatios {
    pub(crate) columns: Vec<String>,
    /// By contender, then by column.
    pub(crate) rows: Vec<Vec<Option<f64>>>,
    pub(crate) optimum: Vec<f64>,
    pub(crate) remark: String,
}

/// Runs every contender over every trace.
pub(crate) fn measure(contenders: &[Box<dyn AnyContender>], traces: &[Trace]) -> HitRatios {
    let mut ratios = HitRatios {
        columns: Vec::new(),
        rows: vec![Vec::new(); contenders.len()],
        optimum: Vec::new(),
        remark: traces.iter().map(|trace| trace.remark.as_str()).collect(),
    };
    for trace in traces.iter().filter(|trace| !trace.requests.is_empty()) {
        for share in SHARES {
            let capacity = trace.keys * share / 100;
            let ratio = |hits: usize| hits as f64 / trace.requests.len() as f64;
            ratios.columns.push(format!("{} {share} %", trace.name));
            for (row, contender) in ratios.rows.iter_mut().zip(contenders) {
                row.push(
                    (contender.scope() == Scope::Everything)
                        .then(|| ratio(contender.open(trace.keys, capacity, 0).simulate(&trace.requests))),
                );
            }
            ratios.optimum.push(ratio(optimum(trace, capacity)));
        }
    }
    ratios
}

/// Belady's algorithm: evicts what is needed again last.
pub(crate) fn optimum(trace: &Trace, capacity: usize) -> usize {
    let never = trace.requests.len();
    let mut next_use = vec![never; trace.requests.len()];
    let mut seen_at = vec![never; trace.keys];
    for (at, key) in trace.requests.iter().enumerate().rev() {
        next_use[at] = std::mem::replace(&mut seen_at[*key as usize], at);
    }
    let mut held = BTreeSet::new();
    let mut hits = 0;
    for (at, key) in trace.requests.iter().enumerate() {
        hits += usize::from(held.remove(&(at, *key)));
        held.insert((next_use[at], *key));
        if held.len() > capacity {
            held.pop_last();
        }
    }
    hits
}
