//! A PostgreSQL server of a test's own: in a temporary folder, reached by a socket in it, gone with the test.
//!
//! It is for Linux, whose `/proc` tells what is still running, and it installs nothing: without PostgreSQL's programs it says what to install, and the test fails.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A running server, stopped when dropped.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// Where it listens besides its socket.
    listen: Option<Ipv4Addr>,
    /// PostgreSQL refuses to run as root, so root starts it as its own user.
    as_user: Option<&'static str>,
}

/// Where Debian and others put the server's programs, which are on nobody's `PATH`.
const PLACES: [&str; 2] = ["/usr/lib/postgresql", "/usr/local/pgsql"];

const USER: &str = "postgres";

impl Server {
    /// Whether PostgreSQL's server programs are there.
    #[must_use]
    pub fn is_installed() -> bool {
        newest().is_some()
    }

    /// Makes a cluster and starts it, with `settings` such as `fsync=off` over PostgreSQL's defaults.
    ///
    /// # Panics
    /// When PostgreSQL's programs are not installed, or do not do as asked.
    pub fn start(settings: &[&str]) -> Self {
        let server = Self::made(None);
        server.set(settings);
        server.start_again();
        server
    }

    /// Makes a cluster that listens on an address of this machine and takes only encrypted connections there, by this
    /// certificate and its key in PEM form.
    ///
    /// # Panics
    /// When PostgreSQL's programs are not installed, or do not do as asked.
    pub fn start_encrypted(certificate: &str, key: &str) -> Self {
        // Every address that begins with 127 is this machine's; the port is the same for all servers.
        let [one, two] = rand::random::<[u8; 2]>();
        let server = Self::made(Some(Ipv4Addr::new(127, 1, one, two.clamp(1, 254))));
        for (name, content, mode) in [("server.crt", certificate, 0o644), ("server.key", key, 0o600)] {
            let path = server.data().join(name);
            fs::write(&path, content).expect("the file is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
            server.give(&path);
        }
        let rules = server.data().join("pg_hba.conf");
        fs::write(&rules, "local all all trust\nhostssl all all 127.0.0.0/8 trust\n")
            .expect("the rules are written");
        server.set(&["ssl=on"]);
        server.start_again();
        server
    }

    /// Where it listens besides its socket.
    ///
    /// # Panics
    /// When it does not.
    pub fn listens(&self) -> Ipv4Addr {
        self.listen.expect("it was started so")
    }

    fn made(listen: Option<Ipv4Addr>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("postgres-")
            .tempdir()
            .expect("a temporary folder");
        let is_root = fs::metadata(folder.path()).expect("a folder").uid() == 0;
        let server = Self {
            folder,
            programs: programs(),
            listen,
            as_user: is_root.then_some(USER),
        };
        server.give(server.folder.path());
        server.run(
            "initdb",
            [
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ],
        );
        server
    }

    fn set(&self, settings: &[&str]) {
        let lines: Vec<String> = settings.iter().map(|line| format!("{line}\n")).collect();
        let file = self.data().join("postgresql.auto.conf");
        fs::write(file, lines.concat()).expect("the settings are written");
    }

    /// Makes the server's user the owner of a file.
    fn give(&self, path: &Path) {
        if let Some(user) = self.as_user {
            let given = Command::new("chown").arg(user).arg(path).status();
            assert!(
                given.is_ok_and(|status| status.success()),
                "there is no user `{user}`"
            );
        }
    }

    /// Starts it once more after [`kill`](Self::kill).
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        let folder = self.folder.path().display();
        let listen = self.listen.map(|address| address.to_string()).unwrap_or_default();
        let options = format!("-k {folder} -c listen_addresses='{listen}'");
        let log = format!("{folder}/log");
        self.run(
            "pg_ctl",
            [
                "start",
                "--wait",
                "--silent",
                "--options",
                options.as_str(),
                "--log",
                log.as_str(),
            ],
        );
    }

    /// Kills every process of it at once, without a word. Returns when they are gone.
    ///
    /// # Panics
    /// When it is not running.
    pub fn kill(&self) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).expect("it is running");
        let pid = pid
            .lines()
            .next()
            .expect("the first line is the process")
            .to_owned();
        let processes: Vec<String> = children(&pid).chain([pid.clone()]).collect();
        let killed = Command::new("kill")
            .arg("-KILL")
            .args(&processes)
            .stderr(Stdio::null())
            .status();
        assert!(killed.is_ok(), "there is a program `kill`");
        while processes.iter().any(|process| is_running(process)) {
            std::thread::yield_now();
        }
        // A process that nobody has waited for still has its number, and would be taken for the owner of these.
        for lock in [
            self.data().join("postmaster.pid"),
            self.folder.path().join(format!("{SOCKET}.lock")),
        ] {
            let _ = fs::remove_file(lock);
        }
    }

    /// An empty database of that name, and its address.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self, name: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let status = self
            .command("createdb")
            .args(["--host", &folder, "--username=postgres", name])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "database {name} is made"
        );
        self.address(name)
    }

    /// The address of a database.
    pub fn address(&self, name: &str) -> String {
        format!(
            "host={} user=postgres dbname={name}",
            self.folder.path().display()
        )
    }

    /// The address of a database as a URL, the way an operator writes it.
    pub fn url(&self, name: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{name}")
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = A>) {
        let log = self.folder.path().join("log");
        let mut command = self.command(program);
        command
            .args(arguments)
            .env("PGDATA", self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let status = command.status();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "{command:?} failed: {status:?}\n{}",
            fs::read_to_string(log).unwrap_or_default()
        );
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.as_user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let user = [format!("--reuid={user}"), format!("--regid={user}")];
                command.args(user).arg("--clear-groups").arg("--").arg(program);
                command
            }
        };
        // It may not read the folder the tests run in.
        command.current_dir(self.folder.path());
        command
    }
}

/// The name PostgreSQL gives the socket of its default port.
pub const SOCKET: &str = ".s.PGSQL.5432";

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self
            .command("pg_ctl")
            .args(["stop", "--mode=immediate", "--silent", "--wait"])
            .env("PGDATA", self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn programs() -> PathBuf {
    newest().unwrap_or_else(|| {
        panic!(
            "PostgreSQL's server programs are not installed (looked for initdb below {}). \
             On Debian: apt-get install postgresql",
            PLACES.join(" and ")
        )
    })
}

/// The programs of the newest version that is installed.
fn newest() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = PLACES
        .iter()
        .filter_map(|place| fs::read_dir(place).ok())
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().unwrap_or(0);
            [path.join("bin"), path]
                .into_iter()
                .find(|bin| bin.join("initdb").exists())
                .map(|bin| (version, bin))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, programs)| programs)
}

/// State and parent of a process, unless it is gone.
fn state(process: &str) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

fn is_running(process: &str) -> bool {
    state(process).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: &str) -> impl Iterator<Item = String> {
    let all = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(move |process| state(process).is_some_and(|(_, of)| of == parent))
}
