//! The two tables at the end of a run, targets and promises: boxes of 80 columns on a terminal, lines with tabs elsewhere.
//!
//! It measures nothing and decides no exit code.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::verdict::Line;

/// The widest a table gets: what any terminal shows.
const WIDTH: u16 = 80;

/// How the tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TableForm {
    /// Boxes where the standard output is a terminal, lines elsewhere
    #[default]
    Auto,
    /// Boxes of at most 80 columns
    Boxes,
    /// One line for each row, its fields separated by tabs: for other programs
    Lines,
}

/// Writes both tables.
///
/// # Errors
/// When `out` does not take them.
pub fn write(targets: &[Line], promises: &[Line], form: TableForm, out: &mut dyn Write) -> io::Result<()> {
    let boxes = match form {
        TableForm::Auto => io::stdout().is_terminal(),
        TableForm::Boxes => true,
        TableForm::Lines => false,
    };
    for (title, lines) in [("target", targets), ("promise", promises)] {
        if boxes {
            writeln!(out, "{}", boxed(title, lines))?;
        } else {
            lines.iter().try_for_each(|line| plain(title, line, out))?;
        }
    }
    Ok(())
}

fn boxed(title: &str, lines: &[Line]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header([title, "wanted", "found", "met"]);
    for line in lines {
        table.add_row([&*line.name, &line.target, &line.actual, line.verdict.text()]);
    }
    table
        .column_mut(1)
        .into_iter()
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn plain(title: &str, line: &Line, out: &mut dyn Write) -> io::Result<()> {
    let field = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let Line {
        name,
        target,
        actual,
        verdict,
    } = line;
    let (name, target, actual) = (field(name), field(target), field(actual));
    writeln!(out, "{title}\t{name}\t{target}\t{actual}\t{}", verdict.text())
}

/// 1234567 as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::report::{Check, Report};
    use super::super::{promises, targets};
    use super::*;

    /// As long as its texts get.
    fn report() -> Report {
        let mut report = Report::default();
        report.reads.total = u64::from(u32::MAX);
        report.propagation_ms.samples = u64::from(u32::MAX);
        report.staleness.checked = u64::MAX;
        report.bookings.won = u64::from(u32::MAX);
        report.bookings.attempted = u64::from(u32::MAX);
        report.memory_bytes = vec![("historical_data".to_owned(), u64::from(u32::MAX))];
        let evidence = "x".repeat(200);
        report
            .checks
            .push(Check::that("one outcome per idempotency key", false).because(evidence));
        report
    }

    fn written(form: TableForm) -> String {
        let report = report();
        let mut out = Vec::new();
        write(&targets::of(&report), &promises::of(&report), form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_tables_fit_into_eighty_columns() {
        let text = written(TableForm::Boxes);
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(WIDTH), "{line}");
        }
        assert_eq!(text.matches("wanted").count(), 2, "two tables");
    }

    #[test]
    fn the_plain_form_has_one_line_of_five_fields_for_each_row() {
        let text = written(TableForm::Lines);
        assert!(text.is_ascii(), "{text}");
        let fields: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert!(fields.iter().all(|fields| fields.len() == 5), "{text}");
        assert_eq!(fields[0], ["target", "L1 hit ratio", "> 80 %", "-", "-"]);
        let broken = fields
            .iter()
            .find(|fields| fields[1] == "one outcome per idempotency key");
        assert_eq!(
            broken.map(|fields| (fields[0], fields[4])),
            Some(("promise", "NO"))
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
