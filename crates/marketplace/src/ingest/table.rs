//! A CSV table read row by row, with everything that is wrong with it.
//!
//! It knows no particular file: what a row means is its reader's matter.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;

use super::model::model_name;
use super::report::{Adjustment, FileFault, FileProblem, Ingested, ReadAs, RowProblem};
use super::text::{Record, Records};
use crate::{Currency, Exactness, GpuModel, Money};

/// A row of one kind of file.
pub(super) trait Row: Sized {
    /// The columns it reads; a file may have more.
    const COLUMNS: &'static [&'static str];
    /// The column whose value no two rows share.
    const UNIQUE: Option<&'static str>;

    /// Reads a row; `None` when it is not wanted, or a problem was noted.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// Reads a whole table from `source`; `file` is its name for errors.
pub(super) fn read_table<T: Row>(mut source: impl Read, file: &str) -> Result<Ingested<T>, FileProblem> {
    let file: Arc<str> = file.into();
    let mut text = Vec::new();
    let read = source
        .read_to_end(&mut text)
        .map_err(|error| vec![FileFault::Unreadable(error)]);
    read.and_then(|_| rows(&text, &file))
        .map_err(|faults| FileProblem { file, faults })
}

fn rows<T: Row>(text: &[u8], file: &Arc<str>) -> Result<Ingested<T>, Vec<FileFault>> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(vec![FileFault::Utf16]);
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut records = Records::of(text);
    let header = header::<T>(records.next())?;
    records.expect_width(header.names.len());
    let mut ingested = Ingested {
        rows: Vec::new(),
        problems: Vec::new(),
        adjustments: Vec::new(),
    };
    let mut seen = HashMap::new();
    let mut spellings = BTreeMap::new();
    let mut any = false;
    for record in records {
        any = true;
        let mut fields = Fields {
            values: Vec::new(),
            header: &header,
            columns: T::COLUMNS,
            file,
            line: record.line,
            problems: Vec::new(),
            adjustments: Vec::new(),
        };
        let row = fields.take(record).and_then(|()| T::read(&mut fields));
        let row = row.filter(|_| fields.problems.is_empty());
        let row = row.filter(|_| T::UNIQUE.is_none_or(|column| fields.is_first(column, &mut seen)));
        ingested.problems.append(&mut fields.problems);
        if let Some(row) = row {
            ingested.rows.push(row);
            note(&mut ingested.adjustments, &mut spellings, fields.adjustments);
        }
    }
    if any {
        Ok(ingested)
    } else {
        Err(vec![FileFault::Empty])
    }
}

/// Adds what is new; another spelling of a model is told once.
fn note(
    known: &mut Vec<Adjustment>,
    spellings: &mut BTreeMap<(String, String), usize>,
    found: Vec<Adjustment>,
) {
    for adjustment in found {
        let spelling = (adjustment.column.clone(), adjustment.value.clone());
        match spellings.get(&spelling) {
            Some(place) => known[*place].rows += 1,
            None => {
                spellings.insert(spelling, known.len());
                known.push(adjustment);
            }
        }
    }
}

struct Header {
    names: Vec<String>,
    /// Where each column is that the row type reads, in its order.
    positions: Vec<usize>,
}

/// Columns are found by name, whatever the case of its letters.
fn header<T: Row>(record: Option<Record<'_>>) -> Result<Header, Vec<FileFault>> {
    let Some(Record { line, fields }) = record else {
        return Err(vec![FileFault::Empty]);
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let names: Vec<String> = match fields {
        Ok(fields) => fields.iter().map(|field| text(field)).collect(),
        Err(quote) => {
            let value = text(quote.text);
            return Err(vec![FileFault::OpenQuote { line, value }]);
        }
    };
    let (mut positions, mut faults) = (Vec::new(), Vec::new());
    for column in T::COLUMNS {
        let named = |(_, name): &(usize, &String)| name.eq_ignore_ascii_case(column);
        let found: Vec<(usize, &String)> = names.iter().enumerate().filter(named).collect();
        match found.as_slice() {
            [(position, _)] => positions.push(*position),
            [] => faults.push(FileFault::MissingColumn {
                column,
                found: names.clone(),
            }),
            several => faults.push(FileFault::RepeatedColumn {
                column,
                found: several.iter().map(|(_, name)| (*name).clone()).collect(),
            }),
        }
    }
    if faults.is_empty() {
        Ok(Header { names, positions })
    } else {
        Err(faults)
    }
}

/// The fields of one row, by column, and what is wrong with them.
pub(super) struct Fields<'a> {
    values: Vec<String>,
    header: &'a Header,
    columns: &'static [&'static str],
    file: &'a Arc<str>,
    line: u64,
    problems: Vec<RowProblem>,
    adjustments: Vec<Adjustment>,
}

impl Fields<'_> {
    fn take(&mut self, record: Record<'_>) -> Option<()> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = match record.fields {
            Ok(fields) => fields,
            Err(quote) => {
                let column = self.header.names.get(quote.field);
                let column = column.map_or_else(|| "the row".to_owned(), Clone::clone);
                let value: String = lossy(quote.text).chars().take(SHOWN).collect();
                self.add(
                    column,
                    value,
                    "a closing quote, with a comma or the line's end after it",
                );
                return None;
            }
        };
        let (found, width) = (fields.len(), self.header.names.len());
        if found != width {
            let expected = format!("{width}, as many as the header has");
            self.add("the number of fields".to_owned(), found.to_string(), &expected);
            return None;
        }
        let broken = fields.iter().position(|field| str::from_utf8(field).is_err());
        if let Some(broken) = broken {
            self.add(
                self.header.names[broken].clone(),
                lossy(&fields[broken]),
                "UTF-8 text",
            );
            return None;
        }
        self.values = fields.iter().map(|field| lossy(field)).collect();
        Some(())
    }

    /// The text in `column`, without surrounding blanks; a column the row type did not declare is empty.
    pub(super) fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        let value = index.and_then(|index| self.values.get(self.header.positions[index]));
        value.map_or("", |value| value)
    }

    /// The value in `column`; otherwise what is `expected` is noted.
    pub(super) fn value<V: FromStr>(&mut self, column: &str, expected: &str) -> Option<V> {
        let value = self.text(column).parse().ok();
        value.or_else(|| self.problem(column, expected))
    }

    /// The GPU model in `column`, whatever its spelling.
    pub(super) fn model(&mut self, column: &str) -> Option<GpuModel> {
        let Ok(model) = model_name(self.text(column)) else {
            return self.problem(column, "a GPU model such as H100");
        };
        if model.as_str() != self.text(column) {
            self.adjust(column, ReadAs::Model(model.clone()));
        }
        Some(model)
    }

    /// The price in `column`, none below zero, rounded to six decimals.
    pub(super) fn price(&mut self, column: &str, currency: Currency) -> Option<Money> {
        let text = self.text(column);
        let expected = "a price such as 2.65, not below zero";
        match Money::parse_rounded(text, currency) {
            Ok((price, _)) if price.micros < 0 => self.problem(column, expected),
            Ok((price, Exactness::Exact)) => Some(price),
            Ok((price, Exactness::Rounded)) => {
                self.adjust(column, ReadAs::Rounded(price));
                Some(price)
            }
            Err(_) => self.problem(column, expected),
        }
    }

    /// That `column` does not hold what was `expected`.
    pub(super) fn problem<V>(&mut self, column: &str, expected: &str) -> Option<V> {
        let value = self.text(column).to_owned();
        self.add(column.to_owned(), value, expected);
        None
    }

    fn adjust(&mut self, column: &str, read_as: ReadAs) {
        self.adjustments.push(Adjustment {
            file: Arc::clone(self.file),
            line: self.line,
            rows: 1,
            column: column.to_owned(),
            value: self.text(column).to_owned(),
            read_as,
        });
    }

    fn add(&mut self, column: String, value: String, expected: &str) {
        self.problems.push(RowProblem {
            file: Arc::clone(self.file),
            line: self.line,
            column,
            value,
            expected: expected.to_owned(),
        });
    }

    /// Whether no row before has the same value; nothing is like no other.
    fn is_first(&mut self, column: &str, seen: &mut HashMap<String, u64>) -> bool {
        let value = self.text(column).to_owned();
        if value.is_empty() {
            return true;
        }
        match seen.entry(value) {
            Entry::Vacant(entry) => {
                entry.insert(self.line);
                true
            }
            Entry::Occupied(entry) => {
                let expected = format!("a value of its own: line {} has it already", entry.get());
                self.problem::<()>(column, &expected);
                false
            }
        }
    }
}

/// Characters that are shown of a field whose end is not known.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests;
