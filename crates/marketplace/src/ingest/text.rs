//! The records of a CSV text (RFC 4180), strict about quotes: one that is never closed costs its own line and no other.
//!
//! It knows no header and no values. Common readers take everything from an unclosed quote to the next one, or to the end
//! of the file, for one field, and say nothing.

use std::borrow::Cow;

/// The longest record in bytes, line ends included: no table read here has a field of more than a name, and how far an
/// unclosed quote is looked after has to end somewhere.
const LONGEST_RECORD: usize = 64 * 1024;

/// Reads the records of `text` one after the other; blank lines are none.
pub(super) struct Records<'t> {
    rest: &'t [u8],
    line: u64,
    /// How many fields a record that goes over several lines must have to be believed.
    width: Option<usize>,
}

/// One record, and the line it begins on; the first is 1.
pub(super) struct Record<'t> {
    pub(super) line: u64,
    pub(super) fields: Result<Split<'t>, OpenQuote<'t>>,
}

/// Fields without their quotes and the blanks around them.
pub(super) type Split<'t> = Vec<Cow<'t, [u8]>>;

/// A quote that nothing closes as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenQuote<'t> {
    /// The number of its field, from 0.
    pub(super) field: usize,
    /// What stands from there to the end of the line.
    pub(super) text: &'t [u8],
}

impl<'t> Records<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self {
            rest: text,
            line: 1,
            width: None,
        }
    }

    /// Only records of so many fields may have line ends within their quotes from now on.
    pub(super) fn expect_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    fn advance(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += line_ends(taken);
        self.rest = rest;
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Record<'t>;

    fn next(&mut self) -> Option<Record<'t>> {
        loop {
            let here = first_line(self.rest);
            if self.rest.is_empty() {
                return None;
            }
            if !here.trim_ascii().is_empty() {
                break;
            }
            self.advance(after_line(self.rest, here.len()));
        }
        let line = self.line;
        let (text, here) = (self.rest, first_line(self.rest));
        let within = &text[..text.len().min(LONGEST_RECORD.max(here.len()))];
        let whole = |fields: usize, end: usize| {
            let ends = end < within.len() || within.len() == text.len();
            end <= here.len() || (ends && self.width.is_none_or(|width| fields == width))
        };
        let fields = match split(within) {
            Ok((fields, end)) if whole(fields.len(), end) => {
                self.advance(after_line(text, end));
                Ok(fields)
            }
            Ok((fields, _)) => Err(first_quoted_over_lines(here, fields.len())),
            Err((field, at)) => Err(OpenQuote {
                field,
                text: here.get(at..).unwrap_or_default(),
            }),
        };
        if fields.is_err() {
            self.advance(after_line(text, here.len()));
        }
        Some(Record { line, fields })
    }
}

/// The fields of the first record and where it ends; or the field whose quote nothing closes, and where that opens.
fn split(text: &[u8]) -> Result<(Split<'_>, usize), (usize, usize)> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at + blanks(&text[at..]);
        if text.get(start) == Some(&b'"') {
            let (field, end) = quoted(text, start).ok_or((fields.len(), start))?;
            fields.push(field);
            at = end;
        } else {
            let end = text[at..]
                .iter()
                .position(|byte| matches!(byte, b',' | b'\n' | b'\r'));
            let end = end.map_or(text.len(), |length| at + length);
            fields.push(Cow::Borrowed(text[at..end].trim_ascii()));
            at = end;
        }
        match text.get(at) {
            Some(b',') => at += 1,
            _ => return Ok((fields, at)),
        }
    }
}

/// The text within the quote that opens at `start`, and where the delimiter after it is.
fn quoted(text: &[u8], start: usize) -> Option<(Cow<'_, [u8]>, usize)> {
    let mut at = start + 1;
    let mut parts: Vec<&[u8]> = Vec::new();
    loop {
        let close = at + text[at..].iter().position(|byte| *byte == b'"')?;
        parts.push(&text[at..close]);
        if text.get(close + 1) == Some(&b'"') {
            parts.push(b"\"");
            at = close + 2;
            continue;
        }
        let end = close + 1 + blanks(&text[close + 1..]);
        if !matches!(text.get(end), None | Some(b',' | b'\n' | b'\r')) {
            return None;
        }
        let field = match parts.as_slice() {
            [whole] => Cow::Borrowed(whole.trim_ascii()),
            parts => Cow::Owned(parts.concat().trim_ascii().to_vec()),
        };
        return Some((field, end));
    }
}

/// Of a record that is not believed: the first field that its line does not end.
fn first_quoted_over_lines(line: &[u8], fields: usize) -> OpenQuote<'_> {
    match split(line) {
        Err((field, at)) => OpenQuote {
            field,
            text: &line[at..],
        },
        Ok(_) => OpenQuote {
            field: fields,
            text: line,
        },
    }
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// The first line, without its end.
fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    &text[..end.unwrap_or(text.len())]
}

/// Where the line after the one goes on that ends at `end`.
fn after_line(text: &[u8], end: usize) -> usize {
    match &text[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [_, ..] => end + 1,
        [] => end,
    }
}

fn line_ends(text: &[u8]) -> u64 {
    let alone = |(place, byte): (usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => text.get(place + 1) != Some(&b'\n'),
        _ => false,
    };
    text.iter().enumerate().filter(|one| alone(*one)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (u64, Result<Vec<String>, (usize, String)>);

    fn read(text: &str, width: usize) -> Vec<Read> {
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut records = Records::of(text.as_bytes());
        records.expect_width(width);
        records
            .map(|record| {
                let fields = record
                    .fields
                    .map(|fields| fields.iter().map(|field| string(field)).collect());
                (
                    record.line,
                    fields.map_err(|quote| (quote.field, string(quote.text))),
                )
            })
            .collect()
    }

    fn fields<const N: usize>(line: u64, fields: [&str; N]) -> Read {
        (line, Ok(fields.map(str::to_owned).to_vec()))
    }

    #[test]
    fn fields_are_split_at_commas_outside_of_quotes_and_lines_end_in_any_way() {
        assert_eq!(
            read("a, \"b,\"\"c\"\"\" ,d\r\n\r\n1,,2\r \t\n3\" x,4,\"5\"", 3),
            [
                fields(1, ["a", "b,\"c\"", "d"]),
                fields(3, ["1", "", "2"]),
                fields(5, ["3\" x", "4", "5"])
            ]
        );
    }

    #[test]
    fn a_quoted_field_may_go_over_lines_where_the_record_is_whole() {
        assert_eq!(
            read("a,\"b\nc\"\nd,e\n", 2),
            [fields(1, ["a", "b\nc"]), fields(3, ["d", "e"])]
        );
    }

    #[test]
    fn an_unclosed_quote_costs_its_line_whatever_follows() {
        for rest in ["", "\"x\",4\n", "x,\"4\"\n", "x,\"y\n"] {
            let text = format!("1,2\na,\"b\nc,3\n{rest}");
            let found = read(&text, 2);
            assert_eq!(found[0], fields(1, ["1", "2"]));
            assert_eq!(found[1], (2, Err((1, "\"b".to_owned()))), "{rest:?}");
            assert_eq!(found[2], fields(3, ["c", "3"]), "{rest:?}");
        }
        let torn = read("\"a\"b,1\nc,2\n", 2);
        assert_eq!(
            torn,
            [(1, Err((0, "\"a\"b,1".to_owned()))), fields(2, ["c", "2"])]
        );
    }

    #[test]
    fn a_quote_is_not_looked_after_for_ever() {
        let text = format!("\"a,1\n{}\"\n", "b,2\n".repeat(LONGEST_RECORD / 4));
        let found = read(&text, 1);
        assert_eq!(found[0], (1, Err((0, "\"a,1".to_owned()))));
        assert_eq!(found[1], fields(2, ["b", "2"]));
    }
}
