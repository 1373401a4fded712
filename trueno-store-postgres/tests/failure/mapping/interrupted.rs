//! Waits that end, connections that are ended, and databases that are made read-only: each made to
//! happen.

use std::time::Duration;

use sqlx::Executor as _;
use tokio::sync::Barrier;
use trueno_core::error::ErrorKind;
use trueno_core::model::{AccountStatus, CloudAccount};
use trueno_core::port::TenantStore as _;
use trueno_core::state::cloud_account::AccountEvent;

use super::{Expected, Place, connected, error_of};

const WAITS_FOR_LOCK: &str = "wait_event_type = 'Lock'";

#[tokio::test]
async fn a_pool_whose_connections_are_all_taken_is_exhausted() {
    let place = Place::new(|config| {
        config
            .with_max_connections(2)
            .with_acquire_timeout(Duration::from_millis(300))
    })
    .await;
    let held = [
        place.store.begin(&place.tenant.accounts).await.unwrap(),
        place.store.begin(&place.tenant.accounts).await.unwrap(),
    ];
    let expected = Expected {
        code: None,
        ..Expected::new(ErrorKind::Exhausted, "")
    };
    let error = error_of(place.store.begin(&place.tenant.accounts).await);
    expected.holds(&error);
    assert!(
        error.to_string().contains("no database connection"),
        "{error}"
    );
    drop(held);
    place.works().await;
}

/// Waits for a row that somebody else keeps, until `expected` ends the wait.
async fn waits_in_vain(place: Place, expected: Expected) {
    let account = place.world.pending_account(&place.tenant).await;
    let mut admin = place.database.admin().await;
    admin
        .execute("begin; update trueno.cloud_account set name = name")
        .await
        .unwrap();
    let mut unit = place.world.begin_accounts(&place.tenant).await;
    let step = unit.apply_account(account.id, account.version, AccountEvent::Verified);
    expected.holds(&error_of(step.await));
    admin.execute("rollback").await.unwrap();
    let mut view = place.world.view(&place.tenant).await;
    assert_eq!(view.account(account.id).await.unwrap(), account);
    drop(view);
    place.works().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_times_out() {
    let place =
        Place::new(|config| config.with_statement_timeout(Duration::from_millis(300))).await;
    waits_in_vain(place, Expected::new(ErrorKind::Timeout, "57014")).await;
}

#[tokio::test]
async fn a_lock_that_does_not_come_times_out() {
    let place = Place::new(|config| config.with_lock_timeout(Duration::from_millis(300))).await;
    waits_in_vain(place, Expected::new(ErrorKind::Timeout, "55P03")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_wait_for_each_other_one_is_undone_and_the_other_goes_on() {
    let place = Place::new(|config| config.with_lock_timeout(Duration::from_secs(30))).await;
    let (one, two) = (
        place.world.pending_account(&place.tenant).await,
        place.world.pending_account(&place.tenant).await,
    );
    let both = async |first: &CloudAccount, then: &CloudAccount, met: &Barrier| {
        let mut unit = place.world.begin_accounts(&place.tenant).await;
        unit.apply_account(first.id, first.version, AccountEvent::Verified)
            .await?;
        met.wait().await;
        unit.apply_account(then.id, then.version, AccountEvent::Verified)
            .await?;
        unit.commit(connected(first.id)).await
    };
    let met = Barrier::new(2);
    let ends = tokio::join!(both(&one, &two, &met), both(&two, &one, &met));
    let error = match ends {
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => error,
        other => panic!("one goes on and one does not: {other:?}"),
    };
    Expected::new(ErrorKind::Deadlock, "40P01").holds(&error);
    for account in [one, two] {
        let mut view = place.world.view(&place.tenant).await;
        let moved = view.account(account.id).await.unwrap();
        assert_eq!(moved.status, AccountStatus::Active);
        assert_eq!(moved.version, account.version + 1, "moved by one of them");
    }
    place.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_ended_in_the_middle_of_a_statement_wrote_nothing() {
    let place = Place::new(|config| config).await;
    let account = place.world.pending_account(&place.tenant).await;
    let mut admin = place.database.admin().await;
    admin
        .execute("begin; update trueno.cloud_account set name = name")
        .await
        .unwrap();
    let mut unit = place.world.begin_accounts(&place.tenant).await;
    let step = unit.apply_account(account.id, account.version, AccountEvent::Verified);
    let ending = async {
        place.until(WAITS_FOR_LOCK).await;
        place.terminate(WAITS_FOR_LOCK).await
    };
    let (answer, ended) = tokio::join!(step, ending);
    assert_eq!(ended, 1);
    Expected::new(ErrorKind::Unavailable, "57P01").holds(&error_of(answer));
    admin.execute("rollback").await.unwrap();
    let mut view = place.world.view(&place.tenant).await;
    assert_eq!(view.account(account.id).await.unwrap(), account);
    drop(view);
    place.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_ended_in_the_middle_of_a_commit_leaves_it_open() {
    let place = Place::new(|config| config).await;
    // A commit waits here until it is let go.
    for statement in [
        "create function wait() returns trigger language plpgsql security definer as $$
         begin
            perform pg_advisory_xact_lock(1);
            return new;
         end $$",
        "create constraint trigger wait after insert on trueno.cloud_account
         deferrable initially deferred for each row execute function wait()",
    ] {
        place.database.execute(statement).await;
    }
    let mut admin = place.database.admin().await;
    admin.execute("select pg_advisory_lock(1)").await.unwrap();
    let ending = async {
        place.until(WAITS_FOR_LOCK).await;
        place.terminate(WAITS_FOR_LOCK).await
    };
    let (answer, ended) = tokio::join!(place.add_account(), ending);
    assert_eq!(ended, 1);
    Expected::new(ErrorKind::Unavailable, "57P01")
        .perhaps_applied()
        .holds(&error_of(answer));
    admin.execute("select pg_advisory_unlock(1)").await.unwrap();
    assert_eq!(place.accounts().await, 0, "it was not applied");
    place.works().await;
}

#[tokio::test]
async fn a_unit_of_work_that_lies_idle_too_long_is_given_up() {
    let place = Place::new(|config| config.with_idle_timeout(Duration::from_millis(100))).await;
    let mut unit = place.world.begin_accounts(&place.tenant).await;
    unit.insert_account(place.new_account()).await.unwrap();
    let open = "select count(*) from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'";
    while place.database.number(open).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = error_of(unit.insert_account(place.new_account()).await);
    Expected::new(ErrorKind::Timeout, "25P03").holds(&error);
    assert_eq!(place.accounts().await, 0);
    place.works().await;
}

#[tokio::test]
async fn a_database_that_its_operator_made_read_only_is_read_and_not_written() {
    let place = Place::new(|config| config).await;
    place.works().await;
    let accounts = place.accounts().await;
    place.alter("set default_transaction_read_only = on").await;
    Expected::new(ErrorKind::Unavailable, "25006").holds(&error_of(place.add_account().await));
    assert_eq!(place.accounts().await, accounts);
    let memberships = place.store.memberships(place.tenant.owner).await.unwrap();
    assert_eq!(memberships.len(), 1, "it can still be read");
    drop(place.world.view(&place.tenant).await);
    place.alter("reset default_transaction_read_only").await;
    place.works().await;
}
