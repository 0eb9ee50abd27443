//! Tests that documents name as proof: each of them is in the tree.
//!
//! A name is taken for a test's if it is a sentence, of five words or more, and any function of that name for the test: suites
//! that every implementation of a port must pass are no tests by themselves. Whether it shows what is said of it nobody checks here.

use std::collections::BTreeSet;

use super::source::Source;
use super::{File, Finding};

/// Words of a name that is a sentence.
const WORDS: usize = 5;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let sources = files.iter().filter(|file| file.is_rust());
    let code: Vec<String> = sources.map(|file| Source::of(&file.text).code).collect();
    let known: BTreeSet<&str> = code.iter().flat_map(|code| functions(code)).collect();
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents
        .flat_map(|document| unproven(document, &known))
        .collect()
}

fn unproven(document: &File, known: &BTreeSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter_map(sentence) {
            let there = match name.strip_suffix('…') {
                Some(beginning) => known
                    .range(beginning..)
                    .next()
                    .is_some_and(|next| next.starts_with(beginning)),
                None => known.contains(name),
            };
            if !there {
                findings.push(document.finding(
                    index + 1,
                    format!("no test is called `{name}`"),
                    "correct the name, or say what proves it now",
                ));
            }
        }
    }
    findings
}

fn functions(code: &str) -> impl Iterator<Item = &str> {
    let names = code.split("fn ").skip(1);
    names.map(|rest| {
        rest.split(|letter| !is_of_a_name(letter))
            .next()
            .unwrap_or_default()
    })
}

/// The last part of a path, if it is a sentence.
fn sentence(code: &str) -> Option<&str> {
    let name = code.rsplit("::").next()?;
    let words = name.trim_end_matches('…');
    (words.split('_').count() >= WORDS && words.chars().all(is_of_a_name)).then_some(name)
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn checked(text: &str) -> Vec<String> {
        let test = "#[test]\nfn a_reader_is_told_of_it() {}\n// fn a_reader_is_told_of_all() {}\n";
        found(check, &[("docs/a.md", text), ("crates/b/src/lib.rs", test)])
    }

    #[test]
    fn a_test_that_is_not_there_proves_nothing() {
        assert_eq!(
            checked("\nSee `b::a_reader_is_told_of_all`."),
            [
                "docs/a.md:2: no test is called `a_reader_is_told_of_all`; correct the name, or say what proves it now"
            ]
        );
        assert_eq!(checked("`a_reader_is_not_told…`").len(), 1);
    }

    #[test]
    fn a_test_by_its_name_or_by_its_beginning_and_other_words_are_left_alone() {
        let text = "`a_reader_is_told_of_it`, `b::a_reader_is_told…`, `A_B_C_D_E_F`, `one_two_three`, a_plain_name_of_some_words";
        assert_eq!(checked(text), [""; 0]);
    }
}
