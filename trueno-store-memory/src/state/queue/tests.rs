//! The queue against a model that looks at every job.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trueno_core::model::{Concurrency, JobPayload, JobStatus};
use trueno_core::state::job::JobState;
use uuid::Uuid;

use super::*;

static KINDS: [JobKind; 2] = [JobKind::known("one"), JobKind::known("two")];
const ORGANIZATIONS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        organization: usize,
        kind: usize,
        priority: i16,
        wait: u64,
        concurrency: Option<(u8, u32)>,
    },
    Pass(u64),
    Claim(usize),
    /// A running job ends; a waiting one is cancelled.
    End(usize),
    /// A running job waits again, for so many minutes.
    Retry(usize, u64),
    Cap(usize, Option<u32>),
    Pause(usize, bool),
    PauseKind(usize, bool),
    Erase(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let organization = || 0..ORGANIZATIONS;
    let key = option::of((0..2_u8, 1..3_u32));
    let enqueue = (organization(), 0..2_usize, -3..=3_i16, 0..4_u64, key);
    prop_oneof![
        8 => enqueue.prop_map(|(organization, kind, priority, wait, concurrency)| Step::Enqueue {
            organization, kind, priority, wait, concurrency
        }),
        3 => (0..3_u64).prop_map(Step::Pass),
        8 => (0..3_usize).prop_map(Step::Claim),
        5 => any::<usize>().prop_map(Step::End),
        3 => (any::<usize>(), 0..3_u64).prop_map(|(nth, wait)| Step::Retry(nth, wait)),
        1 => (organization(), option::of(1..4_u32)).prop_map(|(of, cap)| Step::Cap(of, cap)),
        1 => (organization(), any::<bool>()).prop_map(|(of, paused)| Step::Pause(of, paused)),
        1 => (0..2_usize, any::<bool>()).prop_map(|(kind, paused)| Step::PauseKind(kind, paused)),
        1 => organization().prop_map(Step::Erase),
    ]
}

type Place = (OrganizationId, JobId);

fn organization(nth: usize) -> OrganizationId {
    Uuid::from_u128(1 + nth as u128).into()
}

/// The kinds of the nth way to ask: one, the other, or both.
fn kinds(nth: usize) -> &'static [JobKind] {
    match nth {
        0 => &KINDS[..1],
        1 => &KINDS[1..],
        _ => &KINDS,
    }
}

#[derive(Default)]
struct Model {
    queue: Queue,
    now: Timestamp,
    made: u128,
    jobs: BTreeMap<Place, Arc<JobRow>>,
    caps: HashMap<OrganizationId, u32>,
    paused: HashSet<OrganizationId>,
    paused_kinds: HashSet<JobKind>,
}

impl Model {
    fn put(&mut self, at: Place, row: Option<JobRow>) {
        let row = row.map(Arc::new);
        let before = self.jobs.get(&at).cloned();
        self.queue
            .replace(at.0, at.1, before.as_ref(), row.as_ref());
        match row {
            Some(row) => self.jobs.insert(at, row),
            None => self.jobs.remove(&at),
        };
    }

    fn running(&self, organization: OrganizationId) -> impl Iterator<Item = &Arc<JobRow>> {
        self.jobs
            .iter()
            .filter(move |((of, _), row)| {
                *of == organization && row.state.status == JobStatus::Running
            })
            .map(|(_, row)| row)
    }

    fn is_due(&self, row: &JobRow) -> bool {
        row.state.is_due(self.now)
    }

    fn may_begin(&self, organization: OrganizationId, row: &JobRow) -> bool {
        let under = |key: &str| {
            let same = |row: &&Arc<JobRow>| {
                let of = row.spec.concurrency.as_ref();
                of.is_some_and(|of| of.key() == key)
            };
            self.running(organization).filter(same).count()
        };
        let has_room = |of: &Concurrency| under(of.key()) < of.limit() as usize;
        let cap = self.caps.get(&organization);
        self.is_due(row)
            && !self.paused.contains(&organization)
            && !self.paused_kinds.contains(&row.spec.kind)
            && cap.is_none_or(|cap| self.running(organization).count() < *cap as usize)
            && row.spec.concurrency.as_ref().is_none_or(has_room)
    }

    /// The first of an organization, of those that may begin.
    fn first(&self, organization: OrganizationId, kinds: &[JobKind]) -> Option<JobId> {
        let mine = self.jobs.iter().filter(|((of, _), row)| {
            *of == organization && kinds.contains(&row.spec.kind) && self.may_begin(*of, row)
        });
        let minute = 60_000_000_000;
        mine.map(|((_, id), row)| {
            let rank = row.state.run_at.as_nanosecond() - i128::from(row.spec.priority) * minute;
            (rank, *id)
        })
        .min()
        .map(|(_, id)| id)
    }

    fn nth(&self, nth: usize, of: impl Fn(&JobRow) -> bool) -> Option<(Place, JobRow)> {
        let some: Vec<_> = self.jobs.iter().filter(|(_, row)| of(row)).collect();
        let (at, row) = some.get(nth.checked_rem(some.len())?)?;
        Some((**at, JobRow::clone(row)))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue {
                organization: of,
                kind,
                priority,
                wait,
                concurrency,
            } => {
                self.made += 1;
                let concurrency = concurrency
                    .map(|(key, limit)| Concurrency::new(&key.to_string(), limit).unwrap());
                let spec = JobSpec {
                    kind: KINDS[kind].clone(),
                    payload: JobPayload {
                        version: 1,
                        body: serde_json::Value::Null,
                    },
                    dedupe: None,
                    priority,
                    concurrency,
                    timeout: None,
                    backoff: None,
                    correlation_id: None,
                    enqueued_at: self.now,
                };
                let run_at = self.now + Duration::from_secs(60 * wait);
                let row = JobRow {
                    spec: Arc::new(spec),
                    state: JobState::enqueued(run_at, 2),
                    holder: None,
                    finished_at: None,
                    errors: Vec::new(),
                    result: None,
                };
                let id = Uuid::from_u128(self.made).into();
                self.put((organization(of), id), Some(row));
            }
            Step::Pass(minutes) => {
                self.now += Duration::from_secs(60 * minutes);
                self.queue.advance_to(self.now);
            }
            Step::Claim(nth) => {
                if let Some(at) = self.queue.next(kinds(nth)) {
                    let mut row = JobRow::clone(&self.jobs[&at]);
                    row.state.status = JobStatus::Running;
                    self.put(at, Some(row));
                    self.queue.serve(at.0);
                }
            }
            Step::End(nth) => {
                if let Some((at, mut row)) = self.nth(nth, JobRow::is_live) {
                    row.state.status = JobStatus::Succeeded;
                    self.put(at, Some(row));
                }
            }
            Step::Retry(nth, minutes) => {
                let runs = |row: &JobRow| row.state.status == JobStatus::Running;
                if let Some((at, mut row)) = self.nth(nth, runs) {
                    row.state.status = JobStatus::Failed;
                    row.state.run_at = self.now + Duration::from_secs(60 * minutes);
                    self.put(at, Some(row));
                }
            }
            Step::Cap(of, cap) => {
                let mut limits = OrganizationLimits::default();
                self.caps.remove(&organization(of));
                if let Some(cap) = cap {
                    limits = limits.with_max_running(cap).unwrap();
                    self.caps.insert(organization(of), cap);
                }
                self.queue.set_limits(organization(of), limits);
            }
            Step::Pause(of, paused) => {
                let of = organization(of);
                match paused {
                    true => self.paused.insert(of),
                    false => self.paused.remove(&of),
                };
                self.queue.pause_organization(of, paused);
            }
            Step::PauseKind(kind, paused) => {
                match paused {
                    true => self.paused_kinds.insert(KINDS[kind].clone()),
                    false => self.paused_kinds.remove(&KINDS[kind]),
                };
                self.queue.pause_kind(&KINDS[kind], paused);
            }
            Step::Erase(of) => {
                let of = organization(of);
                let all: Vec<Place> = self.jobs.keys().copied().collect();
                for at in all.into_iter().filter(|(mine, _)| *mine == of) {
                    self.put(at, None);
                }
                self.caps.remove(&of);
                self.paused.remove(&of);
                self.queue.forget(of);
            }
        }
    }

    fn check(&self) {
        let count = |of: &dyn Fn(&JobRow) -> bool| {
            let some = self.jobs.values().filter(|row| of(row));
            some.count() as u64
        };
        let waits =
            |row: &JobRow| matches!(row.state.status, JobStatus::Queued | JobStatus::Failed);
        let stats = QueueStats {
            waiting: count(&waits),
            running: count(&|row| row.state.status == JobStatus::Running),
        };
        assert_eq!(self.queue.stats(), stats);
        for kinds in [kinds(0), kinds(1), kinds(2)] {
            let next = self.queue.next(kinds);
            let anybody =
                (0..ORGANIZATIONS).any(|nth| self.first(organization(nth), kinds).is_some());
            assert_eq!(next.is_some(), anybody, "{kinds:?}");
            if let Some((of, job)) = next {
                assert_eq!(Some(job), self.first(of, kinds), "{kinds:?}");
            }
        }
        for (at, row) in &self.jobs {
            if self.is_due(row) {
                let reason = self.queue.holds_back(at.0, &row.spec, true);
                let may_begin = self.may_begin(at.0, row);
                assert_eq!(reason == WaitReason::Due, may_begin, "{reason:?}");
            }
        }
        for nth in 0..ORGANIZATIONS {
            let of = organization(nth);
            let live = |row: &&Arc<JobRow>| row.is_live();
            let mine = self.jobs.iter().filter(|((mine, _), _)| *mine == of);
            let live = mine.map(|(_, row)| row).filter(live).count() as u64;
            let kept = self.queue.lanes.get(&of).map_or(0, |lane| lane.live);
            assert_eq!(kept, live, "jobs that wait or run");
        }
    }
}

proptest! {
    /// Whatever happens, a claim finds a job where one may begin, the first of its organization, and
    /// only such a job.
    #[test]
    fn a_claim_finds_what_looking_at_every_job_finds(steps in vec(step(), 1..120)) {
        let mut model = Model::default();
        for step in steps {
            model.take(step);
            model.check();
        }
    }
}
