//! A Postgres server of a test's own, to be killed, stopped, starved and started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::Instant;
use trueno_core::id::IdSource;
use trueno_store_postgres::PostgresConfig;

use crate::support::{Database, Harness, harness_of, keys};

/// The folder of the server's programs.
const BIN: &str = "TRUENO_TEST_PG_BIN";

/// How long anything here may take before the test is said to hang.
const HANG: Duration = Duration::from_secs(60);

/// A server in a private folder, reached through a socket in it: no port that others could take
/// while it is down. It keeps what it acknowledged as a real one does (`fsync`, full page writes and
/// synchronous commits are on, as by default). Ended and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    dir: PathBuf,
    settings: Vec<String>,
    postmaster: Option<Child>,
}

impl Server {
    /// A new one with these settings (`name=value`), which accepts connections. Called from a
    /// test's own thread: the server ends with the thread that started it.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let bin = PathBuf::from(std::env::var_os(BIN).unwrap_or_else(|| {
            panic!(
                "{BIN} is not set: run scripts/test, or set it to the folder of postgres and initdb"
            )
        }));
        let unique: uuid::Uuid = IdSource::random().next(Timestamp::UNIX_EPOCH);
        let unique = &unique.simple().to_string()[20..];
        let dir = std::env::temp_dir().join(format!("trueno-test-{unique}"));
        std::fs::create_dir(&dir).unwrap();
        let mut server = Self {
            bin,
            dir,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            postmaster: None,
        };
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(&server.dir));
        }
        let initdb = server.bin.join("initdb");
        run(server.command(&initdb).args([
            "--pgdata=data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        server.launch();
        server.accepts().await;
        server
    }

    /// How to connect to it, as its administrator.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.dir)
            .username("postgres")
            .database("postgres")
    }

    /// A store on a database of its own, whose configuration is changed by `change`.
    pub(crate) async fn harness(
        &self,
        change: impl FnOnce(PostgresConfig) -> PostgresConfig,
    ) -> Harness {
        let database = Database::migrated_on(self.options(), &keys()).await;
        let config = change(database.config());
        harness_of(database, config).await
    }

    /// Where its data lies.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts it, without waiting.
    pub(crate) fn launch(&mut self) {
        assert!(self.postmaster.is_none(), "the server runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let sockets = format!("unix_socket_directories={}", self.dir.display());
        let mut command = self.command(&self.bin.join("postgres"));
        command.args(["-D", "data", "-c", "listen_addresses=", "-c", &sockets]);
        command.args(["-c", "shared_buffers=16MB"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.postmaster = Some(command.spawn().unwrap());
    }

    /// Waits until it accepts connections, and tells since when it does.
    pub(crate) async fn accepts(&mut self) -> Instant {
        let connecting = async {
            loop {
                if let Ok(connection) = self.options().connect().await {
                    let now = Instant::now();
                    connection.close().await.unwrap();
                    return now;
                }
                let postmaster = self.postmaster.as_mut().expect("the server was started");
                if let Some(status) = postmaster.try_wait().unwrap() {
                    let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                    panic!("the server ended: {status}\n{log}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, connecting)
            .await
            .expect("the server accepts connections")
    }

    /// Kills it with all its processes, at once and without a word.
    pub(crate) fn kill(&mut self) {
        let mut postmaster = self.postmaster.take().expect("the server runs");
        let pid = postmaster.id();
        // So that it starts no more children while they are looked for.
        signal("STOP", &[pid]);
        let children = children_of(pid);
        signal("KILL", &[pid]);
        signal("KILL", &children);
        postmaster.wait().unwrap();
        until("the server's processes are gone", || {
            !children.iter().any(|&child| is_alive(child))
        });
    }

    /// Asks it to stop: `TERM` once every connection is closed, `INT` at once.
    pub(crate) fn ask_to_stop(&self, how: &str) {
        let postmaster = self.postmaster.as_ref().expect("the server runs");
        signal(how, &[postmaster.id()]);
    }

    /// Waits until it has stopped.
    pub(crate) fn stopped(&mut self) {
        let mut postmaster = self.postmaster.take().expect("the server runs");
        until("the server stops", || {
            postmaster.try_wait().unwrap().is_some()
        });
    }

    /// A program run as somebody whom the server accepts: it refuses to run as root.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.current_dir(&self.dir);
        // A test that is killed outright takes its server along.
        command.args(["--pdeathsig", "INT"]);
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.arg(program);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            self.kill();
        }
        let removed = std::fs::remove_dir_all(&self.dir);
        // A test that fails already says why.
        if !std::thread::panicking() {
            removed.expect("the server's folder is removed");
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Signals processes of this server. One that is gone already needs no signal.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    for pid in pids {
        let arguments = ["-s", name, "--", &pid.to_string()].map(str::to_owned);
        let _gone = Command::new("kill").args(arguments).output().unwrap();
    }
}

/// State and parent of a process: field 3 and 4 of its `stat`, after the name in parentheses.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn children_of(parent: u32) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| stat(pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn is_alive(pid: u32) -> bool {
    // A zombie holds nothing any more; who reaps it is not known here.
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let (mut waited, step) = (Duration::ZERO, Duration::from_millis(5));
    while !done() {
        assert!(waited < HANG, "waited too long until {what}");
        std::thread::sleep(step);
        waited += step;
    }
}
