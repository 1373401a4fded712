//! `trueno serve --demo`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::{User, run, text, wait};

struct Server {
    child: Option<Child>,
    address: String,
    lines: Vec<String>,
}

impl Server {
    /// Started on a free port, and read up to its last line of welcome.
    fn start(user: &User) -> Self {
        let mut child = user
            .trueno(&["serve", "--demo", "--listen", "127.0.0.1:0"])
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
        let address = lines
            .iter()
            .find_map(|line| line.strip_prefix("page: http://"))
            .unwrap_or_else(|| panic!("no address in {lines:?}"))
            .to_owned();
        Self {
            child: Some(child),
            address,
            lines,
        }
    }

    fn get(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn interrupt(&mut self) -> std::process::Output {
        let child = self.child.take().unwrap();
        let sent = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        wait(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}

#[test]
fn it_scans_the_demo_shows_it_and_ends_on_ctrl_c() {
    let user = User::new();
    let mut server = Server::start(&user);
    let said = server.lines.join("\n");
    assert!(
        said.contains("the memory store keeps nothing after exit"),
        "{said}"
    );
    assert!(said.contains("126 findings, USD 5967.09 a month"), "{said}");
    assert!(
        said.contains("CHECK") && said.contains("ec2.volume.gp2"),
        "a table: {said}"
    );
    let address = server.address.clone();

    let page = server.get("/", &address);
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for wanted in [
        "5967.09",
        "us-east-1",
        "ec2.volume.unattached",
        "not_enabled",
    ] {
        let shown = page.contains(wanted) || page.contains(&wanted.replace('_', " "));
        assert!(shown, "the page lacks {wanted}");
    }
    assert!(
        !page.contains("<script"),
        "names from the account are escaped"
    );
    assert!(server.get("/healthz", &address).starts_with("HTTP/1.1 200"));
    let rebound = server.get("/", "attacker.example");
    assert!(
        !rebound.starts_with("HTTP/1.1 200"),
        "another host's name is refused: {rebound}"
    );

    let ended = server.interrupt();
    assert!(ended.status.success(), "{}", text(&ended));
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_scanned() {
    let (user, taken) = (User::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&mut user.trueno(&["serve", "--demo", "--listen", &address]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
    assert!(!said.contains("findings"), "{said}");
}

#[test]
fn only_loopback_addresses_are_served() {
    let output = run(&mut User::new().trueno(&["serve", "--demo", "--listen", "0.0.0.0:0"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("not a loopback address"),
        "{}",
        text(&output)
    );
}
