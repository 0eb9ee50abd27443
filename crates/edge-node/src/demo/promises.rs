//! What is promised whatever the machine and the load, and what a run found: no value too stale, no GPU booked twice.
//!
//! A promise is kept only where something was looked at.

use super::report::{CheckVerdict, Report};
use super::table::grouped;
use super::verdict::{Line, Verdict};

/// A line for each promise, and one about the run's own clock.
#[must_use]
pub fn of(report: &Report) -> Vec<Line> {
    let (staleness, content, bookings) = (&report.staleness, &report.content, &report.bookings);
    let spots = &report.spot_checks;
    let compared = spots.inconsistent + spots.consistent;
    let mut lines = vec![
        counted(
            format!("values staler than {:.0} ms", staleness.bound_ms),
            staleness.violations,
            format!(
                "of {} values, every one compared (stalest {:.1} ms)",
                grouped(staleness.checked),
                staleness.max_ms
            ),
            staleness.checked,
        ),
        counted(
            "statuses that were not true",
            content.violations,
            format!("of {} statuses, a sample", grouped(content.checked)),
            content.checked,
        ),
        counted(
            "hits that nodes found wrong themselves",
            spots.inconsistent,
            format!(
                "of {} comparisons, a sample; oldest canary {:.0} ms",
                grouped(compared),
                report.canary_age_ms
            ),
            compared,
        ),
        counted(
            "double bookings",
            bookings.double,
            format!(
                "of {} won ({} asked, {} conflicts, {} cancelled)",
                grouped(bookings.won),
                grouped(bookings.attempted),
                grouped(bookings.conflict),
                grouped(bookings.cancelled)
            ),
            bookings.won,
        ),
    ];
    lines.extend(report.checks.iter().map(|check| {
        let actual = check.evidence.clone().unwrap_or_else(|| "holds".to_owned());
        let line = Line::judged(check.promise, "", actual, check.kept == CheckVerdict::Kept);
        line.of(u64::from(check.kept != CheckVerdict::Unmeasured))
    }));
    let schedule = &report.schedule;
    lines.push(Line {
        name: "the compressed clock".to_owned(),
        target: String::new(),
        actual: format!(
            "p99 {:.1} ms, at most {:.1} ms late; {} of {} tasks ended",
            schedule.late_ms.p99,
            schedule.late_ms.max,
            grouped(schedule.done),
            grouped(schedule.tasks)
        ),
        verdict: Verdict::Told,
    });
    lines
}

/// So many violations among those that were looked at.
fn counted(name: impl Into<String>, violations: u64, among: String, looked_at: u64) -> Line {
    let actual = format!("{violations} {among}");
    // What was found wrong is told whatever else was looked at.
    Line::judged(name, "0", actual, violations == 0).of(looked_at + violations)
}

#[cfg(test)]
mod tests {
    use super::super::report::Check;
    use super::*;

    fn broken(report: &Report) -> bool {
        of(report).iter().any(|line| line.verdict == Verdict::Missed)
    }

    #[test]
    fn a_run_breaks_a_promise_if_any_judge_or_check_says_so() {
        assert!(!broken(&Report::default()));
        let mut stale = Report::default();
        stale.staleness.violations = 1;
        let mut untrue = Report::default();
        untrue.content.violations = 1;
        let mut self_accused = Report::default();
        self_accused.spot_checks.inconsistent = 1;
        let mut double = Report::default();
        double.bookings.double = 1;
        let mut failed = Report::default();
        failed.checks.push(Check::that("fences increase", false));
        for report in [stale, untrue, self_accused, double, failed] {
            assert!(broken(&report), "{report:?}");
        }
    }

    #[test]
    fn a_run_that_looked_at_nothing_kept_no_promise() {
        let mut report = Report::default();
        report.checks.push(Check::unmeasured("fences increase"));
        for line in of(&report) {
            let expected = match line.name.as_str() {
                "the compressed clock" => Verdict::Told,
                _ => Verdict::Unmeasured,
            };
            assert_eq!(line.verdict, expected, "{line:?}");
        }
    }
}
