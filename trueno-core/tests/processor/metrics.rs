//! What a processor records for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use trueno_core::error::{Error, ErrorKind};
use trueno_core::id::WorkerSessionId;
use trueno_core::model::{JobKind, JobStatus};
use trueno_core::port::{ClaimRequest, Horizon, HorizonHolder, JobQueue};
use trueno_core::runtime::metrics::{describe, observe};
use trueno_testkit::fault::{Fault, FaultPlan, FaultyQueue};

use crate::world::{KIND, MS, Scripted, World, quick};

const QUIET: JobKind = JobKind::known("quiet");
const FLAKY: JobKind = JobKind::known("flaky");
const DENIED: JobKind = JobKind::known("denied");
const PANICS: JobKind = JobKind::known("panics");
const SLOW: JobKind = JobKind::known("slow");

/// Records what happens on the test's thread until the guard is dropped.
fn record() -> (Snapshotter, metrics::LocalRecorderGuard<'static>) {
    let recorder: &'static DebuggingRecorder = Box::leak(Box::new(DebuggingRecorder::new()));
    let guard = metrics::set_default_local_recorder(recorder);
    describe();
    (recorder.snapshotter(), guard)
}

/// What was recorded: by name and labels, written as `name{a=b,c=d}`.
struct Figures(BTreeMap<String, DebugValue>);

impl Figures {
    /// Asserts of each that it is described and has no labels but the two.
    fn of(snapshotter: &Snapshotter) -> Self {
        let mut figures = BTreeMap::new();
        for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
            let key = key.key();
            assert!(
                unit.is_some() && description.is_some(),
                "{key} is described"
            );
            let labels: BTreeMap<_, _> = key.labels().map(|it| (it.key(), it.value())).collect();
            let allowed = BTreeSet::from(["kind", "outcome"]);
            assert!(
                labels.keys().all(|label| allowed.contains(label)),
                "P1: {key}"
            );
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let name = match labels.as_slice() {
                [] => key.name().to_owned(),
                _ => format!("{}{{{}}}", key.name(), labels.join(",")),
            };
            figures.insert(name, value);
        }
        Self(figures)
    }

    fn value(&self, name: &str) -> &DebugValue {
        let found = self.0.get(name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.0.keys()))
    }

    fn count(&self, name: &str) -> u64 {
        match self.value(name) {
            DebugValue::Counter(count) => *count,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn gauge(&self, name: &str) -> f64 {
        match self.value(name) {
            DebugValue::Gauge(value) => value.into_inner(),
            other => panic!("{name} is {other:?}"),
        }
    }

    fn samples(&self, name: &str) -> Vec<f64> {
        match self.value(name) {
            DebugValue::Histogram(samples) => samples.iter().map(|it| it.into_inner()).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The outcomes of a kind's attempts that are not 0.
    fn outcomes(&self, name: &str, kind: &JobKind) -> BTreeMap<String, u64> {
        let prefix = format!("{name}{{kind={kind},outcome=");
        let of_kind = self.0.keys().filter_map(|key| {
            let outcome = key.strip_prefix(&prefix)?.strip_suffix('}')?;
            Some((outcome.to_owned(), self.count(key))).filter(|(_, count)| *count > 0)
        });
        of_kind.collect()
    }
}

fn outcomes<const N: usize>(wanted: [(&str, u64); N]) -> BTreeMap<String, u64> {
    wanted
        .map(|(outcome, count)| (outcome.to_owned(), count))
        .into()
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_by_kind_and_outcome_and_their_waits_and_times_are_measured() {
    let (snapshotter, _guard) = record();
    let config = quick().with_concurrency(16);
    let unavailable = || Error::new(ErrorKind::Unavailable, "not yet");
    let handlers = vec![
        Scripted::silent(|_, _| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        })
        .of(QUIET),
        Scripted::new(
            move |_, run| async move { if run == 1 { Err(unavailable()) } else { Ok(()) } },
        )
        .of(FLAKY),
        Scripted::new(|_, _| async { Err(Error::new(ErrorKind::Denied, "no")) }).of(DENIED),
        Scripted::new(|_, run| async move { panic!("planted panic of run {run}") }).of(PANICS),
        Scripted::new(|context, run| async move {
            if run == 1 {
                context.stop.cancelled().await;
                return Err(Error::new(ErrorKind::Cancelled, "stopped"));
            }
            Ok(())
        })
        .of(SLOW),
    ];
    let mut world = World::prepare(config, handlers).await;
    let quiet = world.enqueue_many(&QUIET, 3).await;
    let put = async |kind, timeout| {
        let job = world.new_job(kind).with_timeout(timeout).unwrap();
        world.put(job).await
    };
    let hour = Duration::from_secs(3_600);
    let flaky = put(FLAKY, hour).await;
    let (denied, panics) = (put(DENIED, hour).await, put(PANICS, hour).await);
    let slow = put(SLOW, 50 * MS).await;
    // Nobody takes them for so long.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.run();
    world.until_all(&quiet, JobStatus::Succeeded).await;
    world.until(flaky, JobStatus::Succeeded).await;
    world.until(slow, JobStatus::Succeeded).await;
    world.until(denied, JobStatus::Dead).await;
    world.until(panics, JobStatus::Dead).await;
    world.shut_down().await;
    let figures = Figures::of(&snapshotter);

    let ended = |kind: &JobKind| figures.outcomes("trueno_jobs_ended_total", kind);
    assert_eq!(ended(&QUIET), outcomes([("succeeded", 3)]));
    assert_eq!(ended(&FLAKY), outcomes([("retried", 1), ("succeeded", 1)]));
    assert_eq!(ended(&DENIED), outcomes([("dead", 1)]));
    assert_eq!(ended(&PANICS), outcomes([("dead", 1), ("retried", 1)]));
    assert_eq!(ended(&SLOW), outcomes([("retried", 1), ("succeeded", 1)]));
    let failures = |kind: &JobKind| figures.outcomes("trueno_job_failures_total", kind);
    assert_eq!(failures(&QUIET), outcomes([]));
    assert_eq!(failures(&FLAKY), outcomes([("error", 1)]));
    assert_eq!(failures(&DENIED), outcomes([("error", 1)]));
    assert_eq!(failures(&PANICS), outcomes([("panicked", 2)]));
    assert_eq!(failures(&SLOW), outcomes([("timed_out", 1)]));

    for (kind, attempts, jobs) in [(QUIET, 3, 3), (FLAKY, 2, 1), (PANICS, 2, 1)] {
        let of_kind = |name| format!("{name}{{kind={kind}}}");
        assert_eq!(
            figures.count(&of_kind("trueno_jobs_claimed_total")),
            attempts
        );
        let ran = figures.samples(&of_kind("trueno_job_duration_seconds"));
        assert_eq!(ran.len() as u64, attempts, "one for each attempt");
        let waited = figures.samples(&of_kind("trueno_job_wait_seconds"));
        assert_eq!(waited.len() as u64, attempts, "one for each attempt");
        // Jobs since they were enqueued, retries since the end of their backoff.
        let long = waited.iter().filter(|s| (5.0..5.1).contains(*s)).count();
        let short = waited.iter().filter(|s| (0.0..0.1).contains(*s)).count();
        assert_eq!((long, long + short), (jobs, waited.len()), "{waited:?}");
        assert!(figures.gauge(&of_kind("trueno_jobs_running")) == 0.0);
    }
    let ran = figures.samples("trueno_job_duration_seconds{kind=quiet}");
    assert!(ran.iter().all(|s| (2.0..2.1).contains(s)), "{ran:?}");
    assert!(figures.gauge("trueno_processor_places") == 16.0);
    assert_eq!(
        figures.samples("trueno_settle_batch_jobs"),
        [3.0],
        "told at once"
    );
    assert!(figures.count("trueno_claims_total{outcome=jobs}") >= 1);
    assert!(figures.count("trueno_claims_total{outcome=empty}") >= 1);
    let claims: u64 = ["jobs", "empty", "session_over", "error"]
        .map(|it| figures.count(&format!("trueno_claims_total{{outcome={it}}}")))
        .iter()
        .sum();
    assert_eq!(
        figures.samples("trueno_claim_duration_seconds").len() as u64,
        claims
    );
}

#[tokio::test(start_paused = true)]
async fn who_holds_vacuum_back_for_too_long_is_warned_of_and_their_age_is_recorded() {
    const WARNING: &str =
        "vacuum is held back: what ended stays in the queue's tables, and claims slow down";
    let (snapshotter, _guard) = record();
    let (lines, _logs) = crate::logs::capture();
    let config = quick().with_horizon_limit(Some(Duration::from_secs(600)));
    let mut world = World::start(config, Scripted::silent(|_, _| async { Ok(()) })).await;
    let age = || Figures::of(&snapshotter).gauge("trueno_horizon_age_seconds");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(age() == 0.0, "nothing holds it back");
    let held = |minutes: u64| {
        let looked_at = world.clock.now();
        Some(Horizon {
            holder: HorizonHolder::Session,
            pid: Some(7),
            name: Some("nightly report".to_owned()),
            login: None,
            state: None,
            looked_at,
            since: Some(looked_at - Duration::from_secs(60 * minutes)),
            state_since: None,
            position: 1,
            transactions: 100,
        })
    };
    world.log.hold(held(9));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((age() as u64, lines.count(WARNING)), (540, 0));
    world.log.hold(held(11));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((age() as u64, lines.count(WARNING)), (660, 1));
    world.log.hold(None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((age() as u64, lines.count(WARNING)), (0, 1));
    let next = world.faults.calls("job_queue.horizon") + 1;
    let down = Fault::Before(ErrorKind::Unavailable);
    world.faults.fail("job_queue.horizon", next, down);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(age().is_nan(), "not that of last time");
    world.shut_down().await;
}

/// The table of the module's page is the one list of metrics: what is recorded stands there.
#[tokio::test(start_paused = true)]
async fn every_metric_is_in_the_table_and_the_table_has_no_other() {
    let (snapshotter, _guard) = record();
    let mut world = World::start(quick(), Scripted::silent(|_, _| async { Ok(()) })).await;
    let scheduler = trueno_core::runtime::Scheduler::new(
        world.store.clone(),
        trueno_core::runtime::SchedulerConfig::default(),
        trueno_core::id::IdSource::seeded(1),
    );
    scheduler.unwrap().tick().await.unwrap();
    observe(&*world.store).await.unwrap();
    world.shut_down().await;
    let recorded: BTreeSet<String> = Figures::of(&snapshotter)
        .0
        .into_keys()
        .map(|key| key.split('{').next().unwrap().to_owned())
        .collect();
    let table: BTreeSet<String> = include_str!("../../src/runtime/metrics.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(recorded, table);
}

#[tokio::test(start_paused = true)]
async fn lost_leases_failed_requests_and_jobs_taken_back_are_counted() {
    let (snapshotter, _guard) = record();
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![Scripted::silent(|_, _| async { Ok(()) })]).await;
    // A worker that vanishes with a job.
    let gone = world.enqueue().await;
    let session = WorkerSessionId::from_uuid(uuid::Uuid::from_u128(7));
    let claim =
        ClaimRequest::new(session, "gone", vec![KIND], 1).with_lease_for(Duration::from_secs(1));
    assert_eq!(world.store.claim(&claim).await.unwrap().len(), 1);
    // One whose lease is another's when its success is told, and requests that fail.
    let lost = world.enqueue().await;
    world.log.mistake(lost);
    let down = Fault::Before(ErrorKind::Unavailable);
    world.faults.fail("job_queue.claim", 2, down);
    world.faults.fail("job_queue.heartbeat", 1, down);
    world.run();
    world.until(gone, JobStatus::Succeeded).await;
    world.until(lost, JobStatus::Succeeded).await;
    world.shut_down().await;
    let figures = Figures::of(&snapshotter);
    let ended = figures.outcomes("trueno_jobs_ended_total", &KIND);
    assert_eq!(ended, outcomes([("lease_lost", 1), ("succeeded", 2)]));
    assert_eq!(
        figures.count("trueno_jobs_recovered_total{outcome=requeued}"),
        1
    );
    assert_eq!(
        figures.count("trueno_jobs_recovered_total{outcome=dead}"),
        0
    );
    assert_eq!(figures.count("trueno_claims_total{outcome=error}"), 1);
    assert_eq!(figures.count("trueno_heartbeats_total{outcome=error}"), 1);
    assert!(figures.count("trueno_heartbeats_total{outcome=ok}") >= 1);
    let waited = figures.samples("trueno_job_wait_seconds{kind=test}");
    assert_eq!(
        waited.len(),
        2,
        "of the one that was given back again: {waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_leaves_no_figures_of_last_time() {
    let (snapshotter, _guard) = record();
    let world = World::prepare(quick(), vec![Scripted::silent(|_, _| async { Ok(()) })]).await;
    world.enqueue_many(&KIND, 3).await;
    let faults = FaultPlan::new();
    faults.fail("job_queue.stats", 2, Fault::Before(ErrorKind::Unavailable));
    let queue = FaultyQueue::new(Arc::clone(&world.store) as _, faults);
    let depth = || {
        let figures = Figures::of(&snapshotter);
        ["trueno_queue_waiting_jobs", "trueno_queue_running_jobs"].map(|it| figures.gauge(it))
    };
    observe(&queue).await.unwrap();
    assert_eq!(depth(), [3.0, 0.0]);
    observe(&queue).await.unwrap_err();
    assert!(depth().iter().all(|it| it.is_nan()));
    observe(&queue).await.unwrap();
    assert_eq!(depth(), [3.0, 0.0]);
}
