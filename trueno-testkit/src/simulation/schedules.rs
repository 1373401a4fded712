//! Schedules of a run, the members who change them, and the schedulers that fire them.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio_util::sync::CancellationToken;
use trueno_core::error::ErrorKind;
use trueno_core::id::{CloudAccountId, IdSource};
use trueno_core::model::{
    AccessMethod, AccountNumber, AccountStatus, CronExpression, EventDraft, MissedTicks,
    NewCloudAccount, NewSchedule, Provider, ScanKind, ScheduleStatus,
};
use trueno_core::port::{PageRequest, ScanFilter};
use trueno_core::runtime::scan::{self, ScanRequest};
use trueno_core::runtime::{Scheduler, SchedulerConfig};
use trueno_core::state::cloud_account::AccountEvent;

use super::firing::WatchedSchedules;
use super::handler::SCANS;
use super::plot::{LONGEST_DELAY, Plot, Worker};
use super::rhythm::RHYTHMS;
use super::ticks::{self, Made, PAUSED, RESUMED, SCHEDULED};
use crate::fault::FaultPlan;

pub(super) const SCHEDULERS: usize = 2;

impl Plot {
    /// An account for each organization, and up to two schedules of it.
    pub(super) async fn schedule(&mut self) {
        for tenant in 0..self.log.tenants.len() {
            let account = self.connect(tenant).await;
            self.accounts.push(account);
            for _ in 0..self.random.random_range(0..=2) {
                self.make(tenant, account).await;
            }
        }
    }

    async fn connect(&self, tenant: usize) -> CloudAccountId {
        let (tenant, _) = &self.log.tenants[tenant];
        let id: CloudAccountId = self.ids.next(self.now());
        let number: AccountNumber = "111122223333".parse().unwrap();
        let access = AccessMethod::Ambient;
        let new = NewCloudAccount::new(id, Provider::Aws, number, "Production", access).unwrap();
        let mut unit = self.parts.store.begin(&tenant.accounts).await.unwrap();
        let version = unit.insert_account(new).await.unwrap().version;
        let verified = unit.apply_account(id, version, AccountEvent::Verified);
        verified.await.unwrap();
        let event = EventDraft::new("simulation.connected", "cloud_account", id);
        unit.commit(event).await.unwrap();
        id
    }

    async fn make(&mut self, tenant: usize, account: CloudAccountId) {
        let rhythm = RHYTHMS[self.random.random_range(0..RHYTHMS.len())];
        let missed = MissedTicks::ALL[self.random.random_range(0..MissedTicks::ALL.len())];
        let jitter = Duration::from_secs(self.random.random_range(0..2) * 5);
        let cron = CronExpression::new(rhythm.cron, rhythm.zone).unwrap();
        let id = self.ids.next(self.now());
        let new = NewSchedule::new(id, "Often", account, ScanKind::Inventory, cron)
            .and_then(|new| new.with_missed(missed).with_jitter(jitter))
            .unwrap();
        let (scopes, _) = &self.log.tenants[tenant];
        let mut unit = self.parts.store.begin(&scopes.schedules).await.unwrap();
        let made = unit.insert_schedule(new).await.unwrap();
        let event = EventDraft::new(SCHEDULED, "schedule", id);
        unit.commit(event).await.unwrap();
        self.firing.made.lock().push(id);
        self.schedules.push(Made {
            id,
            tenant,
            account,
            rhythm,
            missed,
            created_at: made.created_at,
        });
        let (name, cron) = (self.firing.name(id), rhythm.cron);
        let line = format!("organization {tenant} has {name}: {cron}, {missed}");
        self.log.line(line);
        self.count("schedules");
    }

    /// A scheduler, in a storm or not.
    pub(super) fn start_scheduler(&mut self, nth: usize) -> Worker {
        let rate = self.random.random_range(0.0..0.4);
        let faults = FaultPlan::storm(
            self.random.random(),
            rate,
            ErrorKind::Unavailable,
            LONGEST_DELAY,
        );
        let watched = WatchedSchedules {
            real: self.parts.schedules.clone(),
            faults: faults.clone(),
            log: self.log.clone(),
            firing: self.firing.clone(),
            nth,
        };
        let config = SchedulerConfig::default()
            .with_poll_interval(Duration::from_millis(500))
            .with_concurrency(self.random.random_range(1..4))
            .with_most_per_tick(self.random.random_range(1..5))
            .with_job_kind(SCANS);
        let ids = IdSource::seeded(self.random.random());
        let scheduler = Scheduler::new(Arc::new(watched), config, ids).unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { scheduler.run(stop).await });
        Worker {
            faults,
            shutdown,
            task,
        }
    }

    pub(super) async fn crash_scheduler(&mut self) {
        self.count("crashes of schedulers");
        let nth = self.random.random_range(0..SCHEDULERS);
        self.schedulers[nth].task.abort();
        let _ = (&mut self.schedulers[nth].task).await;
        let had_read = {
            let mut in_hand = self.firing.in_hand.lock();
            let before = in_hand.len();
            in_hand.retain(|(whose, _), _| *whose != nth);
            in_hand.len() < before
        };
        if had_read {
            self.count("crashes with ticks read and not fired");
        }
        self.schedulers[nth] = self.start_scheduler(nth);
    }

    /// A member pauses a schedule, or resumes it.
    pub(super) async fn turn_schedule(&mut self) {
        if self.schedules.is_empty() {
            return;
        }
        let made = self.schedules[self.random.random_range(0..self.schedules.len())];
        let (tenant, _) = &self.log.tenants[made.tenant];
        let store = self.parts.store.clone();
        let mut view = store.read(&tenant.read).await.unwrap();
        let present = view.schedule(made.id).await.unwrap();
        let (to, action) = match present.status {
            ScheduleStatus::Active => (ScheduleStatus::Paused, PAUSED),
            _ => (ScheduleStatus::Active, RESUMED),
        };
        let mut unit = store.begin(&tenant.schedules).await.unwrap();
        let set = unit.set_schedule_status(made.id, present.version, to);
        set.await.unwrap();
        let event = EventDraft::new(action, "schedule", made.id);
        unit.commit(event).await.unwrap();
        self.count(action);
    }

    /// A member pauses an account, or resumes it.
    pub(super) async fn turn_account(&mut self) {
        let nth = self.random.random_range(0..self.accounts.len());
        let (account, (tenant, _)) = (self.accounts[nth], &self.log.tenants[nth]);
        let store = self.parts.store.clone();
        let mut unit = store.begin(&tenant.accounts).await.unwrap();
        let present = unit.account(account).await.unwrap();
        let steps: &[AccountEvent] = match present.status {
            AccountStatus::Active => &[AccountEvent::Paused],
            _ => &[AccountEvent::Resumed, AccountEvent::Verified],
        };
        let mut version = present.version;
        for step in steps {
            let turned = unit.apply_account(account, version, *step);
            version = turned.await.unwrap().version;
        }
        let event = EventDraft::new("simulation.turned", "cloud_account", account);
        unit.commit(event).await.unwrap();
        self.log.line("an account is paused or resumed");
    }

    /// A member asks for a scan. Where one is queued or runs, or the account is paused, there is none.
    pub(super) async fn scan_by_hand(&mut self) {
        let nth = self.random.random_range(0..self.accounts.len());
        let wanted = ScanRequest::new(self.accounts[nth]).with_job_kind(SCANS);
        let scope = self.log.tenants[nth].0.scan;
        let store = self.parts.store.clone();
        match scan::request(&*store, &scope, &wanted, &self.ids, &self.clock).await {
            Ok(_) => self.count("scans by hand"),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::AlreadyExists | ErrorKind::InvalidTransition
                ),
                "{error:?}"
            ),
        }
    }

    /// Jobs that no worker was seen to be given.
    pub(super) async fn know_scans(&mut self) {
        for nth in 0..self.log.tenants.len() {
            let (tenant, _) = &self.log.tenants[nth];
            let mut view = self.parts.store.read(&tenant.read).await.unwrap();
            let (filter, page) = (ScanFilter::default(), PageRequest::largest());
            for scan in view.scans(&filter, &page).await.unwrap().items {
                self.log.meet(scan.job, nth, &mut *view).await;
            }
        }
    }

    pub(super) async fn check_ticks(&mut self) {
        let now = self.now();
        for made in self.schedules.clone() {
            let counts = ticks::check(made, &self.firing, &self.log, now).await;
            *self.figures.entry("ticks fired").or_default() += counts.fired;
            *self.figures.entry("ticks given up").or_default() += counts.given_up;
        }
    }
}
