//! What is told of a file that was read: the rows, what was wrong, and what was changed on the way in.
//!
//! Every text names the file, the line, the column and the value, and says what would be right.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::{GpuModel, Money};

/// What was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested<T> {
    /// The rows that could be read, in the file's order.
    pub rows: Vec<T>,
    /// Everything that was wrong with the others, in the file's order.
    pub problems: Vec<RowProblem>,
    /// What was read as something else than it says, in the file's order.
    pub adjustments: Vec<Adjustment>,
}

/// Why a row was left out. A row may have several problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// The line it begins on; the header is line 1.
    pub line: u64,
    /// The column that could not be read.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What should.
    pub expected: String,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: line {}: {} is {:?}, expected {}",
            self.file, self.line, self.column, self.value, self.expected
        )
    }
}

/// A value that was read as something else than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// The first line it stands on.
    pub line: u64,
    /// How many rows have it.
    pub rows: u64,
    /// The column.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What was read.
    pub read_as: ReadAs,
}

/// What a value was read as, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadAs {
    /// A price of more than six decimals: the nearest with six, of two equally near ones the even one.
    Rounded(Money),
    /// Another spelling of a model: all its spellings are one model.
    Model(GpuModel),
}

impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rows,
            column,
            value,
            read_as,
        } = self;
        write!(f, "{file}: line {line}: {column} {value:?} is read as ")?;
        match read_as {
            ReadAs::Rounded(price) => write!(f, "{price}, rounded to six decimals")?,
            ReadAs::Model(model) => write!(f, "{model}")?,
        }
        write!(f, ", in {rows} row{}", if *rows == 1 { "" } else { "s" })
    }
}

/// Why a file could not be read at all.
#[derive(Debug)]
pub struct FileProblem {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Everything that is wrong with it; at least one.
    pub faults: Vec<FileFault>,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileFault {
    /// Reading it failed.
    Unreadable(io::Error),
    /// It is not in UTF-8: it begins like a text in UTF-16.
    Utf16,
    /// It has no header, or nothing below it.
    Empty,
    /// A quote in its header is never closed.
    OpenQuote {
        /// The line.
        line: u64,
        /// What stands from the quote to the end of the line.
        value: String,
    },
    /// Its header lacks a column.
    MissingColumn {
        /// The column.
        column: &'static str,
        /// Those it has.
        found: Vec<String>,
    },
    /// Its header has a needed column more than once, and which is meant cannot be known.
    RepeatedColumn {
        /// The column.
        column: &'static str,
        /// How it is written, each time.
        found: Vec<String>,
    },
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(_) => f.write_str("cannot be read"),
            Self::Utf16 => f.write_str("is a text in UTF-16, expected UTF-8"),
            Self::Empty => f.write_str("has no rows, expected a header and a row for each thing"),
            Self::OpenQuote { line, value } => {
                write!(
                    f,
                    "line {line}: the header has {value:?}, expected a closing quote"
                )
            }
            Self::MissingColumn { column, found } => {
                write!(f, "has no column {column}, expected it beside {}", listed(found))
            }
            Self::RepeatedColumn { column, found } => write!(
                f,
                "has the column {column} {} times, as {}, expected it once",
                found.len(),
                listed(found)
            ),
        }
    }
}

fn listed(columns: &[String]) -> String {
    columns
        .iter()
        .map(|column| format!("{column:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for FileProblem {
    /// One line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            let before = ["", "\n"][number.min(1)];
            write!(f, "{before}{}: {fault}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileProblem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.faults.iter().find_map(|fault| match fault {
            FileFault::Unreadable(error) => Some(error as &dyn std::error::Error),
            _ => None,
        })
    }
}
