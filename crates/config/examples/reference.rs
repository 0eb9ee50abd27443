//! Prints the reference page of all settings, which is checked in as `docs/configuration.md`.
//!
//! Deliberately writes no file: where the page belongs is for the caller to say.

fn main() {
    print!("{}", config::reference());
}
