//! Tables that are wrong in every way, each told with file, line, column, value and what would be right.
//!
//! What is wrong with one value is told by the reader of its rows.

use super::*;

#[derive(Debug, PartialEq)]
struct Pair(String, u8);

impl Row for Pair {
    const COLUMNS: &'static [&'static str] = &["name", "size"];
    const UNIQUE: Option<&'static str> = Some("name");

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = match fields.text("name") {
            "-" => fields.problem("name", "a name"),
            name => Some(name.to_owned()),
        };
        let size = fields.value("size", "a small number");
        Some(Self(name?, size?))
    }
}

fn pairs(text: &[u8]) -> Result<Ingested<Pair>, FileProblem> {
    read_table(text, "pairs.csv")
}

fn told(text: &[u8]) -> Vec<String> {
    pairs(text)
        .unwrap()
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn refused(text: &[u8]) -> String {
    pairs(text).unwrap_err().to_string()
}

#[test]
fn columns_are_found_by_name_in_any_order_case_and_among_others_after_a_byte_order_mark() {
    let read = pairs(b"\xef\xbb\xbfSIZE,other,\"Name\"\r\n 3 ,x,\"a,b\"\r\n").unwrap();
    assert_eq!(read.rows, [Pair("a,b".to_owned(), 3)]);
    assert_eq!((read.problems, read.adjustments), (vec![], vec![]));
}

#[test]
fn a_bad_row_is_left_out_and_everything_that_is_wrong_with_it_is_reported_with_its_line() {
    let text = b"name,size\na,1\n-,many\nc\nd,300,x\n\xff,1\ne,2\n";
    let read = pairs(text).unwrap();
    assert_eq!(read.rows, [Pair("a".to_owned(), 1), Pair("e".to_owned(), 2)]);
    assert_eq!(
        told(text),
        [
            "pairs.csv: line 3: name is \"-\", expected a name",
            "pairs.csv: line 3: size is \"many\", expected a small number",
            "pairs.csv: line 4: the number of fields is \"1\", expected 2, as many as the header has",
            "pairs.csv: line 5: the number of fields is \"3\", expected 2, as many as the header has",
            "pairs.csv: line 6: name is \"\u{fffd}\", expected UTF-8 text",
        ]
    );
}

#[test]
fn an_unclosed_quote_is_reported_and_costs_no_row_but_its_own() {
    let text = b"name,size\na,1\n\"b,2\nc,3\nd,\"4\"\n\"e\",\"5\n";
    let read = pairs(text).unwrap();
    let names: Vec<&str> = read.rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["a", "c", "d"]);
    let expected = "expected a closing quote, with a comma or the line's end after it";
    assert_eq!(
        told(text),
        [
            format!("pairs.csv: line 3: name is \"\\\"b,2\", {expected}"),
            format!("pairs.csv: line 6: size is \"\\\"5\", {expected}"),
        ]
    );
}

#[test]
fn a_row_whose_name_another_has_is_reported_and_the_rest_is_kept() {
    let text = b"name,size\na,1\nb,2\na,3\nc,4\n";
    let rows = pairs(text).unwrap().rows;
    assert_eq!(
        rows,
        [("a", 1), ("b", 2), ("c", 4)].map(|(name, size)| Pair(name.to_owned(), size))
    );
    assert_eq!(
        told(text),
        ["pairs.csv: line 4: name is \"a\", expected a value of its own: line 2 has it already"]
    );
}

#[test]
fn everything_that_is_wrong_with_a_header_is_told_at_once() {
    assert_eq!(
        refused(b"Name,other,name\na,b,c\n"),
        "pairs.csv: has the column name 2 times, as \"Name\", \"name\", expected it once\n\
         pairs.csv: has no column size, expected it beside \"Name\", \"other\", \"name\""
    );
    assert_eq!(
        refused(b"name,\"size\na,1\n"),
        "pairs.csv: line 1: the header has \"\\\"size\", expected a closing quote"
    );
}

#[test]
fn a_file_without_rows_or_in_another_encoding_is_refused_by_name() {
    let empty = "pairs.csv: has no rows, expected a header and a row for each thing";
    assert_eq!(refused(b""), empty);
    assert_eq!(refused(b"name,size\n\n"), empty);
    assert_eq!(
        refused(b"\xff\xfen\0a\0"),
        "pairs.csv: is a text in UTF-16, expected UTF-8"
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
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("disk gone"));
}
