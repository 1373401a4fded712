//! Enqueues while everything breaks: asks again with the same ids until it is told that the jobs are
//! there, so that it knows which jobs may not be lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use trueno_core::clock::{Clock as _, SystemClock};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{CloudAccountId, IdSource, JobId, ScanId};
use trueno_core::model::{EventDraft, NewJob, NewScan, ScanKind};
use trueno_core::port::{Enqueued, JobQueue as _, TenantStore as _};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::Tenant;

use crate::work::{EFFECTS, Known, PLAIN, SCAN, Work, key};

/// Of so many jobs, one runs a scan.
pub(crate) const SCAN_EVERY: u32 = 50;

/// More live jobs than this are enough to keep every worker busy and every cap reached: what the test
/// counts all the while grows with them.
const ENOUGH: u32 = 600;

/// What the enqueuer shares with the storm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// How many jobs may have been enqueued by now.
    pub(crate) allowed: Arc<AtomicU32>,
    /// How many were.
    pub(crate) taken: Arc<AtomicU32>,
    /// How many have not ended.
    pub(crate) live: Arc<AtomicU32>,
}

/// How an organization's jobs are drawn, and what holds them back.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) tenant: Tenant,
    pub(crate) max_running: Option<u32>,
    /// Of a hundred jobs, so many are its own.
    pub(crate) share: u32,
    /// Whether some of its jobs have a concurrency key.
    pub(crate) has_keys: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) jobs: BTreeMap<JobId, Known>,
    /// Requests that failed and were sent again.
    pub(crate) retries: u64,
    /// Of these, how many had been applied all the same.
    pub(crate) applied: u64,
    /// Requests that were said to have changed nothing and had.
    pub(crate) untrue: Vec<String>,
}

pub(crate) struct Enqueuer {
    pub(crate) store: PostgresStore,
    pub(crate) customers: Vec<Customer>,
    /// One for each scan, with the customer that has it.
    pub(crate) accounts: Vec<(usize, CloudAccountId)>,
    pub(crate) random: StdRng,
    pub(crate) ids: IdSource,
}

impl Enqueuer {
    /// Enqueues `jobs`, no faster than it may and not while enough of them wait.
    pub(crate) async fn run(mut self, jobs: u32, pace: Pace) -> Taken {
        let mut taken = Taken::default();
        loop {
            let count = u32::try_from(taken.jobs.len()).unwrap();
            pace.taken.store(count, Ordering::Relaxed);
            let room = pace
                .allowed
                .load(Ordering::Relaxed)
                .min(jobs)
                .saturating_sub(count);
            if count == jobs {
                return taken;
            }
            if room == 0 || pace.live.load(Ordering::Relaxed) > ENOUGH {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let scans = u32::try_from(self.accounts.len()).unwrap();
            if scans > 0 && (jobs - count).div_ceil(SCAN_EVERY) <= scans {
                self.request_scan(&mut taken).await;
            } else {
                let most = self.random.random_range(1..40);
                self.enqueue(room.min(most), &mut taken).await;
            }
        }
    }

    async fn enqueue(&mut self, jobs: u32, taken: &mut Taken) {
        let drawn = self.random.random_range(0..100);
        let mut sum = 0;
        let found = self.customers.iter().find(|customer| {
            sum += customer.share;
            drawn < sum
        });
        let customer = found.expect("the shares are 100 in sum").clone();
        let (mut batch, mut known) = (Vec::new(), Vec::new());
        for _ in 0..jobs {
            let kind = if self.random.random_bool(0.5) {
                EFFECTS
            } else {
                PLAIN
            };
            let work = Work::draw(&mut self.random, &kind);
            batch.push(self.job(&customer, &kind, &work));
            known.push(Known {
                organization: customer.tenant.id,
                kind,
                work,
                scan: None,
            });
        }
        let (store, scope) = (self.store.clone(), customer.tenant.scan);
        let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        taken
            .until("a batch", || {
                let (store, batch, ids) = (store.clone(), batch.clone(), ids.clone());
                async move {
                    let answer = store.enqueue(&scope, batch).await?;
                    let answer: Vec<JobId> = answer.into_iter().map(Enqueued::job).collect();
                    assert_eq!(answer, ids, "each job is there under its own id");
                    Ok(())
                }
            })
            .await;
        taken.jobs.extend(ids.into_iter().zip(known));
    }

    fn job(
        &mut self,
        customer: &Customer,
        kind: &trueno_core::model::JobKind,
        work: &Work,
    ) -> NewJob {
        let now = SystemClock.now();
        let job = work.job(self.ids.next(now), kind.clone());
        let mut job = job.with_priority(self.random.random_range(-2..=2)).unwrap();
        if customer.has_keys && self.random.random_bool(0.15) {
            job = job.with_concurrency(key(&mut self.random));
        }
        if self.random.random_bool(0.1) {
            job = job.with_run_at(now + Duration::from_millis(self.random.random_range(0..3_000)));
        }
        job
    }

    /// A scan of the next account, with its job, in one unit of work.
    async fn request_scan(&mut self, taken: &mut Taken) {
        let (nth, account) = self.accounts.pop().unwrap();
        let (id, scope) = {
            let tenant = &self.customers[nth].tenant;
            (tenant.id, tenant.scan)
        };
        let work = Work::draw(&mut self.random, &SCAN);
        let scan: ScanId = self.ids.next(SystemClock.now());
        let job = work.job(self.ids.next(SystemClock.now()), SCAN);
        let new = NewScan {
            id: scan,
            account,
            job: job.id,
            kind: ScanKind::Inventory,
        };
        let store = self.store.clone();
        taken
            .until("a scan", || {
                let (store, new, job) = (store.clone(), new.clone(), job.clone());
                async move {
                    let mut unit = store.begin(&scope).await?;
                    unit.insert_scan(new).await?;
                    unit.enqueue(vec![job]).await?;
                    let event = EventDraft::new("scan.requested", "scan", scan);
                    unit.commit(event).await.map(drop)
                }
            })
            .await;
        let known = Known {
            organization: id,
            kind: SCAN,
            work,
            scan: Some(scan),
        };
        taken.jobs.insert(job.id, known);
    }
}

impl Taken {
    /// Sends a request until it is known to have been applied.
    async fn until<F>(&mut self, what: &str, request: impl Fn() -> F)
    where
        F: Future<Output = Result<()>>,
    {
        let (mut is_open, mut errors) = (false, Vec::new());
        loop {
            match request().await {
                Ok(()) => return,
                // The answer of an earlier one was lost.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    self.applied += 1;
                    if !is_open {
                        self.untrue
                            .push(format!("{what}: {errors:?}, then {error:?}"));
                    }
                    return;
                }
                Err(error) if error.is_retryable() => {
                    self.retries += 1;
                    is_open |= !error.certainly_not_applied();
                    errors.push(error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    }
}
