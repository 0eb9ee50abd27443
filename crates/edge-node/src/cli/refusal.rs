//! What is said of a wrong command line, without what may be a secret in it.
//!
//! An address may hold a password, and so may a word that was left over: the parser would repeat both.

use std::ffi::OsString;

use clap::Error;
use clap::error::{ContextKind, ContextValue};
use config::{SETTINGS, Secrecy};

/// What stands in place of a word that may be secret.
const HIDDEN: &str = "[not shown]";

/// The refusal as text. Words that may be secret are not in it.
#[must_use]
pub fn refusal(mut error: Error, arguments: &[OsString]) -> String {
    let secret_given = arguments
        .iter()
        .any(|word| names_a_secret(&word.to_string_lossy()));
    for kind in [
        ContextKind::InvalidValue,
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
    ] {
        let Some(ContextValue::String(word)) = error.get(kind) else {
            continue;
        };
        let is_flag = word.starts_with('-') || (kind == ContextKind::InvalidArg && word.starts_with('<'));
        let rest_of_a_secret = secret_given && !is_flag && kind != ContextKind::InvalidValue;
        if rest_of_a_secret || may_be_secret(word) {
            error.insert(kind, ContextValue::String(HIDDEN.to_owned()));
        }
    }
    error.render().to_string()
}

/// An address, or anything with a password in its parts. A flag that takes one is shown with its name for it, `<URL>`.
fn may_be_secret(word: &str) -> bool {
    word.contains('@') || word.contains("://") || word.contains("pass=") || word.contains("password=")
}

fn names_a_secret(word: &str) -> bool {
    let secret = SETTINGS
        .iter()
        .filter(|setting| setting.secrecy == Secrecy::Secret);
    secret
        .into_iter()
        .any(|setting| word.starts_with(&setting.flag()) || word.starts_with(setting.path))
}
