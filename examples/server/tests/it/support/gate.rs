//! A gate in front of a database server: what is behind it can go away and come back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What a connection through the gate meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The server.
    Open,
    /// Its end, at once: as if the server had crashed.
    Cut,
    /// Nothing at all, for as long as it waits: as if the network swallowed every packet.
    Silent,
}

/// Lets connections through until the process ends.
pub(crate) struct Gate {
    /// `HOST:PORT`.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    way: Way,
    /// Both ends of every connection that was let through.
    streams: Vec<TcpStream>,
}

impl Gate {
    /// In front of `upstream` (`HOST:PORT`), open.
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            state: Mutex::new(State {
                way: Way::Open,
                streams: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let gate = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                gate.let_in(stream);
            }
        });
        Self { address, shared }
    }

    /// From now on it is like this, for connections that are there as well.
    pub(crate) fn set(&self, way: Way) {
        let mut state = self.shared.state.lock().unwrap();
        state.way = way;
        if way == Way::Cut {
            for stream in state.streams.drain(..) {
                let _gone = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn let_in(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.state.lock().unwrap();
        if state.way == Way::Cut {
            return;
        }
        let server = TcpStream::connect(&self.upstream).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            state.streams.push(from.try_clone().unwrap());
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = self.clone();
            std::thread::spawn(move || shared.copy(from, to));
        }
    }

    /// Copies until either end is gone.
    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let state = self.state.lock().unwrap();
            let heard = self.changed.wait_while(state, |s| s.way == Way::Silent);
            drop(heard.unwrap());
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}
