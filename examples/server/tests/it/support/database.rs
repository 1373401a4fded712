//! A database of the test's own on the server that `scripts/test` started.

use std::process::Command;

use super::{HANG, required, run};

/// Dropped with its database.
pub(crate) struct Database {
    name: String,
    admin: String,
}

impl Database {
    pub(crate) fn create() -> Self {
        let admin = required("TRUENO_TEST_DATABASE_URL");
        let id = tempfile::Builder::new().rand_bytes(12).tempfile().unwrap();
        let suffix: String = id
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let name = format!("trueno_cli_{}", suffix.to_ascii_lowercase());
        let database = Self { name, admin };
        database.psql(
            &database.admin,
            &format!("create database {}", database.name),
        );
        database
    }

    pub(crate) fn url(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    /// `HOST:PORT` of its server.
    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.admin.split_once("://").expect("a URL");
        let (server, _) = rest.rsplit_once('/').expect("a URL with a database");
        let (_, address) = server.rsplit_once('@').unwrap_or(("", server));
        address.to_owned()
    }

    /// The same database where its server is reached at another `HOST:PORT`.
    pub(crate) fn url_at(&self, address: &str) -> String {
        self.url().replacen(&self.address(), address, 1)
    }

    /// What a query answers, as text, unaligned.
    pub(crate) fn query(&self, sql: &str) -> String {
        self.psql(&self.url(), sql)
    }

    fn psql(&self, url: &str, sql: &str) -> String {
        let timeout = HANG.as_secs().to_string();
        let output = run(Command::new("psql")
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                sql,
                url,
            ])
            .env("PGCONNECT_TIMEOUT", timeout));
        assert!(output.status.success(), "{sql}: {}", super::text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("drop database if exists {} with (force)", self.name);
        let _dropped = Command::new("psql")
            .args(["-X", "-q", "-c", &sql, &self.admin])
            .output();
    }
}
