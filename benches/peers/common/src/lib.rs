//! What the Rust peers share: the command line, the counting of jobs, the line of the result.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{sync::Notify, time::Instant};

/// `PHASE --jobs N --database URL [--SETTING N]...`
pub struct Command {
    /// `enqueue` or `drain`.
    pub phase: String,
    /// How many jobs.
    pub jobs: usize,
    /// The database, as a URL.
    pub url: String,
    settings: HashMap<String, usize>,
}

impl Command {
    /// Reads the arguments of this process; `settings` are the peer's own, with their defaults.
    pub fn read(settings: &[(&str, usize)]) -> Result<Self> {
        let mut arguments = std::env::args().skip(1);
        let phase = arguments.next().context("no phase was given")?;
        let mut command = Self {
            phase,
            jobs: 0,
            url: String::new(),
            settings: settings
                .iter()
                .map(|(name, value)| (name.to_string(), *value))
                .collect(),
        };
        while let Some(option) = arguments.next() {
            let name = option.trim_start_matches("--");
            let value = arguments
                .next()
                .with_context(|| format!("{option} has no value"))?;
            match name {
                "jobs" => command.jobs = value.parse()?,
                "database" => command.url = value,
                _ => match command.settings.get_mut(name) {
                    Some(setting) => *setting = value.parse()?,
                    None => bail!("no such option: {option}"),
                },
            }
        }
        ensure!(
            command.jobs > 0 && !command.url.is_empty(),
            "--jobs and --database are needed"
        );
        Ok(command)
    }

    /// One of the peer's own settings.
    #[must_use]
    pub fn setting(&self, name: &str) -> usize {
        self.settings[name]
    }
}

/// Counts the jobs that start, and knows when the first did.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: usize,
    started: AtomicUsize,
    first: OnceLock<Instant>,
    all: Notify,
}

impl Drain {
    /// A drain of so many jobs.
    #[must_use]
    pub fn new(jobs: usize) -> Self {
        let (started, first, all) = (AtomicUsize::new(0), OnceLock::new(), Notify::new());
        Self(Arc::new(Inner {
            jobs,
            started,
            first,
            all,
        }))
    }

    /// To be called as the first thing of each job.
    pub fn started(&self) {
        self.0.first.get_or_init(Instant::now);
        if self.0.started.fetch_add(1, Ordering::Relaxed) + 1 == self.0.jobs {
            self.0.all.notify_one();
        }
    }

    /// The time from the first job that starts until none is `unfinished` in the database, which
    /// is asked once all have started: few can be left then, so that asking is cheap.
    pub async fn finished(
        &self,
        mut unfinished: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<Duration> {
        self.0.all.notified().await;
        while unfinished().await? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let first = self.0.first.get().context("no job has started")?;
        Ok(first.elapsed())
    }
}

/// Prints the result: one line of JSON on stdout.
pub fn report(peer: &str, jobs: usize, elapsed: Duration, settings: &str) {
    let seconds = elapsed.as_secs_f64();
    let rate = jobs as f64 / seconds;
    let line = serde_json::json!({
        "peer": peer, "mode": "drain", "jobs": jobs, "seconds": seconds, "rate": rate, "settings": settings,
    });
    println!("{line}");
}
