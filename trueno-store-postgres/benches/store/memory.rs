//! Whether a worker's memory grows with the account that it reads.

use std::process::{Command, Stdio};

use crate::data::{BATCH, resources};
use crate::report::{Line, Target};
use crate::world::{Bench, runtime};
use crate::{Options, note};

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;

pub(crate) fn run(options: &Options) {
    let few = FEW;
    let many = options.rows(MANY).max(2 * few);
    let [few, many] = [few, many].map(|resources| {
        note!("memory: {resources} resources");
        peak(resources)
    });
    Line {
        metric: "ingest memory",
        peer: "10k resources, MiB",
        ours: many,
        peer_value: few,
        target: Some(Target::AtMost(1.1)),
    }
    .print("store");
}

/// The peak of a process that ingests so many resources and nothing else, in MiB.
fn peak(resources: usize) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program)
        .args(["--child-memory", &resources.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("the child ran");
    assert!(child.status.success(), "the child failed");
    let answer = String::from_utf8(child.stdout).expect("text");
    answer.trim().parse().expect("a number of MiB")
}

/// The child: resources are made as they are written, a batch at a time, as a scanner's pages.
pub(crate) fn child(count: usize) {
    runtime().block_on(async {
        let bench = Bench::new().await;
        let tenant = bench.world.organization().await;
        let account = bench.world.account(&tenant).await;
        let lease = bench.scan(&tenant, &account).await;
        for from in (0..count).step_by(BATCH) {
            let mut ingest = bench.world.store.ingest(&lease).await.unwrap();
            let page = resources(from, (from + BATCH).min(count));
            ingest.put_resources(page).await.unwrap();
            ingest.commit().await.unwrap();
        }
        bench.finish(&lease).await;
    });
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux's /proc");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .expect("the kernel tells the peak");
    let kib: f64 = peak.trim().parse().expect("a number of KiB");
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{}", kib / 1_024.0).expect("stdout takes the answer");
}
