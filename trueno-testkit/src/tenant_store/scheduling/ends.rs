//! Schedules that do not fire, and ticks that cannot run: told, and never in the way of others.

use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::model::{
    CloudAccount, EventDraft, OrganizationLimits, Role, Schedule, ScheduleStatus,
};
use trueno_core::port::tenant_store::{FIRED, PARKED, PASSED_OVER};
use trueno_core::port::{Fire, Fired, NotRun};
use trueno_core::state::cloud_account::AccountEvent;

use super::{HOUR, World, add, due, fire_of, hourly, read, remove, scans, the_due_one};
use crate::fixtures::{SCAN_KIND, Tenant};
use crate::suite::refused;

async fn due_schedule(w: &World, tenant: &Tenant) -> (CloudAccount, Schedule) {
    let account = w.account(tenant).await;
    let made = add(w, tenant, hourly(w, &account).await).await;
    w.advance(HOUR).await;
    w.forget_staged().await;
    (account, made)
}

async fn set(w: &World, tenant: &Tenant, schedule: &Schedule, status: ScheduleStatus) -> Schedule {
    let set = w.change(&tenant.schedules, async |unit| {
        unit.set_schedule_status(schedule.id, schedule.version, status)
            .await
    });
    set.await.unwrap()
}

/// The tick of the one due schedule is passed over for `reason`, with an event and nothing else; the
/// schedule goes on.
async fn passed_over(w: &World, tenant: &Tenant, schedule: &Schedule, reason: NotRun) {
    let scans_before = scans(w, tenant).await;
    let fire = fire_of(w, &the_due_one(w).await);
    let fired = w.store.fire(fire.clone()).await.unwrap();
    assert_eq!(fired, Fired::NotRun(reason));
    assert_eq!(read(w, tenant, schedule).await.next_run_at, fire.next);
    assert_eq!(scans(w, tenant).await, scans_before, "no other scan");
    let staged = w.staged_of(tenant).await;
    assert_eq!(staged.len(), 1, "{staged:?}");
    let event = &staged[0];
    let wanted = fire.event(schedule.account, fired).unwrap();
    assert_eq!(
        (&*event.action, &event.targets, &event.details),
        (PASSED_OVER, &wanted.targets, &wanted.details)
    );
    assert_eq!(event.details["reason"], reason.as_str());
    assert_eq!(due(w).await.len(), 0, "it is not stuck");
}

/// A paused schedule is not due, and cannot be fired by who saw it before. Resumed, it goes on from
/// then: ticks of the pause are no missed ones.
pub async fn a_paused_schedule_resumes_from_now_on(w: World) {
    let tenant = w.organization().await;
    let (_, made) = due_schedule(&w, &tenant).await;
    let before = the_due_one(&w).await;
    let still = set(&w, &tenant, &made, ScheduleStatus::Active).await;
    assert_eq!(
        still.next_run_at,
        Some(before.due_at),
        "resuming forgives nothing"
    );
    let paused = set(&w, &tenant, &still, ScheduleStatus::Paused).await;
    assert_eq!(paused.next_run_at, None);
    assert_eq!(due(&w).await, []);
    let fired = w.store.fire(fire_of(&w, &before)).await;
    assert_eq!(fired.unwrap(), Fired::AlreadyFired);
    w.advance(3 * HOUR).await;
    assert_eq!(due(&w).await, [], "paused");
    let early = w.now().await;
    let resumed = set(&w, &tenant, &paused, ScheduleStatus::Active).await;
    let next = resumed.next_run_at.unwrap();
    assert!(next > early && next <= w.now().await + HOUR, "{next}");
    assert_eq!(
        next,
        resumed.cron.next_after(next - HOUR / 2).unwrap(),
        "a tick"
    );
    assert_eq!(due(&w).await, [], "nothing was missed");
    assert_eq!(scans(&w, &tenant).await, []);
    w.advance(HOUR).await;
    the_due_one(&w).await;
}

/// A schedule that was removed, or whose organization was erased, is not due and does not fire.
pub async fn what_is_removed_or_erased_fires_no_more(w: World) {
    let (removed, erased) = (w.organization().await, w.team().await);
    let mut made = Vec::new();
    for tenant in [&removed, &erased.tenant] {
        let account = w.account(tenant).await;
        made.push(add(&w, tenant, hourly(&w, &account).await).await);
    }
    w.advance(HOUR).await;
    let both = due(&w).await;
    assert_eq!(both.len(), 2);
    remove(&w, &removed, &made[0]).await;
    let scope = w
        .scope_of(&erased, Role::Owner, Action::EraseOrganization)
        .await;
    let mut unit = w.store.begin(&scope).await.unwrap();
    unit.erase_organization().await.unwrap();
    let event = EventDraft::new("organization.erased", "organization", erased.tenant.id);
    unit.commit(event).await.unwrap();
    w.forget_staged().await;
    assert_eq!(due(&w).await, []);
    for gone in &both {
        let fired = w.store.fire(fire_of(&w, gone)).await;
        assert_eq!(fired.unwrap(), Fired::AlreadyFired);
    }
    assert_eq!(w.staged().await, []);
}

/// The tick of an account that is paused, disconnected or no longer verified is passed over.
pub async fn a_tick_without_an_active_account_is_passed_over(w: World) {
    let tenant = w.organization().await;
    for step in [
        AccountEvent::Paused,
        AccountEvent::Disconnected,
        AccountEvent::VerificationFailed,
    ] {
        let (account, made) = due_schedule(&w, &tenant).await;
        w.apply(&tenant, &account, step).await;
        w.forget_staged().await;
        passed_over(&w, &tenant, &made, NotRun::AccountNotActive).await;
        remove(&w, &tenant, &made).await;
    }
}

/// A tick that finds a scan of its account queued or running is passed over.
pub async fn a_tick_beside_a_live_scan_is_passed_over(w: World) {
    let tenant = w.organization().await;
    let (account, made) = due_schedule(&w, &tenant).await;
    let key = account.id.to_string();
    let job = w.job_of_kind(SCAN_KIND).with_dedupe_key(&key).unwrap();
    w.request_scan_by(&tenant, &account, job).await;
    w.forget_staged().await;
    passed_over(&w, &tenant, &made, NotRun::ScanLive).await;
}

/// A tick of an organization that has as many jobs as it may is passed over.
pub async fn a_tick_over_the_quota_is_passed_over(w: World) {
    let tenant = w.organization().await;
    let (_, made) = due_schedule(&w, &tenant).await;
    let limits = OrganizationLimits::default().with_max_live(1).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
    w.enqueue(&tenant, w.job()).await;
    w.forget_staged().await;
    passed_over(&w, &tenant, &made, NotRun::QuotaReached).await;
}

/// P2: a tick whose scan or job cannot be added changes nothing.
pub async fn a_refused_tick_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let other = w.running_scan(&tenant).await;
    let (_, made) = due_schedule(&w, &tenant).await;
    let before = read(&w, &tenant, &made).await;
    let due = the_due_one(&w).await;
    let (mut scan_in_use, mut job_in_use) = (fire_of(&w, &due), fire_of(&w, &due));
    scan_in_use.run.as_mut().unwrap().scan = other.scan;
    job_in_use.run.as_mut().unwrap().job.id = other.job;
    for fire in [scan_in_use, job_in_use] {
        let fired = w.store.fire(fire).await;
        refused(fired, ErrorKind::AlreadyExists, "an id in use");
        assert_eq!(read(&w, &tenant, &made).await, before);
        assert_eq!(the_due_one(&w).await.due_at, due.due_at, "it is due still");
    }
    assert_eq!(w.staged().await, []);
    assert_eq!(scans(&w, &tenant).await.len(), 1);
}

/// A schedule whose next tick could not be worked out has none, and an event that says why; its own
/// version stays. Set to active it goes on.
pub async fn a_parked_schedule_says_why(w: World) {
    let tenant = w.organization().await;
    for (with_a_run, action) in [(false, PARKED), (true, FIRED)] {
        let (account, made) = due_schedule(&w, &tenant).await;
        let mut fire = fire_of(&w, &the_due_one(&w).await);
        fire.next = None;
        fire.parked = Some("nobody knows the next one".to_owned());
        fire.run = fire.run.filter(|_| with_a_run);
        let fired = w.store.fire(fire.clone()).await.unwrap();
        let wanted = if with_a_run {
            Fired::Enqueued
        } else {
            Fired::Moved
        };
        assert_eq!(fired, wanted);
        let parked = Schedule {
            next_run_at: None,
            ..made
        };
        assert_eq!(read(&w, &tenant, &parked).await, parked);
        assert_eq!(due(&w).await, [], "it is not due");
        let staged = w.staged_of(&tenant).await;
        assert_eq!(staged.len(), 1, "{staged:?}");
        let wanted = fire.event(account.id, fired).unwrap();
        assert_eq!(
            (&*staged[0].action, &staged[0].targets, &staged[0].details),
            (action, &wanted.targets, &wanted.details)
        );
        assert_eq!(staged[0].details["parked"], "nobody knows the next one");

        let active = set(&w, &tenant, &parked, ScheduleStatus::Active).await;
        assert!(active.next_run_at.unwrap() > w.now().await, "it goes on");
        w.advance(HOUR).await;
        let again: Fire = fire_of(&w, &the_due_one(&w).await);
        assert_eq!(again.schedule, active.id);
        remove(&w, &tenant, &active).await;
    }
}
