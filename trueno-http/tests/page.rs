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
use axum::middleware::map_request;
use common::{World, finding, hostile, partial};
use tempfile::TempDir;
use tokio::process::Command;
use trueno_core::model::ScanProgress;
use trueno_http::loopback_only;

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

/// Serves `app` on a free loopback port until it is dropped.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(app: Router) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = app.layer(map_request(move |request: Request| {
            log.lock().unwrap().push(request.uri().path().to_owned());
            std::future::ready(request)
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

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
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
    let styles = asked.iter().filter(|path| path.ends_with("style.css"));
    assert!(styles.clone().count() >= 2, "{asked:?}");
    assert!(
        styles.clone().all(|path| path == "/trueno/style.css"),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_asking_while_a_scan_runs() {
    let world = World::new();
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
    let server = Server::start(world.router(&tenant)).await;
    let profile = tempfile::tempdir().unwrap();
    // Stays open until it is ended.
    let mut browser = server
        .browser(&profile, "--remote-debugging-port=0", "/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("TRUENO_TEST_CHROMIUM names a browser that starts");
    let refreshed = tokio::time::timeout(BROWSER_DEADLINE, async {
        while server.asked().iter().filter(|path| *path == "/").count() < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let refreshed = refreshed.await;
    browser.kill().await.unwrap();
    let asked = server.asked();
    assert!(refreshed.is_ok(), "the page refreshed itself: {asked:?}");
}
