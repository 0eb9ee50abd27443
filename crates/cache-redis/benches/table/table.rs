//! What was measured, line by line: ours, the plain client's, and the ratio of the two.
//!
//! It knows no target.

use std::fmt::Write as _;

/// All lines.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

struct Line {
    what: String,
    unit: &'static str,
    ours: f64,
    plain: Option<f64>,
}

impl Table {
    /// A measure with its counterpart.
    pub(crate) fn compare(&mut self, what: impl Into<String>, unit: &'static str, ours: f64, plain: f64) {
        self.add(what.into(), unit, ours, Some(plain));
    }

    /// A measure without a counterpart.
    pub(crate) fn tell(&mut self, what: impl Into<String>, unit: &'static str, ours: f64) {
        self.add(what.into(), unit, ours, None);
    }

    fn add(&mut self, what: String, unit: &'static str, ours: f64, plain: Option<f64>) {
        eprintln!("{what}: {ours:.1} {unit}");
        self.0.push(Line {
            what,
            unit,
            ours,
            plain,
        });
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:<52} {:>10} {:>10} {:>7}\n", "", "ours", "plain", "ratio");
        for Line {
            what,
            unit,
            ours,
            plain,
        } in &self.0
        {
            let name = format!("{what}, {unit}");
            let _ = match plain {
                Some(plain) => writeln!(
                    text,
                    "{name:<52} {ours:>10.1} {plain:>10.1} {:>7.2}",
                    ours / plain
                ),
                None => writeln!(text, "{name:<52} {ours:>10.1}"),
            };
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let line = |Line {
                        what,
                        unit,
                        ours,
                        plain,
                    }: &Line| {
            let plain = plain.map_or("null".to_owned(), |plain| format!("{plain:.3}"));
            format!("{{\"what\":\"{what}\",\"unit\":\"{unit}\",\"ours\":{ours:.3},\"plain\":{plain}}}")
        };
        format!("[{}]", self.0.iter().map(line).collect::<Vec<_>>().join(","))
    }
}

/// The median and the 99th percentile of some spans, in microseconds.
pub(crate) fn percentiles(mut spans: Vec<std::time::Duration>) -> [f64; 2] {
    spans.sort_unstable();
    [50, 99].map(|percent| spans[(spans.len() - 1) * percent / 100].as_secs_f64() * 1e6)
}
