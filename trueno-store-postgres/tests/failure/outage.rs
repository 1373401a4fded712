//! Processors whose database takes no writes for a while: they go on, and once it takes them again
//! every job ends, once (P2, P3).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trueno_core::clock::SystemClock;
use trueno_core::error::Result;
use trueno_core::id::{IdSource, JobId};
use trueno_core::model::{EventDraft, Job, JobKind, JobStatus};
use trueno_core::runtime::{Completion, JobContext, JobHandler, Processor, ProcessorConfig};
use trueno_testkit::fault::{FaultPlan, FaultyQueue, FaultyStore};

use crate::mapping::Place;

/// Ends with an event.
const TOLD: JobKind = JobKind::known("test.told");
/// Ends without effects.
const SILENT: JobKind = JobKind::known("test.silent");

/// How many jobs there are of each kind.
const EACH: usize = 6;

/// Far more than anything here takes.
const HANG: Duration = Duration::from_secs(60);

/// Waits until its test lets it go.
struct Held {
    kind: JobKind,
    open: watch::Receiver<bool>,
    runs: Arc<AtomicU32>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.kind)
    }
}

#[async_trait]
impl JobHandler for Held {
    fn kind(&self) -> JobKind {
        self.kind.clone()
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.clone();
        open.wait_for(|open| *open)
            .await
            .expect("the test holds it");
        Ok(if self.kind == SILENT {
            Completion::without_effects()
        } else {
            let job = context.lease.reference().job;
            Completion::new(EventDraft::new("test.done", "job", job))
        })
    }
}

/// A processor that runs all jobs, none of which has come to its end.
struct Running {
    place: Place,
    jobs: Vec<JobId>,
    /// Counts the calls; none goes wrong by it.
    calls: FaultPlan,
    open: watch::Sender<bool>,
    runs: Arc<AtomicU32>,
    stop: CancellationToken,
    processor: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(lease_for: Duration) -> Self {
        let place = Place::new(|config| config).await;
        let mut jobs = Vec::new();
        for kind in [TOLD, SILENT] {
            for _ in 0..EACH {
                let job = place.world.job_of_kind(kind.as_str());
                jobs.push(place.world.enqueue(&place.tenant, job).await);
            }
        }
        let (open, opens) = watch::channel(false);
        let (runs, calls) = (Arc::new(AtomicU32::new(0)), FaultPlan::new());
        let handlers = [TOLD, SILENT].map(|kind| {
            let (open, runs) = (opens.clone(), runs.clone());
            Arc::new(Held { kind, open, runs }) as Arc<dyn JobHandler>
        });
        let store = Arc::new(place.store.clone());
        let config = ProcessorConfig::new("test")
            .with_concurrency(4 * EACH)
            .with_poll_interval(Duration::from_millis(20))
            .with_lease_for(lease_for);
        let processor = Processor::new(
            Arc::new(FaultyQueue::new(store.clone(), calls.clone())),
            Arc::new(FaultyStore::new(store, calls.clone())),
            handlers.into(),
            config,
            Arc::new(SystemClock),
            IdSource::random(),
        )
        .unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let processor = tokio::spawn(async move { processor.run(stopped).await });
        let running = Self {
            place,
            jobs,
            calls,
            open,
            runs,
            stop,
            processor,
        };
        let all = 2 * EACH as u32;
        until("every job runs", || running.runs() == all).await;
        running
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Waits until the processor has done this so many times more.
    async fn calls_more(&self, method: &'static str, times: u64) {
        let before = self.calls.calls(method);
        until(method, || self.calls.calls(method) >= before + times).await;
    }

    async fn job(&self, id: JobId) -> Job {
        self.place.world.read_job(&self.place.tenant, id).await
    }

    /// Every job comes to its end, and so does one that is enqueued now; each end was applied once.
    /// Answers the jobs.
    async fn ends(self) -> Vec<Job> {
        let later = self.place.world.job_of_kind(TOLD.as_str());
        let later = self.place.world.enqueue(&self.place.tenant, later).await;
        let mut ended = Vec::new();
        for id in self.jobs.iter().copied().chain([later]) {
            let ends = async {
                loop {
                    let job = self.job(id).await;
                    if job.status.is_terminal() {
                        return job;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            ended.push(tokio::time::timeout(HANG, ends).await.expect("it ends"));
        }
        for job in &ended {
            assert_eq!(job.status, JobStatus::Succeeded, "{:?}", job.errors);
            assert_eq!(job.failed_attempts, 0, "no attempt failed");
        }
        self.stop.cancel();
        let stops = tokio::time::timeout(HANG, self.processor);
        stops.await.expect("it stops").unwrap();
        let events = self.place.world.actions_of(&self.place.tenant).await;
        let done = events.iter().filter(|action| *action == "test.done");
        assert_eq!(done.count(), EACH + 1, "P3: each end was applied once");
        ended
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waits = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(HANG, waits).await;
    waited.unwrap_or_else(|_| panic!("waited too long: {what}"));
}

const READ_ONLY: &str = "set default_transaction_read_only = on";
const WRITABLE: &str = "reset default_transaction_read_only";

/// The outage begins while jobs run, and they are done during it.
async fn ends_are_told_during_the_outage(running: &Running) {
    running.open.send(true).unwrap();
    for (method, times) in [
        // Each end is told more than once.
        ("tenant_store.finish", 2 * EACH as u64 + 1),
        ("job_queue.settle", 3),
        ("job_queue.claim", 3),
    ] {
        running.calls_more(method, times).await;
    }
    assert!(!running.processor.is_finished(), "it goes on");
    for &id in &running.jobs {
        assert_eq!(running.job(id).await.status, JobStatus::Running);
    }
}

#[tokio::test]
async fn jobs_that_are_done_while_the_database_is_read_only_end_once_it_is_not() {
    let running = Running::start(Duration::from_secs(60)).await;
    running.place.alter(READ_ONLY).await;
    ends_are_told_during_the_outage(&running).await;
    running.place.alter(WRITABLE).await;
    let runs = running.runs.clone();
    for job in running.ends().await {
        assert_eq!(job.lost_leases, 0);
    }
    assert_eq!(
        runs.load(Ordering::SeqCst),
        2 * EACH as u32 + 1,
        "each ran once"
    );
}

/// What a server answers that can write no more: to whatever the queue would write.
const FULL: &str = "
    create table public.full_disk (yes boolean);
    create function public.full_disk() returns trigger language plpgsql security definer as $$
    begin
        if exists (select from public.full_disk) then
            raise exception 'could not extend file' using errcode = 'disk_full';
        end if;
        return null;
    end $$;
    do $$
    declare
        the text;
    begin
        foreach the in array array[
            'job', 'job_history', 'worker_session', 'worker_batch', 'audit_staged', 'queue_note'
        ] loop
            execute format(
                'create trigger a_full_disk before insert or update or delete on trueno.%I
                 for each statement execute function public.full_disk()', the
            );
        end loop;
    end $$;";

#[tokio::test]
async fn jobs_that_are_done_while_the_disk_is_full_end_once_it_has_room() {
    let running = Running::start(Duration::from_secs(60)).await;
    let database = running.place.database.borrowed();
    database.execute(FULL).await;
    database
        .execute("insert into full_disk values (true)")
        .await;
    ends_are_told_during_the_outage(&running).await;
    database.execute("truncate full_disk").await;
    let runs = running.runs.clone();
    for job in running.ends().await {
        assert_eq!(job.lost_leases, 0);
    }
    assert_eq!(
        runs.load(Ordering::SeqCst),
        2 * EACH as u32 + 1,
        "each ran once"
    );
}

#[tokio::test]
async fn an_outage_that_outlasts_the_leases_costs_runs_and_no_job() {
    let lease_for = Duration::from_secs(1);
    let running = Running::start(lease_for).await;
    running.place.alter(READ_ONLY).await;
    running.open.send(true).unwrap();
    // Time that the database counts, too.
    tokio::time::sleep(lease_for + lease_for / 2).await;
    running.calls_more("job_queue.recover_expired", 1).await;
    running.place.alter(WRITABLE).await;
    let jobs = running.ends().await;
    let (last, held) = jobs.split_last().unwrap();
    assert_eq!(last.lost_leases, 0);
    for job in held {
        assert_eq!(job.lost_leases, 1, "the second run's end counts");
    }
}
