//! A database of the test's own on the server that `scripts/test` started.

use std::process::Command;

use super::{HANG, required, run};

/// The roles that logins are members of.
const ROLES: [&str; 3] = ["app", "processor", "sequencer"];

/// A login's password is the administrator's, as the URL has it: it has the same verifier.
const VERIFIER: &str = "(select rolpassword from pg_authid where rolname = session_user)";

/// Dropped with its database, and with its logins.
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
        let (admin, settings) = match self.admin.split_once('?') {
            Some((admin, settings)) => (admin, format!("?{settings}")),
            None => (self.admin.as_str(), String::new()),
        };
        let (server, _) = admin.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}{settings}", self.name)
    }

    /// What it is reached with as the programs are to have it: at `HOST:PORT`, as logins that are each
    /// a member of a role and of nothing else. Some database of the server was migrated, so the roles
    /// are there.
    pub(crate) fn logins_at(&self, address: &str) -> Logins {
        let url = self.url_at(address);
        let [app, processor, sequencer] = ROLES.map(|role| {
            let login = self.login(role);
            self.query(&format!(
                "do $$ begin execute format(
                    'create role {login} login in role trueno_{role} password %L', {VERIFIER}
                ); end $$"
            ));
            with_user(&url, &login)
        });
        Logins {
            app,
            processor,
            sequencer,
        }
    }

    /// The same through `scripts/test`'s PgBouncer, reached at `HOST:PORT`: as the logins that it lets
    /// through, which all databases of the server share.
    pub(crate) fn pooled_logins_at(&self, address: &str) -> Logins {
        let (user, _) = pooler();
        let url = self.url_at(address);
        let [app, processor, sequencer] = ROLES.map(|role| {
            let login = format!("{user}_cli_{role}");
            // Other tests may make it at the same time: locks are a database's, so all ask the same one.
            let create = format!(
                "do $$ begin
                    perform pg_advisory_xact_lock(hashtextextended('{login}', 0));
                    if not exists (select from pg_roles where rolname = '{login}') then
                        execute format(
                            'create role {login} login in role trueno_{role} password %L', {VERIFIER}
                        );
                    end if;
                end $$"
            );
            self.psql(&self.admin, &create);
            with_user(&url, &login)
        });
        Logins {
            app,
            processor,
            sequencer,
        }
    }

    /// The login that is a member of a role. Logins belong to the whole server, so it has the
    /// database's name.
    pub(crate) fn login(&self, role: &str) -> String {
        format!("{}_{role}", self.name)
    }

    /// `HOST:PORT` of its server.
    pub(crate) fn address(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once("://").expect("a URL");
        let (server, _) = rest.split_once('/').expect("a URL with a database");
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
        // Most tests make none of them.
        let logins = ROLES.map(|role| self.login(role)).join(", ");
        let logins = format!("drop role if exists {logins}");
        let _dropped = Command::new("psql")
            .args(["-X", "-q", "-c", &sql, "-c", &logins, &self.admin])
            .output();
    }
}

/// Where PgBouncer is: what the names of its logins begin with, and its `HOST:PORT`.
pub(crate) fn pooler() -> (String, String) {
    let url = required("TRUENO_TEST_PGBOUNCER_URL");
    let (_, rest) = url.split_once("://").expect("a URL");
    let (user, address) = rest.split_once('@').expect("a URL with a user");
    (user.to_owned(), address.to_owned())
}

/// The same URL as another user, with the same password.
fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (server, path) = rest.split_once('/').expect("a URL with a database");
    let (login, address) = server.rsplit_once('@').unwrap_or(("", server));
    let password = login.split_once(':').map(|(_, password)| password);
    let password = password.map(|password| format!(":{password}"));
    let password = password.unwrap_or_default();
    format!("{scheme}://{user}{password}@{address}/{path}")
}

/// A database's URLs, each as the login of a role.
pub(crate) struct Logins {
    pub(crate) app: String,
    pub(crate) processor: String,
    pub(crate) sequencer: String,
}
