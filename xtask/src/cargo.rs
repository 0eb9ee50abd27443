//! Running cargo: the one place that starts a process, prints what it starts, and says how it ended.
//!
//! It captures no output and retries nothing: what cargo says reaches the terminal as cargo says it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// A cargo call, run in the workspace's top folder.
pub(crate) struct Cargo {
    environment: Vec<(&'static str, OsString)>,
    arguments: Vec<OsString>,
}

impl Cargo {
    /// A call of the given arguments, the first being cargo's subcommand.
    pub(crate) fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            environment: Vec::new(),
            arguments: Vec::new(),
        }
        .args(arguments)
    }

    /// The same call with further arguments at its end.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The same call with an environment variable set.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Prints the call, runs it and waits for its end.
    ///
    /// # Errors
    /// [`Failure::NotStarted`] if there is no cargo to run, [`Failure::Ended`] if it ended with anything but success.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        eprintln!("$ {self}");
        match self.command().status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Ended {
                line: self.to_string(),
                status,
            }),
            Err(cause) => Err(Failure::NotStarted {
                line: self.to_string(),
                cause,
            }),
        }
    }

    /// Prints the call and becomes it, so that signals, the exit code and the terminal are the called program's own.
    ///
    /// A supervisor that forwards signals could do the same, but only by handling every case that the system handles
    /// already. `cargo run` does likewise, so that ctrl-c reaches the program at its end, and the shell waits for it.
    /// Systems without `exec` run the call as a child.
    ///
    /// # Errors
    /// As [`Cargo::run`].
    #[cfg(unix)]
    pub(crate) fn become_it(&self) -> Result<(), Failure> {
        use std::os::unix::process::CommandExt;

        eprintln!("$ {self}");
        let cause = self.command().exec();
        Err(Failure::NotStarted {
            line: self.to_string(),
            cause,
        })
    }

    /// Prints the call, runs it and waits for its end: this system has no `exec`.
    #[cfg(not(unix))]
    pub(crate) fn become_it(&self) -> Result<(), Failure> {
        self.run()
    }

    /// Whether the call succeeds, with nothing of it shown.
    pub(crate) fn succeeds_silently(&self) -> bool {
        let status = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(workspace());
        command
    }
}

/// As a shell would take it, so that a failing step can be copied and run by hand.
impl fmt::Display for Cargo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(out, "{name}={} ", quoted(value))?;
        }
        write!(out, "cargo")?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(out, " {}", quoted(argument)))
    }
}

fn quoted(word: &OsStr) -> String {
    let word = without_password(&word.to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A call is printed for whoever reads the log: what stands before the host of an address is for the server alone.
fn without_password(word: &str) -> String {
    match (word.split_once("://"), word.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, place))) if rest.contains('@') => format!("{scheme}://***@{place}"),
        _ => word.to_owned(),
    }
}

/// Whether a program can be started: it is asked for its version, and nothing of it is shown.
pub(crate) fn has_program(name: &str) -> bool {
    let asked = Command::new(name)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// The workspace's top folder: the parent of this package's own, as cargo says at run time.
///
/// What cargo said at compile time is only the fallback for a program started by hand: two checkouts that share a build
/// folder share this program too, and each must check its own tree.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is its own composition root"
)]
pub(crate) fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = PathBuf::from(package);
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// Why a task did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program could not be started: install it or correct `PATH`.
    NotStarted {
        /// The call.
        line: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The program ran and reported failure: its own output says why.
    Ended {
        /// The call.
        line: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file of the workspace could not be read.
    Unreadable {
        /// The file or folder, from the top folder.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The tree breaks this many rules, each already printed.
    Untidy(usize),
    /// There is no image for the servers that tests need: what was tried, and what would be right.
    NoImage(String),
    /// A program is missing.
    NoProgram {
        /// How it is called.
        name: &'static str,
        /// What it is for, and how to install it.
        right: &'static str,
    },
    /// There is no benchmark of that name.
    UnknownBench {
        /// What was asked for.
        asked: String,
        /// What there is, one line each.
        known: String,
    },
}

impl Failure {
    /// The failed program's own exit code where it had one, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Ended { status, .. } => status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { line, cause } => write!(out, "could not start `{line}`: {cause}"),
            Self::Ended { line, status } => write!(out, "`{line}` failed ({status})"),
            Self::Unreadable { path, cause } => write!(out, "could not read {path}: {cause}"),
            Self::Untidy(1) => write!(out, "1 house rule is broken"),
            Self::Untidy(count) => write!(out, "{count} house rules are broken"),
            Self::NoImage(reason) => out.write_str(reason),
            Self::NoProgram { name, right } => write!(out, "there is no `{name}`: {right}"),
            Self::UnknownBench { asked, known } => {
                write!(out, "there is no benchmark `{asked}`; there is:\n{known}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_call_shows_no_password() {
        let call = Cargo::new(["run", "--redis"])
            .env("TEST_REDIS_URL", "redis://ada:secret@cache:6379")
            .args(["redis://:s/e@secret@cache", "a@b", "a://b"]);
        assert_eq!(
            call.to_string(),
            "TEST_REDIS_URL='redis://***@cache:6379' cargo run --redis 'redis://***@cache' a@b a://b"
        );
    }

    #[test]
    fn a_printed_call_can_be_pasted_into_a_shell() {
        let call = Cargo::new(["doc", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["it's", ""]);
        assert_eq!(
            call.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s' ''"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_programs_exit_code_is_passed_on_and_a_signal_counts_as_failure() {
        use std::os::unix::process::ExitStatusExt;

        let ended = |raw| Failure::Ended {
            line: "cargo fmt".to_owned(),
            status: ExitStatus::from_raw(raw),
        };
        assert_eq!(ended(101 << 8).exit_code(), 101);
        assert_eq!(ended(9).exit_code(), 1);
        assert_eq!(
            ended(101 << 8).to_string(),
            "`cargo fmt` failed (exit status: 101)"
        );
    }

    #[test]
    fn a_program_is_there_only_if_it_can_be_started() {
        assert!(has_program("cargo"));
        assert!(!has_program("no-program-has-this-name"));
    }

    #[test]
    fn the_workspace_is_the_folder_that_holds_the_lockfile() {
        assert!(workspace().join("Cargo.lock").is_file());
    }
}
