//! The YAML file as a flat list of paths, texts and lines.
//!
//! Knows settings only so far as to tell a value from a section. Deliberately reads scalars as text: YAML
//! would make a number of the password `0123` and drop its zero; what a text means is for the setting's type
//! to say.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::table::Setting;

/// What the file says, and what is wrong with its form.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) values: Vec<Line>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) is_malformed: bool,
}

/// A value in the file. The text is empty for YAML's null.
pub(crate) struct Line {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Something in the file that has the wrong form. The path is empty when the file as a whole is concerned.
pub(crate) struct Fault {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) expected: String,
}

/// Reads the file. Of a malformed file nothing is kept but the one fault, since what stands before it may be
/// cut short.
pub(crate) fn read(text: &str) -> Contents {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        contents: Contents::default(),
        first: HashMap::new(),
    };
    match reader.document() {
        Ok(()) => reader.contents,
        Err(error) => {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            let expected = format!("YAML, but at line {line}, column {column}: {}", error.info());
            let faults = vec![Fault {
                path: String::new(),
                line,
                expected,
            }];
            Contents {
                values: Vec::new(),
                faults,
                is_malformed: true,
            }
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    contents: Contents,
    /// Line on which each path was first given.
    first: HashMap<String, usize>,
}

type Spanned<'a> = (Event<'a>, Span);

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), ScanError> {
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents == 2 {
                        self.fault("", &span, "a single document");
                    }
                }
                Event::MappingStart(..) => self.node("", (event, span))?,
                Event::Scalar(ref text, style, ..) if is_null(text, style) => {}
                _ => {
                    self.fault("", &span, "sections with settings beneath them");
                    self.skip(&event)?;
                }
            }
        }
    }

    /// Reads what stands under `path`.
    fn node(&mut self, path: &str, (event, span): Spanned<'a>) -> Result<(), ScanError> {
        match event {
            Event::Scalar(text, style, ..) => {
                let text = if is_null(&text, style) { "" } else { &text };
                self.value(path, text, &span);
            }
            Event::MappingStart(..) if Setting::find(path).is_none() => {
                self.mapping(path, &span)?;
            }
            Event::Alias(_) => self.fault(path, &span, "a value, not an alias"),
            _ => {
                self.fault(path, &span, "a single value, neither a list nor a section");
                self.skip(&event)?;
            }
        }
        Ok(())
    }

    fn mapping(&mut self, path: &str, start: &Span) -> Result<(), ScanError> {
        let mut is_empty = true;
        loop {
            let key = self.next()?;
            match key {
                (Event::MappingEnd, _) if is_empty && !path.is_empty() => {
                    self.value(path, "", start);
                    return Ok(());
                }
                (Event::MappingEnd, _) => return Ok(()),
                (Event::Scalar(key, ..), _) => {
                    let path = if path.is_empty() {
                        key.into_owned()
                    } else {
                        format!("{path}.{key}")
                    };
                    let value = self.next()?;
                    self.node(&path, value)?;
                }
                (event, span) => {
                    self.fault(path, &span, "a name before the colon");
                    self.skip(&event)?;
                    let (event, _) = self.next()?;
                    self.skip(&event)?;
                }
            }
            is_empty = false;
        }
    }

    fn value(&mut self, path: &str, text: &str, span: &Span) {
        let line = span.start.line();
        if let Some(first) = self.first.get(path) {
            let expected = format!("to stand once, but it stands on line {first} already");
            self.fault(path, span, &expected);
            return;
        }
        self.first.insert(path.to_owned(), line);
        self.contents.values.push(Line {
            path: path.to_owned(),
            text: text.to_owned(),
            line,
        });
    }

    fn fault(&mut self, path: &str, span: &Span, expected: &str) {
        let (path, expected) = (path.to_owned(), expected.to_owned());
        self.contents.faults.push(Fault {
            path,
            line: span.start.line(),
            expected,
        });
    }

    /// Passes over the rest of a node that began with `event`.
    fn skip(&mut self, event: &Event<'a>) -> Result<(), ScanError> {
        let depth_change = |event: &Event<'_>| match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => 1,
            Event::MappingEnd | Event::SequenceEnd => -1,
            _ => 0,
        };
        let mut depth = depth_change(event);
        while depth > 0 {
            depth += depth_change(&self.next()?.0);
        }
        Ok(())
    }

    /// The next event; the end of the file, again and again, after the last.
    fn next(&mut self) -> Result<Spanned<'a>, ScanError> {
        self.events
            .next_event()
            .unwrap_or(Ok((Event::StreamEnd, Span::default())))
    }
}

fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
