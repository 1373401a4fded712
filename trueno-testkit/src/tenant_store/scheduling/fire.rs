//! What firing a tick changes, and what is refused.

use std::time::Duration;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{Actor, AuditTarget, JobStatus, ScanKind, ScanStatus, Schedule};
use trueno_core::port::tenant_store::FIRED;
use trueno_core::port::{DueSchedule, Fire, Fired};

use super::{HOUR, World, add, due, fire_of, hourly, read, scans, the_due_one};
use crate::suite::{near, refused};
use crate::tenant_store::twins::twins;

fn target(kind: &str, id: impl ToString) -> AuditTarget {
    AuditTarget {
        kind: kind.to_owned(),
        id: id.to_string(),
    }
}

/// P2: scan, job, event and the next tick are there together; the schedule is the actor, and what
/// members know of it stays as it was.
pub async fn a_due_tick_is_enqueued_with_its_event(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    w.forget_staged().await;
    let due = the_due_one(&w).await;
    let mut fire = fire_of(&w, &due);
    fire.passed_over = 3;
    let run = fire.run.clone().unwrap();
    let before = w.now().await;
    assert_eq!(w.store.fire(fire.clone()).await.unwrap(), Fired::Enqueued);
    let after = w.now().await;

    let actor = Actor::Schedule { schedule: made.id };
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        (scan.account, scan.job, scan.kind, scan.status),
        (account.id, run.job.id, ScanKind::Cost, ScanStatus::Queued)
    );
    assert_eq!(scan.requested_by, actor);
    near(
        scan.created_at,
        before,
        after,
        "when the scan was requested",
    );
    let job = w.read_job(&tenant, run.job.id).await;
    assert_eq!((job.status, job.kind), (JobStatus::Queued, run.job.kind));
    assert_eq!(Some(job.run_at), run.job.run_at, "after its jitter");
    let wanted = Schedule {
        next_run_at: fire.next,
        ..made
    };
    assert_eq!(read(&w, &tenant, &wanted).await, wanted);

    let staged = w.staged().await;
    assert_eq!(staged.len(), 1, "P2: one change, one event: {staged:?}");
    let event = &staged[0];
    assert_eq!(
        (event.organization, event.actor, &*event.action),
        (tenant.id, actor, FIRED)
    );
    let targets = [
        target("schedule", wanted.id),
        target("cloud_account", account.id),
        target("scan", run.scan),
    ];
    assert_eq!(event.targets, targets);
    assert_eq!(event.details, fire.details());
    assert_eq!(event.details["passed_over"], 3);
    near(event.occurred_at, before, after, "when it happened");
    let lease = w.claim_one().await;
    assert_eq!(lease.reference().job, run.job.id, "a worker gets it");
}

/// P10: the store's clock decides that a tick has come, whatever a scheduler believes.
pub async fn a_tick_to_come_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.forget_staged().await;
    let early = DueSchedule {
        organization: tenant.id,
        id: made.id,
        account: account.id,
        kind: made.kind,
        cron: made.cron.expression().to_owned(),
        time_zone: made.cron.time_zone().to_owned(),
        missed: made.missed,
        jitter: made.jitter,
        due_at: made.next_run_at.unwrap(),
        now: w.now().await + HOUR,
    };
    let fire = fire_of(&w, &early);
    let what = "P10: a tick that has not come";
    refused(
        w.store.fire(fire.clone()).await,
        ErrorKind::InvalidInput,
        what,
    );
    let moves = Fire { run: None, ..fire };
    refused(w.store.fire(moves).await, ErrorKind::InvalidInput, what);
    assert_eq!(read(&w, &tenant, &made).await, made, "as it was");

    w.advance(HOUR).await;
    let present = read(&w, &tenant, &made).await;
    let mut later = fire_of(&w, &the_due_one(&w).await);
    later.run.as_mut().unwrap().tick = later.due_at + HOUR;
    later.next = Some(later.due_at + 2 * HOUR);
    refused(w.store.fire(later).await, ErrorKind::InvalidInput, what);
    assert_eq!(read(&w, &tenant, &made).await, present, "as it was");
    assert_eq!(scans(&w, &tenant).await, []);
    assert_eq!(w.staged().await, []);
}

/// A schedule only ever moves forward, and its tick lies in between.
pub async fn a_step_back_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(2 * HOUR).await;
    let due = the_due_one(&w).await;
    let with = |change: fn(&mut Fire)| {
        let mut fire = fire_of(&w, &due);
        change(&mut fire);
        w.store.fire(fire)
    };
    let second = Duration::from_secs(1);
    assert!(due.due_at + second < due.now);
    for (fired, what) in [
        (
            with(|fire| fire.next = Some(fire.due_at)),
            "a next tick that is the same",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().tick -= Duration::from_secs(1)),
            "an old tick",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().tick += HOUR),
            "a tick that is the next one",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().job.priority = 1_000),
            "a job of no queue",
        ),
        (with(|fire| fire.next = None), "no next tick, and no reason"),
        (
            with(|fire| fire.parked = Some("why".to_owned())),
            "a reason beside a next tick",
        ),
    ] {
        refused(fired.await, ErrorKind::InvalidInput, what);
    }
    assert_eq!(the_due_one(&w).await.due_at, due.due_at, "as it was");
}

/// P1: `fire` moves the schedule of the organization that it names, and no other one of that id.
pub async fn isolation_fire(w: World) {
    let (first, second) = twins(&w).await;
    let stranger = w.organization().await;
    // Weekdays at six: within a week and a day each is due.
    w.advance(8 * 24 * HOUR).await;
    let due = due(&w).await;
    let of = |organization| {
        due.iter()
            .find(|due| due.organization == organization)
            .unwrap()
    };
    let other = read(&w, &second.tenant, &second.schedule).await;
    let mut fire = fire_of(&w, of(first.tenant.id));
    fire.run = None;
    fire.passed_over = 1;
    let nowhere = Fire {
        organization: stranger.id,
        ..fire.clone()
    };
    let of_nobody = Fire {
        organization: w.id(),
        ..fire.clone()
    };
    for fire in [nowhere, of_nobody] {
        let fired: Result<Fired> = w.store.fire(fire).await;
        assert_eq!(
            fired.unwrap(),
            Fired::AlreadyFired,
            "as if it were not there"
        );
    }
    w.forget_staged().await;
    assert_eq!(w.store.fire(fire.clone()).await.unwrap(), Fired::Moved);
    assert_eq!(
        read(&w, &second.tenant, &second.schedule).await,
        other,
        "P1: as it was"
    );
    let moved = read(&w, &first.tenant, &first.schedule).await;
    assert_eq!(moved.next_run_at, fire.next);
    let staged = w.staged().await;
    assert!(
        staged
            .iter()
            .all(|event| event.organization == first.tenant.id)
    );
    assert_eq!(staged.len(), 1);
}
