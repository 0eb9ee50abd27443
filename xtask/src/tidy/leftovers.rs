//! Leftovers: what belongs to work in progress and not into a commit.
//!
//! It sees marks, not intentions: half a feature without one passes. Clippy refuses the same macros where it compiles
//! them; here they are also refused behind a `cfg`.

use super::source::Source;
use super::{File, Finding};

const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const MARKS: &[&str] = &["TODO", "FIXME"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .flat_map(|file| if file.is_rust() { rust(file) } else { other(file) })
        .collect()
}

fn rust(file: &File) -> Vec<Finding> {
    let source = Source::of(&file.text);
    let mut findings = Vec::new();
    for (index, (code, comment)) in source.code.lines().zip(source.comments.lines()).enumerate() {
        let dense: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if dense.contains("#[ignore]") {
            let right = "write `#[ignore = \"the reason\"]`, or make the test run";
            findings.push(file.finding(index + 1, "a test is ignored without a reason", right));
        }
        let macros = MACROS
            .iter()
            .filter(|name| words(code).any(|(word, after)| word == **name && after == Some('!')));
        findings.extend(
            macros.map(|name| file.finding(index + 1, format!("`{name}!` is left"), "finish the code")),
        );
        findings.extend(marks(file, index + 1, code));
        findings.extend(marks(file, index + 1, comment));
    }
    findings
}

/// Prose may name the marks in order to forbid them; code in other languages may not.
fn other(file: &File) -> Vec<Finding> {
    let prose = file.path.ends_with(".md");
    let lines = file.text.lines().enumerate().filter(|_| !prose);
    lines
        .flat_map(|(index, line)| marks(file, index + 1, line))
        .collect()
}

fn marks(file: &File, line: usize, text: &str) -> Vec<Finding> {
    let marks = MARKS
        .iter()
        .filter(|mark| words(text).any(|(word, _)| word == **mark));
    marks
        .map(|mark| file.finding(line, format!("`{mark}` is left"), "do it, or open an issue"))
        .collect()
}

/// The words of a line, each with the character after it.
fn words(line: &str) -> impl Iterator<Item = (&str, Option<char>)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = &rest[rest.find(in_word)?..];
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        Some((word, rest.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn checked(code: &str) -> Vec<String> {
        found(check, &[("a.rs", code)])
    }

    #[test]
    fn a_test_ignored_without_a_reason_is_refused() {
        let expected = "a.rs:2: a test is ignored without a reason; write `#[ignore = \"the reason\"]`, or make the test run";
        assert_eq!(checked("#[test]\n#[ignore]\nfn a() {}\n"), [expected]);
        assert!(checked("#[test]\n#[ignore = \"needs a server\"]\nfn a() {}\n").is_empty());
    }

    #[test]
    fn each_macro_of_work_in_progress_is_refused() {
        for name in MACROS {
            assert_eq!(
                checked(&format!("fn a() {{ std::{name}!(b) }}")),
                [format!("a.rs:1: `{name}!` is left; finish the code")]
            );
        }
        assert!(checked("fn todo() -> bool { a != b }\nmod dbg {}\n").is_empty());
    }

    #[test]
    fn each_mark_is_refused_in_comments_code_and_other_languages() {
        for mark in MARKS {
            let expected = format!("a.rs:1: `{mark}` is left; do it, or open an issue");
            assert_eq!(checked(&format!("// {mark}: later")), [&*expected]);
            assert_eq!(checked(&format!("/// {mark}(me) later")), [&*expected]);
            assert_eq!(checked(&format!("const {mark}: u8 = 1;")), [expected]);
            assert_eq!(found(check, &[("a.toml", &format!("# {mark}\n"))]).len(), 1);
        }
    }

    #[test]
    fn strings_prose_and_longer_words_may_hold_a_mark() {
        assert!(checked("const A: &str = \"TODO\"; // TODOS, todo").is_empty());
        assert!(found(check, &[("CONTRIBUTING.md", "No TODO.\n")]).is_empty());
    }
}
