//! What is due, and when.

use std::time::Duration;

use trueno_core::model::{MissedTicks, ScanKind};
use trueno_core::port::DueSchedule;

use super::{HOUR, World, add, due, hourly, read, the_due_one};
use crate::suite::near;

/// A schedule is listed once its tick has come by the store's clock, with all that a scheduler needs.
pub async fn a_new_schedule_is_due_at_its_first_tick(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let new = hourly(&w, &account)
        .await
        .with_missed(MissedTicks::RunAll)
        .with_jitter(Duration::from_secs(90))
        .unwrap();
    let made = add(&w, &tenant, new).await;
    let first = made.cron.next_after(made.created_at);
    assert_eq!(
        made.next_run_at,
        first.ok(),
        "the first tick after it was made"
    );
    assert_eq!(due(&w).await, [], "not before");
    w.advance(HOUR).await;
    let before = w.now().await;
    let listed = the_due_one(&w).await;
    let wanted = DueSchedule {
        organization: tenant.id,
        id: made.id,
        account: account.id,
        kind: ScanKind::Cost,
        cron: made.cron.expression().to_owned(),
        time_zone: "UTC".to_owned(),
        missed: MissedTicks::RunAll,
        jitter: Duration::from_secs(90),
        due_at: read(&w, &tenant, &made).await.next_run_at.unwrap(),
        now: listed.now,
    };
    assert_eq!(listed, wanted);
    near(
        listed.now,
        before,
        w.now().await,
        "P10: the store's present moment",
    );
    assert!(listed.due_at <= listed.now);
}

/// Due schedules of every organization come by due time, each once, whatever the size of the lists.
pub async fn isolation_due_schedules(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let mut wanted = Vec::new();
    for tenant in [&one, &two, &one, &two, &one] {
        let account = w.account(tenant).await;
        let made = add(&w, tenant, hourly(&w, &account).await).await;
        wanted.push((tenant.id, made.id));
        // The next one is due a minute later.
        w.advance(Duration::from_secs(60)).await;
    }
    w.advance(HOUR).await;
    let all = due(&w).await;
    let place = DueSchedule::position;
    assert!(all.windows(2).all(|two| place(&two[0]) < place(&two[1])));
    let mut listed: Vec<_> = all.iter().map(|due| (due.organization, due.id)).collect();
    for limit in [1, 2, 5] {
        let mut paged: Vec<DueSchedule> = Vec::new();
        loop {
            let page = w
                .store
                .due_schedules(paged.last().map(DueSchedule::position), limit)
                .await
                .unwrap();
            assert!(page.len() <= limit && paged.len() <= all.len());
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        let places: Vec<_> = paged.iter().map(place).collect();
        assert_eq!(
            places,
            all.iter().map(place).collect::<Vec<_>>(),
            "by {limit}"
        );
    }
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    assert_eq!(w.store.due_schedules(None, 0).await.unwrap(), []);
}
