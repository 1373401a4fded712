//! What must be so of the ticks of a run: none is lost or doubled, and each goes the way of its policy.

use std::time::Duration;

use jiff::Timestamp;
use trueno_core::id::{CloudAccountId, ScheduleId};
use trueno_core::model::{Actor, AuditEvent, MissedTicks, Scan, ScheduleStatus};
use trueno_core::port::tenant_store::{FIRED, MISSED, PASSED_OVER};
use trueno_core::port::{NotRun, PageRequest, ScanFilter};

use super::firing::Firing;
use super::rhythm::Rhythm;
use super::watch::Log;

/// The event of a member who made a schedule.
pub(super) const SCHEDULED: &str = "simulation.scheduled";
/// The event of a member who paused a schedule.
pub(super) const PAUSED: &str = "simulation.paused";
/// The event of a member who resumed one.
pub(super) const RESUMED: &str = "simulation.resumed";

/// How late a tick may be that is not missed.
const GRACE: Duration = Duration::from_secs(60);

/// A schedule that a member made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) id: ScheduleId,
    pub(super) tenant: usize,
    pub(super) account: CloudAccountId,
    pub(super) rhythm: Rhythm,
    pub(super) missed: MissedTicks,
    pub(super) created_at: Timestamp,
}

/// What became of a schedule's ticks, read from its events in the order of their commits.
struct Walk<'a> {
    made: Made,
    firing: &'a Firing,
    /// The tick whose turn it is.
    turn: Timestamp,
    is_paused: bool,
    fired: u64,
    given_up: u64,
    wrong: Vec<String>,
}

/// Ticks that ran, and those that did not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) fired: u64,
    pub(super) given_up: u64,
}

/// Checks one schedule. Everything is over, and nothing is due.
pub(super) async fn check(made: Made, firing: &Firing, log: &Log, now: Timestamp) -> Counts {
    let (tenant, _) = &log.tenants[made.tenant];
    let events = log.store.staged(100_000).await.unwrap();
    let mut walk = Walk {
        made,
        firing,
        turn: made.rhythm.next_after(made.created_at),
        is_paused: false,
        fired: 0,
        given_up: 0,
        wrong: Vec::new(),
    };
    for event in events.iter().filter(|event| is_about(event, made.id)) {
        walk.follow(event);
    }
    let mut view = log.store.read(&tenant.read).await.unwrap();
    let present = view.schedule(made.id).await.unwrap();
    let next = (present.status == ScheduleStatus::Active).then_some(walk.turn);
    if present.next_run_at != next {
        walk.breaks(format_args!("next is {:?}", present.next_run_at));
    }
    if next.is_some_and(|next| next <= now) {
        walk.breaks("is due still");
    }
    let (filter, page) = (ScanFilter::default(), PageRequest::largest());
    let scans = view.scans(&filter, &page).await.unwrap().items;
    let by = Actor::Schedule { schedule: made.id };
    let own = |scan: &&Scan| scan.requested_by == by && scan.account == made.account;
    let scans = scans.iter().filter(own).count() as u64;
    if scans != walk.fired {
        let fired = walk.fired;
        walk.breaks(format_args!("P2: {fired} fired, and {scans} scans"));
    }
    for wrong in &walk.wrong {
        log.breaks(wrong);
    }
    Counts {
        fired: walk.fired,
        given_up: walk.given_up,
    }
}

fn is_about(event: &AuditEvent, schedule: ScheduleId) -> bool {
    let id = schedule.to_string();
    let mut targets = event.targets.iter();
    targets.any(|target| target.kind == "schedule" && target.id == id)
}

impl Walk<'_> {
    fn breaks(&mut self, what: impl std::fmt::Display) {
        let Made {
            id, rhythm, missed, ..
        } = self.made;
        let (name, cron, turn) = (self.firing.name(id), rhythm.cron, self.turn);
        self.wrong.push(format!(
            "ticks of {name} ({cron}, {missed}), at {turn}: {what}"
        ));
    }

    fn follow(&mut self, event: &AuditEvent) {
        match &*event.action {
            PAUSED => self.is_paused = true,
            RESUMED => {
                self.is_paused = false;
                self.turn = self.made.rhythm.next_after(event.occurred_at);
            }
            FIRED | PASSED_OVER => self.step(event),
            SCHEDULED => {}
            other => self.breaks(format_args!("what is {other}?")),
        }
    }

    fn step(&mut self, event: &AuditEvent) {
        let moment =
            |field: &str| -> Option<Timestamp> { event.details.get(field)?.as_str()?.parse().ok() };
        let due_at = moment("due_at").unwrap();
        if self.is_paused {
            self.breaks("fired while it was paused");
        }
        if due_at != self.turn {
            self.breaks(format_args!("lost or doubled: fired as {due_at}"));
            // One report is enough.
            self.turn = due_at;
        }
        let read = self
            .firing
            .read
            .lock()
            .get(&(self.made.id, due_at))
            .copied();
        let Some(read) = read else {
            return self.breaks("fired by nobody");
        };
        let passed_over = event.details["passed_over"].as_u64().unwrap();
        for _ in 0..passed_over {
            let is_old = read.duration_since(self.turn).unsigned_abs() > GRACE;
            let next = self.made.rhythm.next_after(self.turn);
            let may_be_given_up = match self.made.missed {
                MissedTicks::Skip => is_old,
                MissedTicks::RunOnce => next <= read,
                _ => false,
            };
            if !may_be_given_up {
                self.breaks("policy: was given up");
            }
            self.given_up += 1;
            self.turn = next;
        }
        let reason = event
            .details
            .get("reason")
            .and_then(|reason| reason.as_str());
        if reason == Some(MISSED) {
            if self.made.missed != MissedTicks::Skip {
                self.breaks("policy: missed, and none ran");
            }
            return;
        }
        self.tick(event, moment("tick"), read, reason);
    }

    /// The tick that was to run.
    fn tick(
        &mut self,
        event: &AuditEvent,
        tick: Option<Timestamp>,
        read: Timestamp,
        reason: Option<&str>,
    ) {
        if tick != Some(self.turn) {
            self.breaks(format_args!("lost or doubled: ran as {tick:?}"));
        }
        if self.turn > event.occurred_at || self.turn > read {
            self.breaks("P10: fired before its time");
        }
        let next = self.made.rhythm.next_after(self.turn);
        let is_old = read.duration_since(self.turn).unsigned_abs() > GRACE;
        let may_run = match self.made.missed {
            MissedTicks::Skip => !is_old,
            MissedTicks::RunOnce => next > read,
            _ => true,
        };
        if !may_run {
            self.breaks("policy: ran");
        }
        if reason == Some(NotRun::ScanLive.as_str()) && self.made.missed == MissedTicks::RunAll {
            self.breaks("policy: has to wait, and was given up");
        }
        match reason {
            Some(_) => self.given_up += 1,
            None => self.fired += 1,
        }
        self.turn = next;
    }
}
