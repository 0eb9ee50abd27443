//! Names: none that would fit anything, and no `get_` where the noun says it.
//!
//! It reads the names of files and of public items; a private name is between its author and the reviewer. A word
//! counts as a whole: `utilisation` is a fine name.

use super::source::Source;
use super::{File, Finding};

/// Words that say nothing about what they name.
const EMPTY: &[&str] = &[
    "helper",
    "helpers",
    "util",
    "utils",
    "utility",
    "utilities",
    "common",
];

/// In a cache, `get` is the act itself, and these are the names everybody knows it by.
const VERBS: &[&str] = &[
    "get_with",
    "get_or_load",
    "get_or_load_with",
    "get_many",
    "get_or_load_many",
];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .flat_map(|file| path(file).into_iter().chain(items(file)))
        .collect()
}

fn path(file: &File) -> Option<Finding> {
    let word = empty_word(&file.path)?;
    Some(file.finding(
        1,
        format!("`{word}` in a path says nothing"),
        "name the file after what it holds",
    ))
}

fn items(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let source = Source::of(&file.text);
    let mut scope = Scope::default();
    let mut findings = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        let item = Item::on(line, scope.is_public_trait());
        scope.pass(line, item.as_ref());
        findings.extend(item.and_then(|item| judge(file, index + 1, &item)));
    }
    findings
}

fn judge(file: &File, line: usize, item: &Item<'_>) -> Option<Finding> {
    let name = item.name;
    if let Some(noun) = name
        .strip_prefix("get_")
        .filter(|_| item.kind == "fn" && !VERBS.contains(&name))
    {
        return Some(file.finding(
            line,
            format!("`{name}` begins with `get_`"),
            format!("call it `{noun}`"),
        ));
    }
    let word = empty_word(name)?;
    Some(file.finding(
        line,
        format!("`{word}` in `{name}` says nothing"),
        "name it after what it does or holds",
    ))
}

/// A public item that begins on a line.
struct Item<'l> {
    kind: &'l str,
    name: &'l str,
}

impl<'l> Item<'l> {
    /// Reads `pub(crate) const unsafe fn name`; a trait's function is public without saying so.
    fn on(line: &'l str, in_public_trait: bool) -> Option<Self> {
        let line = line.trim_start();
        let declared = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with([' ', '(']) => without_scope(rest),
            _ if in_public_trait => line,
            _ => return None,
        };
        let in_name = |c: char| c.is_alphanumeric() || c == '_';
        let mut words = declared
            .split(|c| !in_name(c))
            .filter(|word| !word.is_empty())
            .peekable();
        loop {
            match words.next()? {
                "async" | "unsafe" | "extern" | "default" => {}
                "const" if matches!(words.peek(), Some(&("fn" | "unsafe" | "async" | "extern"))) => {}
                "static" if words.peek() == Some(&"mut") => {}
                kind @ ("fn" | "struct" | "enum" | "union" | "trait" | "type" | "mod" | "const"
                | "static" | "mut") => {
                    return words.next().map(|name| Self { kind, name });
                }
                _ => return None,
            }
        }
    }
}

fn without_scope(rest: &str) -> &str {
    rest.strip_prefix('(')
        .and_then(|scoped| scoped.split_once(')'))
        .map_or(rest, |(_, declared)| declared)
}

/// How deep in braces a line is, and from which depth on it is in a public trait.
#[derive(Default)]
struct Scope {
    depth: usize,
    public_trait: Option<usize>,
}

impl Scope {
    /// A trait's own items stand one level below it; deeper are the bodies of default methods.
    fn is_public_trait(&self) -> bool {
        self.public_trait.is_some_and(|outer| self.depth == outer + 1)
    }

    fn pass(&mut self, line: &str, item: Option<&Item<'_>>) {
        if item.is_some_and(|item| item.kind == "trait") {
            self.public_trait = Some(self.depth);
        }
        for c in line.chars() {
            match c {
                '{' => self.depth += 1,
                '}' => self.depth = self.depth.saturating_sub(1),
                _ => continue,
            }
            if c == '}' && self.public_trait == Some(self.depth) {
                self.public_trait = None;
            }
        }
    }
}

/// The first empty word in a name or path, in whatever way its words are joined.
fn empty_word(name: &str) -> Option<&'static str> {
    let mut spaced = String::new();
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && !spaced.ends_with(char::is_uppercase) {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
    }
    let mut words = spaced.split_whitespace().map(str::to_lowercase);
    words.find_map(|word| EMPTY.iter().find(|empty| **empty == word).copied())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::found;
    use super::*;

    fn checked(code: &str) -> Vec<String> {
        found(check, &[("crates/a/src/lib.rs", code)])
    }

    #[test]
    fn an_empty_word_in_a_public_name_is_refused_however_it_is_joined() {
        for name in ["KeyHelper", "key_util", "COMMON_KEYS", "Utils"] {
            for item in [
                "pub struct",
                "pub(crate) const unsafe fn",
                "pub mod",
                "pub(in crate::a) static",
                "pub const",
            ] {
                let found = checked(&format!("{item} {name};"));
                assert_eq!(found.len(), 1, "{item} {name}: {found:?}");
            }
        }
        let expected = "crates/a/src/lib.rs:2: `helper` in `KeyHelper` says nothing; name it after what it does or holds";
        assert_eq!(checked("\npub struct KeyHelper<T> {"), [expected]);
    }

    #[test]
    fn an_empty_word_in_a_path_is_refused() {
        for path in [
            "crates/a/src/util.rs",
            "tests/common/mod.rs",
            "docs/helpers.md",
            "crates/test-utils/Cargo.toml",
        ] {
            assert_eq!(found(check, &[(path, "")]).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_word_that_only_contains_an_empty_one_is_fine() {
        assert!(checked("pub fn utilisation() {}\npub struct Commonwealth;\n").is_empty());
    }

    #[test]
    fn the_acts_of_a_cache_keep_their_names() {
        assert!(checked("pub async fn get_or_load(&self) {").is_empty());
    }

    #[test]
    fn a_getter_is_refused_on_a_type_and_in_a_public_trait() {
        let expected = "crates/a/src/lib.rs:1: `get_size` begins with `get_`; call it `size`";
        assert_eq!(checked("pub async fn get_size(&self) -> usize {"), [expected]);
        assert_eq!(
            checked("pub trait Store {\n    fn get_size(&self);\n}\nfn get_private() {}\n").len(),
            1
        );
    }

    #[test]
    fn private_functions_test_sentences_and_foreign_traits_are_left_alone() {
        let code = "#[test]\nfn get_requests_are_answered() {}\nimpl Foreign for Own {\n    fn get_db(&self) {}\n}\n\
                    trait Inner { fn get_a(&self); }\npub trait Outer {\n    fn a(&self) {\n        fn get_b() {}\n    }\n}\n";
        assert!(checked(code).is_empty());
    }

    #[test]
    fn comments_and_strings_name_nothing() {
        assert!(checked("// pub struct Helper;\nconst A: &str = \"\npub struct Helper;\";\n").is_empty());
    }
}
