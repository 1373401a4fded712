//! What the tests share: the binary, databases of their own, the seeded account, a fault proxy.

pub(crate) mod database;
pub(crate) mod gate;
pub(crate) mod processor;
pub(crate) mod proxy;
pub(crate) mod seeded;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Far more than any command needs: a guard against a hang, not a measure.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// A variable that `scripts/test` sets. A missing one is a failure: no test is skipped.
pub(crate) fn required(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set; run the tests with scripts/test"))
}

/// One user's surroundings: a home folder of their own, and nothing of the machine's.
pub(crate) struct User {
    pub(crate) home: TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// The binary with these arguments, and no settings but the user's own.
    pub(crate) fn trueno(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueno"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            // No test asks the network for credentials.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", self.home.path().join("none"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.home.path().join("none"))
            .stdin(Stdio::null())
            .current_dir(self.home.path());
        command
    }

    /// The binary with credentials for an emulator at `endpoint`.
    pub(crate) fn trueno_at(&self, endpoint: &str, arguments: &[&str]) -> Command {
        let mut command = self.trueno(arguments);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_REGION", "us-east-1");
        command
    }

    /// Where the user's key file is unless another is named.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.home.path().join(".config/trueno/keys")
    }

    /// What `trueno connect` prints for a role.
    pub(crate) fn connect(&self, role: &str) -> Value {
        let output = run(&mut self.trueno(&["connect", "--role-arn", role, "--format", "json"]));
        json(&output)
    }
}

/// AWS's own example of a secret key.
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Runs a command to its end, and kills it if it hangs.
pub(crate) fn run(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait(child)
}

/// Waits for a process to end, and kills it if it hangs.
pub(crate) fn wait(child: std::process::Child) -> Output {
    let pid = child.id().to_string();
    let (ended, hang) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if hang
            .recv_timeout(HANG)
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let _killed = Command::new("kill").args(["-9", &pid]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    guard.join().unwrap();
    output
}

/// The JSON on stdout of a command that has to have succeeded.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)))
}

/// Everything that a command said.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The folder of the demo account.
pub(crate) fn demo_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// What the seeder meant to plant.
pub(crate) fn truth() -> Value {
    let path = demo_folder().join("truth.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A result or a truth, reduced to what both say: findings by key with their amounts, and totals.
pub(crate) fn comparable(result: &Value) -> Value {
    let mut findings = result["findings"].as_array().unwrap().clone();
    for finding in &mut findings {
        let finding = finding.as_object_mut().unwrap();
        finding.remove("evidence");
        // The truth has amounts by hand; where a price comes from is the price table's to say.
        if let Some(saving) = finding["monthly_saving"].as_object_mut() {
            saving.remove("source");
            saving.remove("as_of");
        }
    }
    findings.sort_by_key(|finding| finding["key"].as_str().unwrap().to_owned());
    serde_json::json!({ "findings": findings, "totals": result["totals"] })
}

/// Asserts that a result is the truth, finding by finding, so that a difference is readable.
pub(crate) fn assert_is_truth(result: &Value) {
    for finding in result["findings"].as_array().unwrap() {
        if let Some(saving) = finding["monthly_saving"].as_object() {
            let said = |field: &str| saving[field].as_str().unwrap().to_owned();
            assert!(said("source").starts_with("https://"), "P9: {finding}");
            assert!(said("as_of").starts_with("20"), "P9: {finding}");
        }
    }
    let (result, truth) = (comparable(result), comparable(&truth()));
    let keys = |value: &Value| -> Vec<String> {
        let findings = value["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|finding| finding["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&result), keys(&truth));
    for (found, meant) in result["findings"]
        .as_array()
        .unwrap()
        .iter()
        .zip(truth["findings"].as_array().unwrap())
    {
        assert_eq!(found, meant);
    }
    assert_eq!(result["totals"], truth["totals"]);
}
