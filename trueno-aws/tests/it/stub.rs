//! A stand-in for AWS on loopback: answers what a test tells it to, and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) access_key: String,
}

impl Asked {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Body(u16, String),
    /// Never answers.
    Hang,
    /// Says that there is more than there is, and closes.
    BreakOff,
}

type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// The stand-in. Ends when dropped.
pub(crate) struct Stub {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Stub {
    /// Answers with `script`, which gets a request and how many like it (same operation and
    /// region) came before.
    pub(crate) async fn start(
        script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { url, asked, task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every request of an operation, in order.
    pub(crate) fn asked(&self, action: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| asked.action == action)
            .cloned()
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Asked>>>) {
    let Some((head, body)) = read(&mut stream).await else {
        return;
    };
    let asked = understand(&head, &body);
    let answer = {
        let mut log = log.lock().unwrap();
        let alike = |past: &&Asked| past.action == asked.action && past.region == asked.region;
        let before = log.iter().filter(alike).count();
        log.push(asked.clone());
        drop(log);
        script(&asked, before)
    };
    let (status, body, length) = match answer {
        Answer::Body(status, body) => (status, body.clone(), body.len()),
        Answer::BreakOff => (200, "<Half>".to_owned(), 1_000),
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return;
        }
    };
    let head = format!(
        "HTTP/1.1 {status} S\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Head and body of one request.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |value| value.parse().unwrap());
            if body.len() >= length {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn understand(head: &str, body: &str) -> Asked {
    let form: BTreeMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …
    let authorization = header(head, "authorization").unwrap_or_default();
    let credential = authorization
        .split("Credential=")
        .nth(1)
        .unwrap_or_default();
    let scope: Vec<&str> = credential
        .split(',')
        .next()
        .unwrap_or_default()
        .split('/')
        .collect();
    Asked {
        region: scope.get(2).unwrap_or(&"").to_string(),
        access_key: scope.first().unwrap_or(&"").to_string(),
        action: form.get("Action").cloned().unwrap_or_default(),
        form,
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let code = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&code).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
