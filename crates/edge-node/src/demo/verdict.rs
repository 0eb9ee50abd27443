//! What a run says about one target or one promise, and how the program ends for all of them.
//!
//! A line about which nothing was measured is neither met nor missed, and no run that has one ends as if all were well.

use crate::Ending;

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was to be.
    pub name: String,
    /// How much of it; empty where the name says it.
    pub target: String,
    /// What was found; `-` where nothing was.
    pub actual: String,
    /// Whether it was so.
    pub verdict: Verdict,
}

/// Whether something was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// Nothing was measured.
    Unmeasured,
    /// It is told for its own sake, and was not to be anything.
    Told,
}

impl Line {
    /// A line that was met or missed.
    #[must_use]
    pub fn judged(name: impl Into<String>, target: impl Into<String>, actual: String, met: bool) -> Self {
        let verdict = if met { Verdict::Met } else { Verdict::Missed };
        Self {
            name: name.into(),
            target: target.into(),
            actual,
            verdict,
        }
    }

    /// The same, or nothing where nothing was measured.
    #[must_use]
    pub fn of(self, measured: u64) -> Self {
        match measured {
            0 => Self {
                actual: "-".to_owned(),
                verdict: Verdict::Unmeasured,
                ..self
            },
            _ => self,
        }
    }
}

impl Verdict {
    /// As a table shows it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Met => "yes",
            Self::Missed => "NO",
            Self::Unmeasured => "-",
            Self::Told => "",
        }
    }
}

/// How the program ends: a broken promise comes before a missed target.
#[must_use]
pub fn ending(targets: &[Line], promises: &[Line]) -> Ending {
    let any = |lines: &[Line], verdict| lines.iter().any(|line| line.verdict == verdict);
    if any(promises, Verdict::Missed) {
        return Ending::Broken;
    }
    let missed = any(targets, Verdict::Missed);
    let unmeasured = [targets, promises]
        .iter()
        .any(|lines| any(lines, Verdict::Unmeasured));
    if missed || unmeasured {
        Ending::Missed
    } else {
        Ending::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verdict: Verdict) -> Vec<Line> {
        let told = Line::judged("a", "1", "1".to_owned(), true);
        vec![told.clone(), Line { verdict, ..told }]
    }

    #[test]
    fn only_what_was_measured_and_met_ends_well() {
        use Verdict::{Met, Missed, Told, Unmeasured};
        for (target, promise, expected) in [
            (Met, Met, Ending::Well),
            (Met, Told, Ending::Well),
            (Missed, Met, Ending::Missed),
            (Unmeasured, Met, Ending::Missed),
            (Met, Unmeasured, Ending::Missed),
            (Met, Missed, Ending::Broken),
            (Missed, Missed, Ending::Broken),
        ] {
            let found = ending(&line(target), &line(promise));
            assert_eq!(found, expected, "{target:?} {promise:?}");
        }
    }
}
