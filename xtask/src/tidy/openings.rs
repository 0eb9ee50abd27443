//! The opening of a Rust file: its first line is a `//!` sentence that says what the file is.
//!
//! It can not tell a good sentence from a bad one; that is for the reviewer.

use super::{File, Finding};

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let closed = files.iter().filter(|file| file.is_rust() && !opens(&file.text));
    closed
        .map(|file| {
            file.finding(
                1,
                "does not say what it is",
                "begin with a `//!` sentence that does",
            )
        })
        .collect()
}

fn opens(text: &str) -> bool {
    let sentence = text.lines().next().and_then(|line| line.strip_prefix("//!"));
    sentence.is_some_and(|sentence| !sentence.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    #[test]
    fn a_file_that_begins_with_anything_else_is_refused() {
        for text in [
            "",
            "use std::fmt;\n",
            "// A comment.\n",
            "\n//! Too late.\n",
            "//!\n//! Too late.\n",
        ] {
            let expected = "a/src/lib.rs:1: does not say what it is; begin with a `//!` sentence that does";
            assert_eq!(found(check, &[("a/src/lib.rs", text)]), [expected], "{text:?}");
        }
    }

    #[test]
    fn a_file_that_says_what_it_is_is_accepted_and_other_kinds_need_not() {
        assert!(
            found(
                check,
                &[("a/src/lib.rs", "//! The letter a.\n"), ("a/b.lua", "return 1\n")]
            )
            .is_empty()
        );
    }
}
