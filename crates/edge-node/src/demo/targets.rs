//! The product's targets, and what a run achieved: hit ratios, times, memory.
//!
//! They depend on the machine and the load. A missed one is no broken promise.

use marketplace::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, HISTORICAL_DATA, MARKET_STATS, MEGABYTE, ORDER_BOOK, PROVIDER_STATUS,
    SHELF_LIST, SHELF_SECTION,
};

use super::report::{Delay, Report};
use super::table::grouped;
use super::verdict::Line;

const L1_HIT_RATIO: f64 = 0.80;
const L2_HIT_RATIO: f64 = 0.95;
const PROPAGATION_MS: f64 = 100.0;
const RESPONSE_MS: f64 = 5.0;
const INVALIDATION_MS: f64 = 200.0;

/// A line for each target.
#[must_use]
pub fn of(report: &Report) -> Vec<Line> {
    let reads = &report.reads;
    let mut lines = vec![
        ratio("L1 hit ratio", L1_HIT_RATIO, reads.l1_hit_ratio).of(reads.values),
        ratio("L2 hit ratio", L2_HIT_RATIO, reads.l2_hit_ratio).of(reads.shared_asked),
        delay("event propagation, p99", PROPAGATION_MS, &report.propagation_ms),
        response(report).of(reads.total),
        delay("invalidation, p99", INVALIDATION_MS, &report.invalidation_ms),
    ];
    lines.extend(memory(report));
    lines
}

fn ratio(name: &str, target: f64, actual: f64) -> Line {
    let text = format!("{:.2} %", actual * 100.0);
    Line::judged(name, format!("> {:.0} %", target * 100.0), text, actual > target)
}

fn delay(name: &str, target: f64, delay: &Delay) -> Line {
    let Delay {
        samples,
        p50,
        p99,
        max,
    } = delay;
    let actual = format!(
        "{p99:.2} ms (p50 {p50:.2}, max {max:.1}; {} samples)",
        grouped(*samples)
    );
    Line::judged(name, format!("< {target:.0} ms"), actual, *p99 < target).of(*samples)
}

fn response(report: &Report) -> Line {
    let (reads, latency) = (&report.reads, &report.reads.latency_us);
    let millis = |micros: u64| micros as f64 / 1_000.0;
    // Times are rounded up: a zero was never measured.
    let part = |micros: u64| match micros {
        0 => "-".to_owned(),
        micros => format!("{:.2}", millis(micros)),
    };
    let actual = format!(
        "{:.2} ms (L1 {}, L2 {}; {} queries)",
        millis(latency.all.p99),
        part(latency.l1.p99),
        part(latency.l2.p99),
        grouped(reads.total)
    );
    let met = millis(latency.all.p99) < RESPONSE_MS;
    Line::judged(
        "cache response, p99",
        format!("< {RESPONSE_MS:.0} ms"),
        actual,
        met,
    )
}

fn memory(report: &Report) -> impl Iterator<Item = Line> {
    report.memory_bytes.iter().map(|(class, bytes)| {
        let limit = LIMITS
            .iter()
            .find(|(name, _)| name == class)
            .map_or(0, |(_, limit)| *limit);
        let megabytes = |bytes: u64| bytes as f64 / MEGABYTE as f64;
        Line::judged(
            format!("memory of {class}"),
            format!("< {:.0} MB", megabytes(limit)),
            format!("{:.3} MB on the fullest node", megabytes(*bytes)),
            *bytes < limit,
        )
    })
}

const LIMITS: [(&str, u64); 8] = [
    (GPU_AVAILABILITY.name(), GPU_AVAILABILITY.policy().max_bytes),
    (GPU_PRICING.name(), GPU_PRICING.policy().max_bytes),
    (ORDER_BOOK.name(), ORDER_BOOK.policy().max_bytes),
    (PROVIDER_STATUS.name(), PROVIDER_STATUS.policy().max_bytes),
    (MARKET_STATS.name(), MARKET_STATS.policy().max_bytes),
    (HISTORICAL_DATA.name(), HISTORICAL_DATA.policy().max_bytes),
    (SHELF_SECTION.name(), SHELF_SECTION.policy().max_bytes),
    (SHELF_LIST.name(), SHELF_LIST.policy().max_bytes),
];

#[cfg(test)]
mod tests {
    use super::super::verdict::Verdict;
    use super::*;

    fn verdicts(report: &Report) -> Vec<Verdict> {
        of(report).iter().map(|line| line.verdict).collect()
    }

    #[test]
    fn every_class_has_its_limit() {
        for (class, _) in super::super::fleet::SHARES {
            assert!(LIMITS.iter().any(|(name, _)| *name == class), "{class}");
        }
    }

    #[test]
    fn a_target_that_is_only_reached_is_missed() {
        let mut report = Report::default();
        report.reads.values = 1;
        report.reads.l1_hit_ratio = 0.80;
        report.propagation_ms.samples = 1;
        report.propagation_ms.p99 = 100.0;
        let found = verdicts(&report);
        assert_eq!((found[0], found[2]), (Verdict::Missed, Verdict::Missed));
    }

    #[test]
    fn a_run_that_measured_nothing_met_nothing() {
        assert_eq!(verdicts(&Report::default()), [Verdict::Unmeasured; 5]);
        assert!(of(&Report::default()).iter().all(|line| line.actual == "-"));
    }
}
