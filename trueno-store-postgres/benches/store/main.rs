//! `scripts/bench store`: what tenant isolation, ingest and paging cost, each beside its peer in the
//! same run. Lines of JSON go to stdout, everything else to stderr; `benches/README.md` has the
//! method.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot be set up has nothing to measure"
)]

mod data;
#[path = "../common/durable.rs"]
mod durable;
mod ingest;
mod memory;
#[path = "../../tests/plans/notices.rs"]
mod notices;
mod pages;
#[path = "../common/report.rs"]
mod report;
mod rls;
#[path = "../../tests/support/mod.rs"]
mod support;
mod world;

use notices::Notices;

/// The benches, by the name that picks them.
const BENCHES: [&str; 4] = ["rls", "page", "ingest", "memory"];

/// What to run, and how much of it.
struct Options {
    /// Names of benches; all of them where empty.
    only: Vec<String>,
    /// Every number of rows is divided by this.
    scale: usize,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            only: Vec::new(),
            scale: 1,
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--quick" => options.scale = 20,
                "--child-memory" => {
                    // Not an option: this process is the child of `ingest memory`.
                    let resources = arguments.next().and_then(|n| n.parse().ok());
                    memory::child(resources.expect("a number of resources"));
                    std::process::exit(0);
                }
                name if BENCHES.contains(&name) => options.only.push(name.to_owned()),
                _ => {
                    note!(
                        "unknown argument: {argument}; expected --quick or any of {}",
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

    fn rows(&self, rows: usize) -> usize {
        rows / self.scale
    }
}

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    let notices = Notices::default();
    let subscriber = notices.subscriber();
    tracing::subscriber::set_global_default(subscriber).expect("there is no other subscriber");
    world::runtime().block_on(async {
        durable::require().await;
        if options.runs("rls") {
            rls::run(&options, &notices).await;
        }
        if options.runs("page") {
            pages::run(&options, &notices).await;
        }
        if options.runs("ingest") {
            ingest::run(&options, &notices).await;
        }
    });
    if options.runs("memory") {
        memory::run(&options);
    }
}
