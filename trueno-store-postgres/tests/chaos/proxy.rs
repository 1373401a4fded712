//! A proxy on loopback between the workers and the server, in bad weather: it cuts connections in the
//! midst of what they say, and holds it back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::plan;

/// Lets connections through until its runtime ends.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: Arc<Weather>,
}

#[derive(Debug)]
struct Weather {
    seed: u64,
    /// Whether anything is done to what passes.
    is_bad: AtomicBool,
    /// Cuts every connection that is there.
    all: Mutex<CancellationToken>,
    connections: AtomicU64,
    cuts: AtomicU64,
    delays: AtomicU64,
}

enum Fate {
    Passes,
    IsLate(Duration),
    IsCut,
}

impl Proxy {
    /// In front of the server whose sockets are in `folder`.
    pub(crate) async fn start(folder: PathBuf, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(Weather {
            seed,
            is_bad: AtomicBool::new(true),
            all: Mutex::default(),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            delays: AtomicU64::new(0),
        });
        let shared = weather.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Without a server, the client is hung up on.
                if let Ok(server) = UnixStream::connect(folder.join(".s.PGSQL.5432")).await {
                    shared.connect(client, server);
                }
            }
        });
        Self { address, weather }
    }

    /// Cuts every connection that is there.
    pub(crate) fn cut_all(&self) {
        std::mem::take(&mut *self.weather.all.lock().unwrap()).cancel();
    }

    /// Nothing is cut or held back any more.
    pub(crate) fn calm(&self) {
        self.weather.is_bad.store(false, Ordering::Relaxed);
    }

    /// Connections that were let through, cuts of single ones, and delays.
    pub(crate) fn figures(&self) -> [u64; 3] {
        let Weather {
            connections,
            cuts,
            delays,
            ..
        } = &*self.weather;
        [connections, cuts, delays].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Weather {
    fn connect(self: &Arc<Self>, client: TcpStream, server: UnixStream) {
        let nth = self.connections.fetch_add(1, Ordering::Relaxed);
        let cut = self.all.lock().unwrap().child_token();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let random = |way| plan::random(self.seed, 1_000 + 2 * nth + way);
        let there = (from_client, to_server, random(0));
        let back = (from_server, to_client, random(1));
        tokio::spawn(self.clone().pass(there.0, there.1, there.2, cut.clone()));
        tokio::spawn(self.clone().pass(back.0, back.1, back.2, cut));
    }

    /// Passes on what one end says, until either end is gone or the connection is cut.
    async fn pass(
        self: Arc<Self>,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mut random: StdRng,
        cut: CancellationToken,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        let passing = async {
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                match self.fate(&mut random) {
                    Fate::Passes => {}
                    Fate::IsLate(time) => tokio::time::sleep(time).await,
                    Fate::IsCut => return,
                }
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        cut.run_until_cancelled(passing).await;
        // One way alone is no connection.
        cut.cancel();
    }

    /// What becomes of one piece of what is said.
    fn fate(&self, random: &mut StdRng) -> Fate {
        let drawn = random.random_range(0..100_000);
        if !self.is_bad.load(Ordering::Relaxed) {
            return Fate::Passes;
        }
        let late = match drawn {
            0..20 => {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return Fate::IsCut;
            }
            // Longer than heartbeats wait, and at times than a lease lasts.
            20..40 => random.random_range(300..3_000),
            40..2_000 => random.random_range(1..30),
            _ => return Fate::Passes,
        };
        self.delays.fetch_add(1, Ordering::Relaxed);
        Fate::IsLate(Duration::from_millis(late))
    }
}
