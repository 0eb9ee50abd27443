//! `cargo xtask test-integration`: the tests that need real servers, and the image those servers run from.
//!
//! It starts no server: each test starts its own in a container. It only sees to it that there is an image.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo::{Cargo, Failure};

/// What follows `cargo xtask test-integration`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the port's conformance suites on a running server, as in redis://127.0.0.1:6379, and nothing that would disturb
    /// it. What the suites write has names of its own
    #[arg(long)]
    url: Option<String>,
    /// Passed to the test program, such as a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Finds or builds an image, then runs the tests.
///
/// # Errors
/// [`Failure::NoImage`] where there is none and none can be made; else the tests' own.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let tests = Cargo::new(["test", "--package", "tests", "--test", "redis", "--"]);
    match &args.url {
        Some(url) => on_given_server(tests, url).args(&args.arguments).become_it(),
        None => {
            let image = image()?;
            // Each has servers of its own: more at once would measure the machine.
            tests
                .env("TEST_REDIS_IMAGE", image)
                .args(["--test-threads", "4"])
                .args(&args.arguments)
                .become_it()
        }
    }
}

fn on_given_server(tests: Cargo, url: &str) -> Cargo {
    let suites = [
        "--exact",
        "conformance::it_is_a_shared_store",
        "conformance::it_is_an_event_bus",
    ];
    tests.env("TEST_REDIS_URL", url).args(suites)
}

/// The image that was asked for, the official one, or one made of this machine's own server.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is its own composition root"
)]
fn image() -> Result<String, Failure> {
    if !succeeds(&["info"]) {
        return Err(Failure::NoImage(
            "Docker does not answer; start it, or name a running server with --url redis://host:port"
                .to_owned(),
        ));
    }
    if let Ok(asked) = std::env::var("TEST_REDIS_IMAGE") {
        return match is_there(&asked) {
            true => Ok(asked),
            false => Err(Failure::NoImage(format!(
                "TEST_REDIS_IMAGE names {asked}, which is neither here nor can be pulled"
            ))),
        };
    }
    if is_there(OFFICIAL) {
        return Ok(OFFICIAL.to_owned());
    }
    eprintln!("{OFFICIAL} cannot be pulled: building {LOCAL} from this machine's redis-server");
    build()?;
    Ok(LOCAL.to_owned())
}

fn is_there(image: &str) -> bool {
    succeeds(&["image", "inspect", image]) || succeeds(&["pull", "--quiet", image])
}

fn succeeds(arguments: &[&str]) -> bool {
    let mut docker = Command::new("docker");
    docker
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    docker.status().is_ok_and(|status| status.success())
}

/// The server and the libraries it asks for, and nothing else, as an image.
fn build() -> Result<(), Failure> {
    let missing = "there is no redis-server here either: install it (apt-get install redis-server), set \
                   TEST_REDIS_IMAGE, or name a running server with --url redis://host:port";
    let server = output("sh", &["-c", "command -v redis-server"])
        .ok_or_else(|| Failure::NoImage(missing.to_owned()))?;
    let server = server.trim();
    let libraries = output("ldd", &[server]).unwrap_or_default();
    let mut files = vec![server];
    files.extend(
        libraries
            .split_whitespace()
            .filter(|word| Path::new(word).is_absolute()),
    );
    // Links are followed, so that each name holds its file; the working folder needs a place to write.
    let pack = "tar --create --dereference --absolute-names \"$@\" --directory \"$(mktemp -d)\" . | docker import \
                --change 'CMD [\"redis-server\"]' --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
                --change 'WORKDIR /data' --change 'EXPOSE 6379' - \"$0\"";
    let arguments: Vec<_> = ["-c", pack, LOCAL].into_iter().chain(files).collect();
    match output("sh", &arguments) {
        Some(_digest) => Ok(()),
        None => Err(Failure::NoImage(format!(
            "{LOCAL} could not be built from {server}"
        ))),
    }
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What users run in production; the oldest release with everything the adapter uses.
const OFFICIAL: &str = "redis:7.0";

const LOCAL: &str = "edge-cache-redis:host";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_server_runs_only_what_leaves_it_as_it_was() {
        let call = on_given_server(Cargo::new(["test", "--"]), "redis://h").to_string();
        assert_eq!(
            call,
            "TEST_REDIS_URL=redis://h cargo test -- --exact conformance::it_is_a_shared_store \
             conformance::it_is_an_event_bus"
        );
    }
}
