//! One run from its beginning to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trueno_core::clock::{Clock, SharedClock};
use trueno_core::error::ErrorKind;
use trueno_core::id::{CloudAccountId, IdSource, JobId};
use trueno_core::model::{Concurrency, JobStatus, OrganizationLimits, QueueTarget};
use trueno_core::retry::Backoff;
use trueno_core::runtime::{Processor, ProcessorConfig};

use super::firing::Firing;
use super::handler::{DONE, EFFECTS, Handler, PLAIN, SCANS, job};
use super::schedules::SCHEDULERS;
use super::ticks::Made;
use super::watch::{Log, Watched};
use super::{Parts, Run};
use crate::fault::{FaultPlan, FaultyQueue, FaultyStore};
use crate::fixtures::organization;

const WORKERS: usize = 3;
const LEASE: Duration = Duration::from_secs(1);
/// How late a call of a storm comes at the most: past any lease.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// By then everything has ended, or never will.
const PATIENCE: Duration = Duration::from_secs(600);

/// The time of day: that of tokio's timers, ahead by what it jumped.
#[derive(Clone, Debug)]
pub(super) struct TimerClock {
    begun: Instant,
    ahead: Arc<Mutex<Duration>>,
}

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        Timestamp::constant(1_767_225_600, 0) + self.begun.elapsed() + *self.ahead.lock()
    }
}

/// A processor or a scheduler that runs.
pub(super) struct Worker {
    pub(super) faults: FaultPlan,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

pub(super) struct Plot {
    seed: u64,
    pub(super) random: StdRng,
    pub(super) parts: Parts,
    pub(super) clock: TimerClock,
    pub(super) ids: IdSource,
    pub(super) log: Arc<Log>,
    handler: Handler,
    workers: Vec<Worker>,
    pub(super) schedulers: Vec<Worker>,
    pub(super) firing: Arc<Firing>,
    jobs: Vec<(JobId, usize)>,
    /// Each organization's.
    pub(super) accounts: Vec<CloudAccountId>,
    pub(super) schedules: Vec<Made>,
    pub(super) figures: BTreeMap<&'static str, u64>,
}

pub(super) async fn play(seed: u64, make: impl FnOnce(SharedClock, IdSource) -> Parts) -> Run {
    let (clock, ids) = (
        TimerClock {
            begun: Instant::now(),
            ahead: Arc::default(),
        },
        IdSource::seeded(seed),
    );
    let parts = make(Arc::new(clock.clone()), ids.clone());
    let mut random = StdRng::seed_from_u64(seed);
    let mut tenants = Vec::new();
    for _ in 0..random.random_range(1..=3) {
        let now = clock.now();
        let tenant = organization(&*parts.store, ids.next(now), ids.next(now))
            .await
            .unwrap();
        let mut limits = OrganizationLimits::default()
            .with_weight(random.random_range(1..4))
            .unwrap();
        if random.random_bool(0.7) {
            limits = limits.with_max_running(random.random_range(1..4)).unwrap();
        }
        parts.queue.set_limits(tenant.id, &limits).await.unwrap();
        tenants.push((tenant, limits));
    }
    let log = Arc::new(Log::new(parts.store.clone(), tenants));
    let handler = Handler {
        kind: PLAIN,
        seed,
        runs: Arc::default(),
        log: log.clone(),
    };
    let mut plot = Plot {
        seed,
        random,
        parts,
        clock,
        ids,
        log,
        handler,
        workers: Vec::new(),
        schedulers: Vec::new(),
        firing: Arc::default(),
        jobs: Vec::new(),
        accounts: Vec::new(),
        schedules: Vec::new(),
        figures: BTreeMap::new(),
    };
    plot.schedule().await;
    for nth in 0..WORKERS {
        let worker = plot.start(nth, true);
        plot.workers.push(worker);
    }
    for nth in 0..SCHEDULERS {
        let scheduler = plot.start_scheduler(nth);
        plot.schedulers.push(scheduler);
    }
    for _ in 0..plot.random.random_range(15..40) {
        plot.act().await;
        let wait = Duration::from_millis(plot.random.random_range(0..400));
        tokio::time::sleep(wait).await;
    }
    plot.calm().await;
    plot.check().await;
    plot.end().await
}

impl Plot {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.figures.entry(what).or_default() += 1;
        self.log.line(what);
    }

    /// A processor, in a storm or not.
    fn start(&mut self, nth: usize, storm: bool) -> Worker {
        let faults = if storm {
            let rate = self.random.random_range(0.0..0.25);
            FaultPlan::storm(
                self.random.random(),
                rate,
                ErrorKind::Unavailable,
                LONGEST_DELAY,
            )
        } else {
            FaultPlan::new()
        };
        let worker = format!("worker {nth}");
        let watched = Watched {
            real: self.parts.queue.clone(),
            log: self.log.clone(),
            worker: worker.clone(),
            nth: nth as u64,
        };
        // What its own clock says matters to nobody (P10).
        let skewed = TimerClock {
            begun: self.clock.begun,
            ahead: Arc::new(Mutex::new(Duration::from_secs(
                self.random.random_range(0..7_200),
            ))),
        };
        let config = ProcessorConfig::new(&worker)
            .with_concurrency(self.random.random_range(1..5))
            .with_lease_for(LEASE)
            .with_poll_interval(Duration::from_millis(200))
            .with_stop_grace(Duration::from_millis(500))
            .with_backoff(Backoff::new(
                Duration::from_millis(10),
                Duration::from_millis(200),
            ));
        let effects = Handler {
            kind: EFFECTS,
            ..self.handler.clone()
        };
        let scans = Handler {
            kind: SCANS,
            ..self.handler.clone()
        };
        let processor = Processor::new(
            Arc::new(FaultyQueue::new(Arc::new(watched), faults.clone())),
            Arc::new(FaultyStore::new(self.parts.store.clone(), faults.clone())),
            vec![
                Arc::new(self.handler.clone()),
                Arc::new(effects),
                Arc::new(scans),
            ],
            config,
            Arc::new(skewed),
            self.ids.clone(),
        );
        let (processor, shutdown) = (processor.unwrap(), CancellationToken::new());
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { processor.run(stop).await });
        Worker {
            faults,
            shutdown,
            task,
        }
    }

    /// One thing that happens.
    async fn act(&mut self) {
        match self.random.random_range(0..27) {
            0..9 => self.enqueue().await,
            9..11 => self.crash(true).await,
            11 => {
                self.count("shutdowns");
                let nth = self.random.random_range(0..WORKERS);
                self.workers[nth].shutdown.cancel();
                // An answer that never comes keeps nobody for ever.
                let _ = (&mut self.workers[nth].task).await;
                self.workers[nth] = self.start(nth, true);
            }
            12..14 => self.cancel().await,
            14..16 => self.pause().await,
            16 => {
                self.count("clock jumps");
                let jump = Duration::from_millis(self.random.random_range(500..5_000));
                *self.clock.ahead.lock() += jump;
            }
            17..19 => {
                self.count("clock jumps over ticks");
                let jump = Duration::from_millis(self.random.random_range(20_000..300_000));
                *self.clock.ahead.lock() += jump;
            }
            19..22 => self.crash_scheduler().await,
            22 => self.turn_schedule().await,
            23 => self.turn_account().await,
            24 => self.scan_by_hand().await,
            _ => {}
        }
    }

    async fn enqueue(&mut self) {
        let tenant = self.random.random_range(0..self.log.tenants.len());
        let scope = self.log.tenants[tenant].0.scan;
        for _ in 0..self.random.random_range(1..4) {
            let effects = self.random.random_bool(0.6);
            let id: JobId = self.ids.next(self.clock.now());
            let mut new = job(id, if effects { EFFECTS } else { PLAIN })
                .with_priority(self.random.random_range(-2..3))
                .unwrap()
                .with_max_attempts(self.random.random_range(1..4))
                .unwrap();
            if self.random.random_bool(0.3) {
                let later = Duration::from_millis(self.random.random_range(0..3_000));
                new = new.with_run_at(self.clock.now() + later);
            }
            if self.random.random_bool(0.4) {
                let (key, limit) = if self.random.random_bool(0.5) {
                    ("one", 1)
                } else {
                    ("two", 2)
                };
                new = new.with_concurrency(Concurrency::new(key, limit).unwrap());
            }
            self.know(id, tenant, new.concurrency.clone(), None);
            if effects && self.random.random_bool(0.3) {
                let follower = self.ids.next(self.clock.now());
                self.know(follower, tenant, None, Some(id));
            }
            self.jobs.push((id, tenant));
            self.count("jobs");
            self.parts.queue.enqueue(&scope, vec![new]).await.unwrap();
        }
    }

    fn know(
        &self,
        id: JobId,
        tenant: usize,
        concurrency: Option<Concurrency>,
        follows: Option<JobId>,
    ) {
        self.log.know(id, tenant, concurrency, follows);
    }

    async fn crash(&mut self, storm: bool) {
        self.count("crashes");
        let nth = self.random.random_range(0..WORKERS);
        self.workers[nth].task.abort();
        let _ = (&mut self.workers[nth].task).await;
        self.workers[nth] = self.start(nth, storm);
    }

    async fn cancel(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        self.count("cancellations");
        let (job, tenant) = self.jobs[self.random.random_range(0..self.jobs.len())];
        let scope = self.log.tenants[tenant].0.scan;
        self.parts.queue.cancel(&scope, job).await.unwrap();
    }

    fn targets(&self) -> Vec<QueueTarget> {
        let tenants = self.log.tenants.iter();
        let mut targets: Vec<_> = tenants
            .map(|(tenant, _)| QueueTarget::Organization(tenant.id))
            .collect();
        targets.push(QueueTarget::Kind(PLAIN));
        targets
    }

    async fn pause(&mut self) {
        let targets = self.targets();
        let target = &targets[self.random.random_range(0..targets.len())];
        if self.random.random_bool(0.5) {
            self.count("pauses");
            self.parts.queue.pause(target).await.unwrap();
        } else {
            self.parts.queue.resume(target).await.unwrap();
        }
    }

    /// The storm ends: nothing fails any more, and everything may go on.
    async fn calm(&mut self) {
        self.log.line("the storm ends");
        for target in self.targets() {
            self.parts.queue.resume(&target).await.unwrap();
        }
        for worker in self.workers.iter().chain(&self.schedulers) {
            worker.faults.calm();
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let stats = self.parts.queue.stats().await.unwrap();
            let due = self.parts.store.due_schedules(None, 1).await.unwrap();
            if stats == Default::default() && due.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn check(&mut self) {
        let stats = self.parts.queue.stats().await.unwrap();
        if stats != Default::default() {
            self.log
                .breaks(format_args!("something is stuck: {stats:?}"));
        }
        self.know_scans().await;
        self.check_ticks().await;
        let statuses = self.log.ends().await;
        let there: BTreeMap<JobId, JobStatus> = statuses
            .iter()
            .map(|(id, _, status)| (*id, *status))
            .collect();
        let events = self.parts.store.staged(100_000).await.unwrap();
        let jobs = self.log.jobs.lock().clone();
        for (id, known) in jobs {
            let name = &known.name;
            let status = there.get(&id).copied();
            let mut effects = events.iter().filter(|event| {
                event.action == DONE
                    && event
                        .targets
                        .iter()
                        .any(|target| target.id == id.to_string())
            });
            let effect = effects.next();
            let succeeded = status == Some(JobStatus::Succeeded);
            let (told, twice) = (
                effect.is_some() || known.settled > 0,
                effects.next().is_some() || known.settled > 1,
            );
            if twice || told != succeeded {
                self.log.breaks(format_args!(
                    "P3: effects of {name}, which is {status:?}: told {told}, twice {twice}"
                ));
            }
            let under = effect.and_then(|event| event.details.get("token")?.as_str());
            if under.is_some_and(|under| {
                Some(under.to_owned()) != known.token.map(|token| token.to_string())
            }) {
                self.log
                    .breaks(format_args!("P3: {name} had its effect under an old token"));
            }
            match (status, known.follows) {
                (Some(status), _) if !status.is_terminal() => {
                    self.log
                        .breaks(format_args!("{name} never ended: {status}"));
                }
                (None, None) => self.log.breaks(format_args!("{name} is gone")),
                (status, Some(first)) => {
                    let has_to_be = there.get(&first) == Some(&JobStatus::Succeeded);
                    if status.is_some() != has_to_be {
                        self.log
                            .breaks(format_args!("P2: follower {name} is {status:?}"));
                    }
                }
                _ => {}
            }
            match status {
                Some(JobStatus::Succeeded) => self.count("succeeded"),
                Some(JobStatus::Dead) => self.count("dead"),
                Some(JobStatus::Cancelled) => self.count("cancelled"),
                _ => {}
            }
        }
    }

    async fn end(self) -> Run {
        for worker in self.workers.into_iter().chain(self.schedulers) {
            worker.task.abort();
            let _ = worker.task.await;
        }
        let (transcript, broken) = (
            self.log.lines.lock().clone(),
            self.log.broken.lock().clone(),
        );
        Run {
            seed: self.seed,
            transcript,
            broken,
            figures: self.figures,
        }
    }
}
