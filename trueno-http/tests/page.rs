//! The page in a real browser, mounted under a prefix as embedders do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, helpers included"
)]

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use common::{World, finding, hostile, partial};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use trueno_core::access::Identity;
use trueno_core::model::ScanProgress;
use trueno_http::{LocalToken, loopback_only};
use trueno_testkit::fixtures::Tenant;

/// Generous: a cold browser on a busy machine.
const BROWSER_DEADLINE: Duration = Duration::from_secs(120);

fn browser() -> PathBuf {
    std::env::var_os("TRUENO_TEST_CHROMIUM")
        .expect(
            "TRUENO_TEST_CHROMIUM is not set: name a Chromium to test the page with, \
             or run scripts/test, which finds one",
        )
        .into()
}

/// A request that was answered.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    query: Option<String>,
    status: u16,
}

/// Serves `app` on a free loopback port until it is dropped.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(app: Router) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = app.layer(from_fn(move |request: Request, next: Next| {
            let log = log.clone();
            async move {
                let path = request.uri().path().to_owned();
                let query = request.uri().query().map(str::to_owned);
                let response = next.run(request).await;
                let status = response.status().as_u16();
                log.lock().unwrap().push(Asked {
                    path,
                    query,
                    status,
                });
                response
            }
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, asked, task }
    }

    /// A browser that goes to `path` with a profile of its own; it ends with its handle.
    fn browser(&self, profile: &TempDir, does: &str, path: &str) -> Command {
        let mut command = Command::new(browser());
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(does)
            .arg(format!("http://127.0.0.1:{}{path}", self.port))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The document that a browser makes of `path`, as markup.
    async fn dom(&self, path: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        let run = self.browser(&profile, "--dump-dom", path).output();
        let output = tokio::time::timeout(BROWSER_DEADLINE, run)
            .await
            .expect("the browser ends in time")
            .expect("TRUENO_TEST_CHROMIUM names a browser that starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the browser failed: {log}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A browser that stays open on `path` until it is ended. Its profile says where to ask it.
    fn stay(&self, profile: &TempDir, path: &str) -> Child {
        self.browser(profile, "--remote-debugging-port=0", path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("TRUENO_TEST_CHROMIUM names a browser that starts")
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until the page at `path` was asked for so many times.
    async fn asked_for(&self, path: &str, times: usize) {
        let waiting = async {
            while self.asked().iter().filter(|it| it.path == path).count() < times {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(BROWSER_DEADLINE, waiting).await;
        assert!(waited.is_ok(), "the page refreshes: {:?}", self.asked());
    }
}

/// What the address bar of a browser with this profile shows.
async fn address_bar(profile: &TempDir) -> String {
    // The browser's first line there is the port that it answers on.
    let port = std::fs::read_to_string(profile.path().join("DevToolsActivePort")).unwrap();
    let port = port.lines().next().unwrap();
    let listing = tokio::time::timeout(BROWSER_DEADLINE, listing(port));
    let targets = listing.await.expect("the browser answers in time");
    let page = targets.iter().find(|target| target["type"] == "page");
    page.unwrap()["url"].as_str().unwrap().to_owned()
}

/// What a browser has open, as it lists it itself. It does not close the connection.
async fn listing(port: &str) -> Vec<Value> {
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await;
    let mut stream = BufReader::new(stream.unwrap());
    let ask = format!("GET /json/list HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim().to_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap(),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// A scan that is under way: its page asks for itself again and again.
async fn running_scan(world: &World) -> Tenant {
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    world.request(&tenant, &account).await;
    let lease = world.start().await;
    let progress = ScanProgress {
        tasks: 8,
        tasks_done: 3,
        resources: 41,
    };
    world.progress(&lease, progress).await;
    tenant
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn assert_shows(dom: &str, text: &str) {
    assert!(dom.contains(text), "no {text:?} in: {dom}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_totals_coverage_and_findings_and_runs_nothing() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, common::HOSTILE).await;
    let findings = vec![
        finding("vol-plain", Some(1_234_560_000)),
        finding("vol-unpriced", None),
        hostile("vol-hostile"),
    ];
    let scan = world.scanned(&tenant, &account, partial(), findings).await;
    let app = Router::new().nest("/trueno", world.router(&tenant).layer(loopback_only()));
    let server = Server::start(app).await;

    for path in ["/trueno".to_owned(), format!("/trueno/scans/{scan}")] {
        let dom = server.dom(&path).await;
        assert_shows(&dom, ">Partial</span>");
        assert_shows(&dom, "<dd id=\"saving\">USD 1235.56</dd>");
        assert_shows(&dom, "1 finding has no known price and is not counted");
        let rows = |table: &str| {
            let from = dom
                .find(&format!("<table class=\"{table}\">"))
                .expect("the table");
            let table = &dom[from..];
            let table = &table[..table.find("</table>").expect("its end")];
            table.matches("<th scope=\"row\">").count()
        };
        assert_eq!(rows("coverage"), 3, "one row a service and region");
        assert_eq!(rows("findings"), 3);
        assert_shows(&dom, "<td class=\"number\">USD 1234.56</td>");
        assert_shows(&dom, "<span class=\"unknown\">unknown</span>");
        assert_shows(
            &dom,
            "&lt;script&gt;document.body.id='own'+'ed'&lt;/script&gt;",
        );
        for forbidden in ["<script", "<img", "id=\"owned\""] {
            assert!(!dom.contains(forbidden), "{forbidden} in: {dom}");
        }
    }
    // The links hold under the prefix, and the policy lets the style sheet in.
    let asked = server.asked();
    let styles = asked.iter().filter(|it| it.path.ends_with("style.css"));
    assert!(styles.clone().count() >= 2, "{asked:?}");
    assert!(
        styles
            .clone()
            .all(|it| it.path == "/trueno/style.css" && it.status == 200),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_asking_while_a_scan_runs() {
    let world = World::new();
    let tenant = running_scan(&world).await;
    let server = Server::start(world.router(&tenant)).await;
    let profile = tempfile::tempdir().unwrap();
    let mut browser = server.stay(&profile, "/");
    server.asked_for("/", 3).await;
    browser.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_opens_the_link_has_the_page_and_no_token_in_its_address() {
    let world = World::new();
    let tenant = running_scan(&world).await;
    for mount in ["/", "/trueno"] {
        let local = LocalToken::generate(Identity::authenticated(tenant.owner)).unwrap();
        let link = format!("{mount}?token={}", local.expose());
        let router = world.router_for(local).layer(loopback_only());
        let app = match mount {
            "/" => router,
            mount => Router::new().nest(mount, router),
        };
        let server = Server::start(app).await;

        assert_shows(&server.dom(&link).await, "3 of 8 tasks done");

        let profile = tempfile::tempdir().unwrap();
        let mut browser = server.stay(&profile, &link);
        // Each browser asks for the link and for the page; this one stays and asks again.
        server.asked_for(mount, 6).await;
        let address = address_bar(&profile).await;
        browser.kill().await.unwrap();
        assert_eq!(address, format!("http://127.0.0.1:{}{mount}", server.port));

        let asked = server.asked();
        let (links, pages): (Vec<_>, Vec<_>) = asked
            .iter()
            .filter(|it| it.path == mount)
            .partition(|it| it.query.is_some());
        assert_eq!(
            links.len(),
            2,
            "each browser shows the token once: {asked:?}"
        );
        assert!(links.iter().all(|it| it.status == 303), "{asked:?}");
        assert!(pages.iter().all(|it| it.status == 200), "{asked:?}");
    }
}
