//! `scripts/bench queue`: how fast jobs go through the queue on Postgres, each figure beside a peer's
//! or its own in the same run. Lines of JSON go to stdout, everything else to stderr;
//! `benches/README.md` has the method.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot be set up has nothing to measure"
)]

mod drain;
#[path = "../common/durable.rs"]
mod durable;
mod peers;
#[path = "../common/report.rs"]
mod report;
mod shares;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tenants;
mod world;

/// The benches, by the name that picks them.
const BENCHES: [&str; 7] = [
    "drain",
    "pickup",
    tenants::ALL,
    tenants::FINISHED,
    tenants::PINNED,
    tenants::TENANTS,
    "shares",
];

/// What to run, and how much of it.
struct Options {
    /// Names of benches; all of them where empty.
    only: Vec<String>,
    /// Jobs of a drain.
    jobs: usize,
    /// Peers to run beside; all of them where empty.
    peers: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            only: Vec::new(),
            jobs: 50_000,
            peers: Vec::new(),
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--quick" => options.jobs = 5_000,
                "--peer" => options.peers.extend(arguments.next()),
                name if BENCHES.contains(&name) => options.only.push(name.to_owned()),
                _ => {
                    note!(
                        "unknown argument: {argument}; expected --quick, --peer NAME or any of {}",
                        BENCHES.join(", ")
                    );
                    std::process::exit(2);
                }
            }
        }
        options
    }

    fn runs(&self, bench: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == bench)
    }
}

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        durable::require().await;
        if options.runs("drain") {
            drain::beside_peers(&options).await;
        }
        if options.runs("pickup") {
            drain::pickup(&options).await;
        }
        tenants::run(&options).await;
        if options.runs("shares") {
            shares::run(&options).await;
        }
    });
}
