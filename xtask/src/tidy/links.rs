//! Links between documents: each relative link in a Markdown file points at something in the tree.
//!
//! It follows no link to another site, which fails with the weather, and no anchor within a page.

use super::{File, Finding};

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents.flat_map(|document| broken(document, files)).collect()
}

fn broken(document: &File, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fence = None;
    for (index, line) in document.text.lines().enumerate() {
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => findings.extend(targets(&without_code(line)).into_iter().filter_map(|target| {
                let missing = path(document, &target).filter(|path| !exists(path, files))?;
                let wrong = format!("the link `{target}` leads nowhere");
                Some(document.finding(
                    index + 1,
                    wrong,
                    format!("there is no {missing}: correct the link or add it"),
                ))
            })),
            _ => {}
        }
    }
    findings
}

/// The line with its `code` blanked.
fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 0 { part } else { " " })
        .collect()
}

/// What follows `](`, or a definition `[label]:` at the line's start, without a title.
fn targets(line: &str) -> Vec<String> {
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
        .map(|(_, target)| target);
    let bare = |target: &str| {
        Some(
            target
                .split_whitespace()
                .next()?
                .trim_matches(['<', '>'])
                .to_owned(),
        )
    };
    inline.chain(definition).filter_map(bare).collect()
}

/// The path a relative target means, from the top folder; nothing if the target leaves the tree's pages or stays in one.
fn path(document: &File, target: &str) -> Option<String> {
    let target = target
        .split(['#', '?'])
        .next()
        .filter(|target| !target.is_empty())?;
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (base, target) = match target.strip_prefix('/') {
        Some(from_top) => ("", from_top),
        None => (document.folder(), target),
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn exists(path: &str, files: &[File]) -> bool {
    let within = |file: &File| {
        file.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.is_empty() || files.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn checked(path: &str, text: &str) -> Vec<String> {
        found(
            check,
            &[
                (path, text),
                ("README.md", ""),
                ("docs/a.md", ""),
                ("crates/b/src/lib.rs", ""),
            ],
        )
    }

    #[test]
    fn a_link_to_nothing_is_refused_with_the_path_it_means() {
        let expected = "docs/c.md:2: the link `../docs/x.md#part` leads nowhere; \
                        there is no docs/x.md: correct the link or add it";
        assert_eq!(
            checked("docs/c.md", "\nSee [x](../docs/x.md#part).\n"),
            [expected]
        );
        assert_eq!(checked("docs/c.md", "[x]: x.md \"Title\"\n").len(), 1);
        assert_eq!(
            checked("docs/c.md", "[a](a.md) and ![x](x.png \"Title\")\n").len(),
            1
        );
        assert_eq!(checked("docs/c.md", "[out](../../README.md)\n").len(), 1);
    }

    #[test]
    fn a_link_to_a_file_a_folder_an_anchor_or_another_site_is_accepted() {
        let text = "[a](a.md) [b](a.md#top) [c](../README.md) [d](/docs/a.md) [e](../crates/b/) [f](#here)\n\
                    [g](https://example.org/x) [h](mailto:a@example.org) [i](<a.md>)\n[j]: ./a.md\n";
        assert_eq!(checked("docs/c.md", text), [""; 0]);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(
            checked(
                "docs/c.md",
                "`[a](x.md)`\n```text\n[a](x.md)\n~~~\n```\n[a](a.md)\n"
            ),
            [""; 0]
        );
    }
}
