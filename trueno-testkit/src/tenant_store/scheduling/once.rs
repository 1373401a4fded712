//! A tick fires once, whoever else fires it and wherever it is given up.

use std::sync::Arc;
use std::time::Duration;

use trueno_core::port::Fired;
use trueno_core::port::tenant_store::FIRED;

use super::{HOUR, World, add, fire_of, hourly, read, remove, scans, the_due_one};
use crate::suite::dropped_after;

/// Whoever comes again, with ids of their own, changes nothing.
pub async fn a_tick_fires_once(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    let due = the_due_one(&w).await;
    let fired = w.store.fire(fire_of(&w, &due)).await;
    assert_eq!(fired.unwrap(), Fired::Enqueued);
    let (present, staged) = (read(&w, &tenant, &made).await, w.staged().await);
    let again = w.store.fire(fire_of(&w, &due)).await;
    assert_eq!(again.unwrap(), Fired::AlreadyFired);
    assert_eq!(read(&w, &tenant, &made).await, present);
    assert_eq!(scans(&w, &tenant).await.len(), 1);
    assert_eq!(w.staged().await, staged);
}

/// Of schedulers that fire the same tick at the same time, one does.
pub async fn of_concurrent_schedulers_one_fires(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    w.forget_staged().await;
    let due = the_due_one(&w).await;
    let w = Arc::new(w);
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let (w, mut fire) = (w.clone(), fire_of(&w, &due));
            // Nothing but the schedule itself holds them apart.
            let run = fire.run.as_mut().unwrap();
            run.job.dedupe = None;
            tokio::spawn(async move { w.store.fire(fire).await.unwrap() })
        })
        .collect();
    let mut enqueued = 0;
    for racer in racing {
        match racer.await.unwrap() {
            Fired::Enqueued => enqueued += 1,
            Fired::AlreadyFired | Fired::Busy => {}
            fired => panic!("one of several schedulers was told {fired:?}"),
        }
    }
    assert_eq!(enqueued, 1);
    assert_eq!(scans(&w, &tenant).await.len(), 1);
    assert_eq!(w.actions_of(&tenant).await, [FIRED]);
}

/// P2: a tick given up half way was fired or not: the schedule, its scan and the event agree.
pub async fn a_dropped_fire_is_applied_or_not(w: World) {
    let tenant = w.organization().await;
    for polls in 0..12 {
        let account = w.account(&tenant).await;
        let made = add(&w, &tenant, hourly(&w, &account).await).await;
        w.advance(HOUR).await;
        w.forget_staged().await;
        let due = the_due_one(&w).await;
        let fire = fire_of(&w, &due);
        let answer = dropped_after(polls, w.store.fire(fire.clone())).await;
        if let Some(answer) = answer {
            assert_eq!(
                answer.unwrap(),
                Fired::Enqueued,
                "an answer that came is true"
            );
        }
        // What was sent before the drop may still be on its way; whoever comes next settles it.
        for _ in 0..100 {
            let again = fire_of(&w, &due);
            match w.store.fire(again).await.unwrap() {
                Fired::Busy => tokio::time::sleep(Duration::from_millis(50)).await,
                Fired::Enqueued | Fired::AlreadyFired => break,
                fired => panic!("{polls} polls: {fired:?}"),
            }
        }
        let present = read(&w, &tenant, &made).await;
        assert_eq!(present.next_run_at, fire.next, "{polls} polls");
        assert_eq!(
            w.actions_of(&tenant).await,
            [FIRED],
            "P2: one tick, one event"
        );
        let of_account = scans(&w, &tenant).await;
        let of_account = of_account.iter().filter(|scan| scan.account == account.id);
        assert_eq!(of_account.count(), 1, "P2: one tick, one scan");
        remove(&w, &tenant, &made).await;
    }
}
