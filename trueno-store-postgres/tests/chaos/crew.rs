//! The workers as the test sees them: processes that it starts, kills and stops.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::plan::WORKERS;
use crate::server::signal;
use crate::worker::{BRIEF, Brief, TEST};

/// What is wrong with the workers' clocks, in seconds.
const SKEWS: [i64; 3] = [0, 3_600, -3_600];

/// How long a worker may take to end.
const HANG: Duration = Duration::from_secs(60);

/// Ended by its own pid when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    child: Child,
    is_stopped: bool,
}

#[derive(Debug)]
pub(crate) struct Crew {
    url: String,
    log: PathBuf,
    random: StdRng,
    started: u32,
    workers: Vec<Worker>,
}

impl Crew {
    /// Workers that reach the server at `url`, and write to `log` what they have to say.
    pub(crate) fn start(url: String, log: PathBuf, random: StdRng) -> Self {
        let mut crew = Self {
            url,
            log,
            random,
            started: 0,
            workers: Vec::new(),
        };
        for _ in 0..WORKERS {
            crew.add();
        }
        crew
    }

    /// Called from a test's own thread: workers end with the thread that started them.
    fn add(&mut self) {
        let nth = self.started;
        self.started += 1;
        let brief = Brief {
            url: self.url.clone(),
            name: format!("worker {nth}"),
            skew: SKEWS[nth as usize % SKEWS.len()],
        };
        let log = File::options().create(true).append(true).open(&self.log);
        // A proof that is killed outright takes its workers along, also those that are stopped.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", TEST, "--nocapture"])
            .env(BRIEF, serde_json::to_string(&brief).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.workers.push(Worker {
            name: brief.name,
            child,
            is_stopped: false,
        });
    }

    /// How many were started so far.
    pub(crate) fn started(&self) -> u32 {
        self.started
    }

    /// One that is not stopped.
    fn draw(&mut self) -> usize {
        let running: Vec<usize> = (0..self.workers.len())
            .filter(|&nth| !self.workers[nth].is_stopped)
            .collect();
        running[self.random.random_range(0..running.len())]
    }

    /// Kills one, and starts another in its place.
    pub(crate) fn kill(&mut self) {
        let nth = self.draw();
        drop(self.workers.swap_remove(nth));
        self.add();
    }

    /// Stops one where it stands, and answers its name.
    pub(crate) fn stop(&mut self) -> String {
        let nth = self.draw();
        let worker = &mut self.workers[nth];
        assert!(
            worker.child.try_wait().unwrap().is_none(),
            "{worker:?} ended by itself"
        );
        signal("STOP", &[worker.child.id()]);
        worker.is_stopped = true;
        worker.name.clone()
    }

    /// Lets one go on that was stopped.
    pub(crate) fn wake(&mut self, name: &str) {
        let mut workers = self.workers.iter_mut();
        let worker = workers.find(|worker| worker.name == name).unwrap();
        signal("CONT", &[worker.child.id()]);
        worker.is_stopped = false;
    }

    /// Tells all to end, and sees them do so well.
    pub(crate) async fn dismiss(mut self) {
        for worker in &mut self.workers {
            drop(worker.child.stdin.take());
        }
        let asked = Instant::now();
        for worker in &mut self.workers {
            let status = loop {
                if let Some(status) = worker.child.try_wait().unwrap() {
                    break status;
                }
                assert!(asked.elapsed() < HANG, "{} does not end", worker.name);
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert!(status.success(), "{}: {status}, see its log", worker.name);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
