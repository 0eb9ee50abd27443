//! The length of files: none so long that it hides what it holds, and the usual one short enough for one reading.
//!
//! It counts lines as the editor does, tests and comments included: what is read is what counts.

use super::{File, Finding};

/// The hard stop. A file of this length with its tests is two files: `foo.rs` and `foo/tests.rs`.
const LONGEST: usize = 600;
/// What the median over `crates/` may be: three screens.
const MEDIAN: usize = 150;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let source = files
        .iter()
        .filter(|file| file.is_rust() || file.path.ends_with(".lua"));
    let long = source.filter_map(|file| {
        let lines = file.text.lines().count();
        let wrong = format!("{lines} lines are more than {LONGEST}");
        (lines > LONGEST).then(|| {
            file.finding(
                LONGEST + 1,
                wrong,
                "split it, tests into a file of their own first",
            )
        })
    });
    let median = median(files)
        .filter(|median| *median > MEDIAN)
        .map(|median| Finding {
            path: "crates".to_owned(),
            line: 1,
            wrong: format!("the median file has {median} lines, more than {MEDIAN}"),
            right: "split the longest files".to_owned(),
        });
    long.chain(median).collect()
}

/// The median in words.
pub(super) fn summary(files: &[File]) -> String {
    match median(files) {
        Some(median) => format!("median length in crates/ {median} lines (at most {MEDIAN})"),
        None => "no crates".to_owned(),
    }
}

/// Of an even number of files the longer of the middle two.
fn median(files: &[File]) -> Option<usize> {
    let crates = files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("crates/"));
    let mut lengths: Vec<usize> = crates.map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    #[test]
    fn a_file_may_reach_the_hard_stop_and_not_pass_it() {
        assert!(found(check, &[("xtask/src/a.rs", &"\n".repeat(LONGEST))]).is_empty());
        let expected =
            "xtask/src/a.rs:601: 601 lines are more than 600; split it, tests into a file of their own first";
        assert_eq!(
            found(check, &[("xtask/src/a.rs", &"\n".repeat(LONGEST + 1))]),
            [expected]
        );
    }

    #[test]
    fn the_median_counts_and_one_long_file_does_not() {
        let (short, long) = ("\n".repeat(MEDIAN), "\n".repeat(MEDIAN + 1));
        assert!(
            found(
                check,
                &[
                    ("crates/a.rs", &short),
                    ("crates/b.rs", &short),
                    ("crates/c.rs", &long)
                ]
            )
            .is_empty()
        );
        let expected = "crates:1: the median file has 151 lines, more than 150; split the longest files";
        let files = [
            ("crates/a.rs", &*short),
            ("crates/b.rs", &long),
            ("crates/c.rs", &long),
            ("tests/d.rs", ""),
        ];
        assert_eq!(found(check, &files), [expected]);
    }
}
