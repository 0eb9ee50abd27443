//! A CSV table read row by row, with everything that is wrong with it.
//!
//! It knows no particular file: what a row means is its reader's matter.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use csv::{ByteRecord, ReaderBuilder, StringRecord, Trim};

/// What was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested<T> {
    /// The rows that could be read, in the file's order.
    pub rows: Vec<T>,
    /// What was wrong with the others, in the file's order.
    pub problems: Vec<RowProblem>,
}

/// Why a row was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The line it begins on; the header is line 1.
    pub line: u64,
    /// The column that could not be read.
    pub column: &'static str,
    /// What stands there.
    pub value: String,
    /// What should.
    pub expected: &'static str,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {} is {:?}, expected {}",
            self.line, self.column, self.value, self.expected
        )
    }
}

/// Why a file could not be read at all.
#[derive(Debug)]
pub struct FileProblem {
    /// The file, as the caller named it.
    pub file: String,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileFault {
    /// Reading it failed.
    Unreadable(csv::Error),
    /// It has no header, or nothing below it.
    Empty,
    /// Its header lacks this column.
    MissingColumn(&'static str),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            FileFault::Unreadable(_) => write!(f, "{}: cannot be read", self.file),
            FileFault::Empty => write!(f, "{}: has no rows", self.file),
            FileFault::MissingColumn(column) => write!(f, "{}: has no column {column}", self.file),
        }
    }
}

impl std::error::Error for FileProblem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            FileFault::Unreadable(error) => Some(error),
            FileFault::Empty | FileFault::MissingColumn(_) => None,
        }
    }
}

/// A row of one kind of file.
pub(super) trait Row: Sized {
    /// The columns it reads; a file may have more.
    const COLUMNS: &'static [&'static str];

    /// Reads a row; `None` when the row is in order and not wanted.
    fn read(fields: &Fields<'_>) -> Result<Option<Self>, RowProblem>;
}

/// Reads a whole table from `source`; `file` is its name for errors.
pub(super) fn read_table<T: Row>(source: impl Read, file: &str) -> Result<Ingested<T>, FileProblem> {
    read(source).map_err(|fault| FileProblem {
        file: file.to_owned(),
        fault,
    })
}

fn read<T: Row>(source: impl Read) -> Result<Ingested<T>, FileFault> {
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .trim(Trim::All)
        .from_reader(source);
    let header = reader.byte_headers().map_err(FileFault::Unreadable)?.clone();
    if header.is_empty() {
        return Err(FileFault::Empty);
    }
    let position = |name: &&'static str| {
        let found = header.iter().position(|field| field == name.as_bytes());
        found.ok_or(FileFault::MissingColumn(name))
    };
    let positions = T::COLUMNS.iter().map(position).collect::<Result<Vec<_>, _>>()?;

    let mut ingested = Ingested {
        rows: Vec::new(),
        problems: Vec::new(),
    };
    let mut record = ByteRecord::new();
    let mut rows = 0_u64;
    while reader
        .read_byte_record(&mut record)
        .map_err(FileFault::Unreadable)?
    {
        rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        match row(&record, header.len(), &positions, line) {
            Ok(Some(row)) => ingested.rows.push(row),
            Ok(None) => {}
            Err(problem) => ingested.problems.push(problem),
        }
    }
    if rows == 0 {
        Err(FileFault::Empty)
    } else {
        Ok(ingested)
    }
}

fn row<T: Row>(
    record: &ByteRecord,
    width: usize,
    positions: &[usize],
    line: u64,
) -> Result<Option<T>, RowProblem> {
    let problem = |value, expected| RowProblem {
        line,
        column: "the row",
        value,
        expected,
    };
    if record.len() != width {
        return Err(problem(
            format!("{} fields", record.len()),
            "as many fields as the header has",
        ));
    }
    let text = StringRecord::from_byte_record(record.clone()).map_err(|error| {
        problem(
            String::from_utf8_lossy(&record[error.utf8_error().field()]).into(),
            "UTF-8 text",
        )
    })?;
    T::read(&Fields {
        record: &text,
        columns: T::COLUMNS,
        positions,
        line,
    })
}

/// The fields of one row, by column.
pub(super) struct Fields<'a> {
    record: &'a StringRecord,
    columns: &'static [&'static str],
    positions: &'a [usize],
    line: u64,
}

impl Fields<'_> {
    /// The text in `column`, without surrounding blanks; a column the row type did not declare is empty.
    pub(super) fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        index
            .and_then(|index| self.record.get(self.positions[index]))
            .unwrap_or_default()
    }

    /// The value in `column`.
    pub(super) fn value<V: FromStr>(
        &self,
        column: &'static str,
        expected: &'static str,
    ) -> Result<V, RowProblem> {
        self.text(column)
            .parse()
            .map_err(|_| self.problem(column, expected))
    }

    /// That `column` does not hold what was `expected`.
    pub(super) fn problem(&self, column: &'static str, expected: &'static str) -> RowProblem {
        RowProblem {
            line: self.line,
            column,
            value: self.text(column).to_owned(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair(String, u8);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["name", "size"];

        fn read(fields: &Fields<'_>) -> Result<Option<Self>, RowProblem> {
            Ok(Some(Self(
                fields.text("name").to_owned(),
                fields.value("size", "a small number")?,
            )))
        }
    }

    fn pairs(text: &[u8]) -> Result<Ingested<Pair>, FileProblem> {
        read_table(text, "pairs.csv")
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_among_others() {
        let read = pairs(b"\xef\xbb\xbfsize,other,name\r\n 3 ,x,\"a,b\"\r\n").unwrap();
        assert_eq!(read.rows, [Pair("a,b".to_owned(), 3)]);
        assert!(read.problems.is_empty());
    }

    #[test]
    fn a_bad_row_is_left_out_and_reported_with_its_line() {
        let read = pairs(b"name,size\na,1\nb,many\nc\nd,300,x\n\xff,1\ne,2\n").unwrap();
        assert_eq!(read.rows, [Pair("a".to_owned(), 1), Pair("e".to_owned(), 2)]);
        let problems: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "line 3: size is \"many\", expected a small number",
                "line 4: the row is \"1 fields\", expected as many fields as the header has",
                "line 5: the row is \"3 fields\", expected as many fields as the header has",
                "line 6: the row is \"\u{fffd}\", expected UTF-8 text",
            ]
        );
    }

    #[test]
    fn a_file_without_a_column_or_without_rows_is_refused_by_name() {
        assert_eq!(
            pairs(b"name\na\n").unwrap_err().to_string(),
            "pairs.csv: has no column size"
        );
        assert_eq!(pairs(b"").unwrap_err().to_string(), "pairs.csv: has no rows");
        assert_eq!(
            pairs(b"name,size\n").unwrap_err().to_string(),
            "pairs.csv: has no rows"
        );
    }

    #[test]
    fn a_file_that_breaks_off_is_an_error_with_its_cause() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("disk gone"))
            }
        }
        let error = read_table::<Pair>(Broken, "pairs.csv").unwrap_err();
        assert_eq!(error.to_string(), "pairs.csv: cannot be read");
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("disk gone")
        );
    }
}
