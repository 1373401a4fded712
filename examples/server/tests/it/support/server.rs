//! A `trueno serve` of the test's own, and plain HTTP to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{HANG, wait};

/// Ended by its own pid when the test ends.
pub(crate) struct Server {
    child: Option<Child>,
    pub(crate) address: String,
    pub(crate) token: String,
    /// What it said at its start.
    pub(crate) lines: Vec<String>,
}

impl Server {
    /// Started, and read up to its last line of welcome.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let last = line.starts_with("Ctrl-C");
            lines.push(line);
            if last {
                break;
            }
        }
        let said = |prefix: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(prefix));
            line.unwrap_or_else(|| panic!("no {prefix:?} in {lines:?}"))
        };
        let (address, _) = said("page: http://").split_once('/').unwrap();
        Self {
            address: address.to_owned(),
            token: said("token: ").to_owned(),
            child: Some(child),
            lines,
        }
    }

    /// The whole answer to a GET.
    pub(crate) fn get(&self, path: &str, host: &str, token: Option<&str>) -> String {
        let authorization = token
            .map(|token| format!("authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        self.exchange(
            &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{authorization}"),
            "",
        )
    }

    /// Status and JSON of an answer to a request of the API.
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let header = format!("authorization: Bearer {}", self.token);
        self.ask(method, path, &header, body)
    }

    /// The same for a request that shows something else: a header.
    pub(crate) fn shown(&self, method: &str, path: &str, header: &str) -> (u16, Value) {
        self.ask(method, path, header, None)
    }

    fn ask(&self, method: &str, path: &str, header: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{header}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        let answer = self.exchange(&head, &body);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        // No answer of the API is chunked: each has its length.
        let json = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
        (status, json)
    }

    fn exchange(&self, head: &str, body: &str) -> String {
        exchange(&self.address, head, body)
    }

    pub(crate) fn interrupt(&mut self) -> Output {
        let child = self.child.take().unwrap();
        let sent = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        wait(child)
    }
}

/// The whole answer to a request: its head without the last empty line, and its body.
pub(crate) fn exchange(address: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    write!(stream, "{head}connection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}
