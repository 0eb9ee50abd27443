//! The one table at the end of a run: targets against actuals, memory against its limits, promises kept.
//!
//! It measures nothing and decides no exit code.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use marketplace::namespaces::{
    GPU_AVAILABILITY, GPU_PRICING, HISTORICAL_DATA, MARKET_STATS, MEGABYTE, ORDER_BOOK, PROVIDER_STATUS,
    SHELF_LIST, SHELF_SECTION,
};

use super::report::{Delay, Report};

/// The product's targets.
const L1_HIT_RATIO: f64 = 0.80;
const L2_HIT_RATIO: f64 = 0.95;
const PROPAGATION_MS: f64 = 100.0;
const RESPONSE_MS: f64 = 5.0;
const INVALIDATION_MS: f64 = 200.0;

/// The table of a report.
#[must_use]
pub fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["", "target", "actual", "met"]);
    targets(&mut table, report);
    memory(&mut table, report);
    coherence(&mut table, report);
    table
        .column_mut(1)
        .into_iter()
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn targets(table: &mut Table, report: &Report) {
    let reads = &report.reads;
    let ratio = |name: &str, target: f64, actual: f64| {
        row(
            name,
            format!("> {:.0} %", target * 100.0),
            format!("{:.2} %", actual * 100.0),
            Some(actual > target),
        )
    };
    let delay = |name: &str, target: f64, delay: &Delay| {
        let Delay {
            p50,
            p99,
            max,
            samples,
        } = delay;
        let actual = format!(
            "{p99:.2} ms (p50 {p50:.2}, max {max:.1}; {} samples)",
            grouped(*samples)
        );
        row(name, format!("< {target:.0} ms"), actual, Some(*p99 < target))
    };
    table.add_row(ratio("L1 hit ratio", L1_HIT_RATIO, reads.l1_hit_ratio));
    table.add_row(ratio("L2 hit ratio", L2_HIT_RATIO, reads.l2_hit_ratio));
    table.add_row(delay(
        "event propagation, p99",
        PROPAGATION_MS,
        &report.propagation_ms,
    ));
    let millis = |micros: u64| micros as f64 / 1_000.0;
    let latency = &reads.latency_us;
    let actual = format!(
        "{:.2} ms (L1 {:.2}, L2 {:.2}; {} queries)",
        millis(latency.all.p99),
        millis(latency.l1.p99),
        millis(latency.l2.p99),
        grouped(reads.total)
    );
    let met = millis(latency.all.p99) < RESPONSE_MS;
    table.add_row(row(
        "cache response, p99",
        format!("< {RESPONSE_MS:.0} ms"),
        actual,
        Some(met),
    ));
    table.add_row(delay(
        "invalidation, p99",
        INVALIDATION_MS,
        &report.invalidation_ms,
    ));
}

fn memory(table: &mut Table, report: &Report) {
    for (class, bytes) in &report.memory_bytes {
        let limit = LIMITS
            .iter()
            .find(|(name, _)| name == class)
            .map_or(0, |(_, limit)| *limit);
        let megabytes = |bytes: u64| bytes as f64 / MEGABYTE as f64;
        let name = format!("memory of {class}");
        let actual = format!("{:.3} MB on the fullest node", megabytes(*bytes));
        table.add_row(row(
            &name,
            format!("< {:.0} MB", megabytes(limit)),
            actual,
            Some(*bytes < limit),
        ));
    }
}

fn coherence(table: &mut Table, report: &Report) {
    let (staleness, content, bookings) = (&report.staleness, &report.content, &report.bookings);
    let none = || "0".to_owned();
    let actual = format!(
        "{} of {} values, every one compared (stalest {:.1} ms)",
        staleness.violations,
        grouped(staleness.checked),
        staleness.max_ms
    );
    let name = format!("values staler than {:.0} ms", staleness.bound_ms);
    table.add_row(row(&name, none(), actual, Some(staleness.violations == 0)));
    let actual = format!(
        "{} of {} statuses, a sample",
        content.violations,
        grouped(content.checked)
    );
    table.add_row(row(
        "statuses that were not true",
        none(),
        actual,
        Some(content.violations == 0),
    ));
    let checks = &report.spot_checks;
    let actual = format!(
        "{} of {} comparisons, a sample; oldest canary {:.0} ms",
        checks.inconsistent,
        grouped(checks.inconsistent + checks.consistent),
        report.canary_age_ms
    );
    table.add_row(row(
        "hits that nodes found wrong themselves",
        none(),
        actual,
        Some(checks.inconsistent == 0),
    ));
    let actual = format!(
        "{} of {} won ({} asked, {} conflicts, {} cancelled)",
        bookings.double,
        grouped(bookings.won),
        grouped(bookings.attempted),
        grouped(bookings.conflict),
        grouped(bookings.cancelled)
    );
    table.add_row(row("double bookings", none(), actual, Some(bookings.double == 0)));
    for check in &report.checks {
        let actual = check.evidence.clone().unwrap_or_else(|| "holds".to_owned());
        table.add_row(row(check.promise, String::new(), actual, Some(check.kept)));
    }
    let schedule = &report.schedule;
    let actual = format!(
        "p99 {:.1} ms, at most {:.1} ms late; {} of {} tasks ended",
        schedule.late_ms.p99,
        schedule.late_ms.max,
        grouped(schedule.done),
        grouped(schedule.tasks)
    );
    table.add_row(row("the compressed clock", String::new(), actual, None));
}

fn row(name: &str, target: String, actual: String, met: Option<bool>) -> [String; 4] {
    let met = met.map_or("", |met| if met { "yes" } else { "NO" });
    [name.to_owned(), target, actual, met.to_owned()]
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
    use super::*;

    #[test]
    fn every_class_has_its_limit() {
        for (class, _) in super::super::fleet::SHARES {
            assert!(LIMITS.iter().any(|(name, _)| *name == class), "{class}");
        }
    }

    #[test]
    fn a_missed_target_is_shown_as_missed() {
        let mut report = Report::default();
        report.reads.l1_hit_ratio = 0.80;
        report.propagation_ms.p99 = 100.0;
        let text = table(&report).to_string();
        for name in ["L1 hit ratio", "event propagation"] {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            assert!(line.contains("NO"), "{line}");
        }
        let line = text
            .lines()
            .find(|line| line.contains("double bookings"))
            .unwrap();
        assert!(line.contains("yes"), "{line}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
