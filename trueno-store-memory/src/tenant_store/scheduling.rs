//! Due schedules, and the firing of their ticks.

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{Actor, NewScan, Schedule};
use trueno_core::port::{
    DuePosition, DueSchedule, Enqueued, Fire, Fired, NotRun, Scheduling, TickRun,
};
use trueno_core::state::cloud_account::may_scan;

use super::{Stamp, account_not_found, named};
use crate::MemoryStore;
use crate::state::{Database, Draft};

#[async_trait]
impl Scheduling for MemoryStore {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let after = after.map(|after| (after.due_at, after.organization, after.schedule));
        let due = self.with(|database, now| {
            let due = database.ticks.due(now, after, limit).into_iter();
            due.map(|(due_at, organization, id)| {
                let schedule = database.draft(organization)?.schedule(id)?;
                Ok(DueSchedule {
                    organization,
                    id,
                    account: schedule.account,
                    kind: schedule.kind,
                    cron: schedule.cron.expression().to_owned(),
                    time_zone: schedule.cron.time_zone().to_owned(),
                    missed: schedule.missed,
                    jitter: schedule.jitter,
                    due_at,
                    now,
                })
            })
            .collect()
        });
        named("scheduling.due_schedules", due)
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        let fired = fire
            .check()
            .and_then(|()| self.with(|database, now| self.fire_in(database, fire, now)));
        if matches!(fired, Ok(Fired::Enqueued)) {
            self.wake();
        }
        named("scheduling.fire", fired)
    }
}

impl MemoryStore {
    fn fire_in(&self, database: &mut Database, fire: Fire, now: Timestamp) -> Result<Fired> {
        let is_due = |schedule: &Schedule| schedule.next_run_at == Some(fire.due_at);
        let draft = database.draft(fire.organization).ok();
        let due = draft.and_then(|draft| {
            let schedule = draft.schedule(fire.schedule).ok().filter(is_due)?;
            Some((draft, schedule))
        });
        let Some((mut draft, mut schedule)) = due else {
            return Ok(Fired::AlreadyFired);
        };
        if fire.latest() > now {
            return Err(Fire::too_early());
        }
        schedule.next_run_at = fire.next;
        draft.schedules.put(schedule.id, schedule.clone());
        let by = Stamp {
            actor: Actor::Schedule {
                schedule: schedule.id,
            },
            at: now,
        };
        let fired = match &fire.run {
            Some(run) => enqueue(database, &mut draft, &schedule, run, by)?,
            None => Fired::Moved,
        };
        let event = fire
            .event(schedule.account, fired)
            .map(|event| self.event(fire.organization, by.actor, event, now))
            .transpose()?;
        database.commit(draft, event.into_iter().collect())?;
        Ok(fired)
    }
}

/// Adds a tick's scan and job to the draft, or says why not.
fn enqueue(
    database: &Database,
    draft: &mut Draft,
    schedule: &Schedule,
    run: &TickRun,
    by: Stamp,
) -> Result<Fired> {
    let account = draft.accounts.get(&schedule.account);
    if !may_scan(account.ok_or_else(account_not_found)?.status) {
        return Ok(Fired::NotRun(NotRun::AccountNotActive));
    }
    let room = database.queue.require_room(draft.organization, || 0, 1);
    match room {
        Err(error) if error.kind() == ErrorKind::Exhausted => {
            return Ok(Fired::NotRun(NotRun::QuotaReached));
        }
        room => room?,
    }
    let enqueued = draft.enqueue(vec![run.job.clone()], by.at)?;
    if let [Enqueued::Duplicate(_)] = enqueued.as_slice() {
        return Ok(Fired::NotRun(NotRun::ScanLive));
    }
    let scan = NewScan {
        id: run.scan,
        account: schedule.account,
        job: run.job.id,
        kind: schedule.kind,
    };
    draft.insert_scan(&scan, by)?;
    Ok(Fired::Enqueued)
}
