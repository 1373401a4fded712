//! A proxy of our own in front of the seeded account: shows the faults that moto cannot.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Passes it on.
    Forward,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// Nothing, for as long as the client waits.
    Hang,
    /// A page that is cut off in the middle.
    Torn,
}

/// What a request asks for: `ec2`, `us-east-1`, `DescribeVolumes`.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) service: String,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) body: String,
}

/// Serves until the process ends.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    requests: Arc<AtomicUsize>,
    sessions: Arc<Mutex<Vec<Exchange>>>,
}

/// A request for a session, and what was answered: the only answer that holds secrets.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) answer: String,
}

impl Proxy {
    /// In front of `upstream` (`http://HOST:PORT`).
    pub(crate) fn start(
        upstream: &str,
        rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared {
            upstream,
            rule: Box::new(rule),
            requests: requests.clone(),
            sessions: sessions.clone(),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            endpoint,
            requests,
            sessions,
        }
    }

    /// Every session that was asked for.
    pub(crate) fn sessions(&self) -> Vec<Exchange> {
        self.sessions.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

struct Shared {
    upstream: String,
    rule: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
    requests: Arc<AtomicUsize>,
    sessions: Arc<Mutex<Vec<Exchange>>>,
}

/// One request a connection: both sides are told that it closes.
fn serve(mut client: TcpStream, shared: &Shared) -> Option<()> {
    let (head, body) = request(&client)?;
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let asked = asked(&head, &body);
    match (shared.rule)(&asked) {
        Answer::Forward => {
            let mut server = TcpStream::connect(&shared.upstream).ok()?;
            let head: String = head
                .lines()
                .filter(|line| !is_header(line, "connection"))
                .collect::<Vec<_>>()
                .join("\r\n");
            write!(server, "{head}\r\nconnection: close\r\n\r\n{body}").ok()?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).ok()?;
            if asked.action == "AssumeRole" {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                shared
                    .sessions
                    .lock()
                    .ok()?
                    .push(Exchange { asked, answer });
            }
            client.write_all(&answer).ok()
        }
        Answer::Error(status, code) => {
            let error = format!("<Error><Code>{code}</Code><Message>planted</Message></Error>");
            // EC2 wraps its errors in a way of its own.
            let body = if asked.service == "ec2" {
                format!("<Response><Errors>{error}</Errors><RequestID>x</RequestID></Response>")
            } else {
                format!("<ErrorResponse>{error}<RequestId>x</RequestId></ErrorResponse>")
            };
            respond(&mut client, status, &body)
        }
        Answer::Torn => respond(
            &mut client,
            200,
            "<DescribeVolumesResponse><volumeSet><item><vol",
        ),
        Answer::Hang => {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).ok().map(|_| ())
        }
    }
}

fn respond(client: &mut TcpStream, status: u16, body: &str) -> Option<()> {
    write!(
        client,
        "HTTP/1.1 {status} Planted\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}

/// Head without its empty line, and body.
fn request(client: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(client);
    let mut head: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let length = head
        .iter()
        .find(|line| is_header(line, "content-length"))
        .and_then(|line| line.split(':').nth(1)?.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head.join("\r\n"), String::from_utf8(body).ok()?))
}

fn is_header(line: &str, name: &str) -> bool {
    line.split(':')
        .next()
        .is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// Service and region come from the signature's scope: key/date/region/service/aws4_request.
fn asked(head: &str, body: &str) -> Asked {
    let scope: Vec<&str> = head
        .lines()
        .find(|line| is_header(line, "authorization"))
        .and_then(|line| line.split("Credential=").nth(1))
        .map(|rest| {
            rest.split(',')
                .next()
                .unwrap_or_default()
                .split('/')
                .collect()
        })
        .unwrap_or_default();
    let part = |n: usize| scope.get(n).copied().unwrap_or_default().to_owned();
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="))
        .unwrap_or_default()
        .to_owned();
    Asked {
        service: part(3),
        region: part(2),
        action,
        body: body.to_owned(),
    }
}
