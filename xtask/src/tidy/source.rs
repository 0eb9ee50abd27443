//! Rust source split into its code and its comments, so that a rule on one does not stumble over the other.
//!
//! It is no parser: it knows comments, strings and characters, which is all that can hide one thing in another. The
//! content of strings is in neither half: text that a program prints is not bound by rules for names.

/// Both halves have the lines and columns of the original, with blanks where the other half or a string stood.
pub(super) struct Source {
    pub(super) code: String,
    pub(super) comments: String,
}

impl Source {
    pub(super) fn of(text: &str) -> Self {
        let mut splitter = Splitter {
            text: text.chars().collect(),
            at: 0,
            code: String::new(),
            comments: String::new(),
        };
        while splitter.at < splitter.text.len() {
            let (length, half) = splitter.next_part();
            splitter.take(length, half);
        }
        Self {
            code: splitter.code,
            comments: splitter.comments,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Code,
    Comments,
    Neither,
}

struct Splitter {
    text: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Splitter {
    fn next_part(&self) -> (usize, Half) {
        let rest = &self.text[self.at..];
        match rest {
            ['/', '/', ..] => (rest.iter().take_while(|c| **c != '\n').count(), Half::Comments),
            ['/', '*', ..] => (block_comment(rest), Half::Comments),
            ['"', ..] => (quoted(rest, '"'), Half::Neither),
            ['\'', '\\', ..] => (quoted(rest, '\''), Half::Neither),
            ['\'', _, '\'', ..] => (3, Half::Neither),
            ['r', '"' | '#', ..] if self.begins_a_literal() => match raw_string(rest) {
                Some(length) => (length, Half::Neither),
                None => (1, Half::Code),
            },
            _ => (1, Half::Code),
        }
    }

    /// Whether the `r` here is not the end of a name; it may follow the `b` or `c` of a byte or C string.
    fn begins_a_literal(&self) -> bool {
        let mut before = self.text[..self.at].iter().rev();
        let in_name = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
        match before.next() {
            Some('b' | 'c') => !in_name(before.next()),
            other => !in_name(other),
        }
    }

    fn take(&mut self, length: usize, half: Half) {
        let end = (self.at + length).min(self.text.len());
        for c in &self.text[self.at..end] {
            let shown = |own: bool| if own || *c == '\n' { *c } else { ' ' };
            self.code.push(shown(half == Half::Code));
            self.comments.push(shown(half == Half::Comments));
        }
        self.at = end;
    }
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    let content = rest
        .get(1 + hashes..)
        .filter(|content| content.first() == Some(&'"'))?;
    let ends = |window: &[char]| window[0] == '"' && window[1..].iter().all(|c| *c == '#');
    let length = content[1..]
        .windows(1 + hashes)
        .position(ends)
        .map_or(content.len(), |at| at + 2 + hashes);
    Some(1 + hashes + length)
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match rest[at..] {
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::of(text)
            .code
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_are_told_from_code_even_when_nested_or_within_strings() {
        let source = Source::of("let a = 1; // one\n/* two /* three */ four */ let b = \"// no\";\n");
        assert_eq!(
            source.comments.split_whitespace().collect::<Vec<_>>().join(" "),
            "// one /* two /* three */ four */"
        );
        assert_eq!(
            code("let a = 1; // one\n/* two /* three */ four */ let b = \"// no\";\n"),
            "let a = 1; let b = ;"
        );
    }

    #[test]
    fn strings_of_every_form_end_where_they_end() {
        assert_eq!(
            code(r##"f("a\"b", r"\", r#"a"b"#, br#"x"#, b"y", c"z") + g"##),
            "f( , , , b , b , c ) + g"
        );
    }

    #[test]
    fn a_character_is_no_lifetime_and_a_raw_name_no_string() {
        assert_eq!(
            code(r#"f('"', '\'', '\u{22}') + g::<'a>(r#type)"#),
            "f( , , ) + g::<'a>(r#type)"
        );
    }

    #[test]
    fn lines_stay_where_they_were() {
        let text = "a\n\"b\nc\"\n/* d\n */ e\n";
        let source = Source::of(text);
        assert_eq!(source.code.lines().count(), text.lines().count());
        assert_eq!(source.code.lines().nth(4).map(str::trim), Some("e"));
    }
}
