//! A live moto with the demo's account in it, one for all tests: they only read it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{HANG, demo_folder, required};

/// The seeder ends when its standard input does, so it ends with this process.
pub(crate) struct Seeded {
    pub(crate) endpoint: String,
    pub(crate) role_arn: String,
    pub(crate) as_of: String,
    _server: Child,
}

/// The address of the seeded account.
#[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
pub(crate) fn seeded() -> &'static Seeded {
    static SEEDED: OnceLock<Seeded> = OnceLock::new();
    SEEDED.get_or_init(|| {
        let scratch = tempfile::tempdir().unwrap();
        let ready = scratch.path().join("ready");
        let mut server = Command::new(required("TRUENO_TEST_PYTHON"))
            .arg(demo_folder().join("seed.py"))
            .args(["serve", "--ready-file"])
            .arg(&ready)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let line = loop {
            if let Ok(line) = std::fs::read_to_string(&ready) {
                break line;
            }
            if server.try_wait().unwrap().is_some() || begun.elapsed() > HANG {
                let _killed = server.kill();
                let mut said = String::new();
                server
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut said)
                    .unwrap();
                panic!("the seeder did not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // Nobody reads what it logs: a full pipe must not stop it.
        let mut log = server.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let ready: Value = serde_json::from_str(&line).unwrap();
        let field = |name: &str| ready[name].as_str().unwrap().to_owned();
        Seeded {
            endpoint: field("endpoint"),
            role_arn: field("role_arn"),
            as_of: field("as_of"),
            _server: server,
        }
    })
}
