//! What has to hold once everything was cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use sqlx::Executor as _;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::port::{ClaimRequest, Finished, PageRequest};
use trueno_testkit::fixtures::{World, finding_id};

use super::worker::{Change, Fate, RESOURCES, Worker, ending, native_id, region};
use crate::support::Database;

/// Transactions that are open on the store's connections: nobody else but who asks has one. Their
/// name does not tell them, since a pooler may not pass it on.
const OPEN: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
        and pid <> pg_backend_pid() and xact_start is not null";

/// Locks of any kind that the store's connections hold, advisory ones included, which may outlive
/// transactions.
const LOCKS: &str = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and a.backend_type = 'client backend'
        and pid <> pg_backend_pid()";

/// The store's connections that wait for a lock.
const WAITING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";

/// Notes which connection creates an organization, begins a worker session or forgets events, and
/// the context that it is in: none of these enters one, so that a context is what was left behind.
const WATCH: &str = "
    create table seen (pid int, context text);
    create function see() returns trigger language plpgsql security definer as $$
    begin
        insert into public.seen values
            (pg_backend_pid(), coalesce(current_setting('trueno.context', true), ''));
        return null;
    end $$;
    create trigger see before insert on trueno.organization
        for each statement execute function see();
    create trigger see before insert on trueno.worker_session
        for each statement execute function see();
    create trigger see before delete on trueno.audit_outbox
        for each statement execute function see()";

pub(super) async fn watch(database: &Database) {
    database.execute(WATCH).await;
}

/// How often is looked for what is to be gone soon.
pub(super) const LOOKS: u32 = 400;

/// No connection is in a transaction or holds a lock. What was cut off is rolled back in the
/// background, so that is waited for.
pub(super) async fn nothing_is_open(database: &Database, looks: u32) {
    let mut left = (1, 1);
    for _ in 0..looks {
        left = (database.number(OPEN).await, database.number(LOCKS).await);
        if left == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("connections came back inside a transaction, or with locks: {left:?}");
}

/// No connection of any pool has a context: each pool is asked through all of its `connections` at
/// once.
pub(super) async fn no_context_is_left(database: &Database, world: &World, connections: i64) {
    let count = usize::try_from(connections).unwrap();
    let nothing = || vec!["test.nothing".parse().unwrap()];
    through_all(database, connections, async {
        join_all((0..count).map(|_| world.organization())).await;
    })
    .await;
    through_all(database, connections, async {
        join_all((0..count).map(async |_| {
            let request = ClaimRequest::new(world.id(), "worker", nothing(), 1);
            world.queue.claim(&request).await.unwrap();
        }))
        .await;
    })
    .await;
    through_all(database, connections, async {
        join_all((0..count).map(async |_| {
            world.store.forget(&[world.id()]).await.unwrap();
        }))
        .await;
    })
    .await;
}

/// Keeps every one of `calls` waiting until as many wait as there are connections, so that no two
/// use the same one.
async fn through_all(database: &Database, connections: i64, calls: impl Future<Output = ()>) {
    database.execute("truncate seen").await;
    let mut admin = database.admin().await;
    admin
        .execute("begin; lock table seen in exclusive mode")
        .await
        .unwrap();
    let release = async {
        while database.number(WAITING).await < connections {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        admin.execute("rollback").await.unwrap();
    };
    tokio::join!(release, calls);
    let pids = "select count(distinct pid) from public.seen";
    assert_eq!(database.number(pids).await, connections);
    let contexts = "select count(*) from public.seen where context <> ''";
    assert_eq!(
        database.number(contexts).await,
        0,
        "a connection came back in an organization"
    );
}

/// Every change of the worker is there as a whole or not at all, as its fate wants it; nothing else
/// is there.
pub(super) async fn changes_are_whole(database: &Database, worker: &Worker) {
    let world = &worker.world;
    let mut view = world.view(&worker.tenant).await;
    let mut accounts = BTreeSet::new();
    let mut page = PageRequest::first(1_000).unwrap();
    loop {
        let read = view.accounts(&page).await.unwrap();
        accounts.extend(read.items.iter().map(|account| account.id));
        let Some(next) = read.next else { break };
        page = page.after(Some(next));
    }
    assert!(accounts.remove(&worker.account.id));
    let staged: BTreeSet<(String, String)> = world
        .staged_of(&worker.tenant)
        .await
        .into_iter()
        .map(|event| (event.action, event.targets[0].id.clone()))
        .collect();
    let staged = |action: &str, id: String| staged.contains(&(action.to_owned(), id));
    for (change, fate) in &worker.changes {
        let parts = match change {
            Change::Account(id) => vec![
                accounts.remove(id),
                staged("cloud_account.connected", id.to_string()),
            ],
            Change::Request(requested) => vec![
                found(view.scan(requested.scan).await),
                found(view.job(requested.job).await),
                staged("scan.requested", requested.scan.to_string()),
            ],
            Change::Batch(nth) => {
                let ids: Vec<_> = (0..RESOURCES)
                    .map(|part| format!("'{}'", native_id(*nth, part)))
                    .collect();
                let count = format!(
                    "select count(*) from trueno.resource
                     where organization_id = '{}' and native_id in ({})",
                    worker.tenant.id,
                    ids.join(", ")
                );
                let resources = u64::try_from(database.number(&count).await).unwrap();
                assert!([0, RESOURCES].contains(&resources), "P2: {resources}");
                let coverage = view.coverage(worker.run.scan).await.unwrap();
                let region = region(*nth);
                let finding = finding_id(worker.account.id, &native_id(*nth, 0));
                vec![
                    resources == RESOURCES,
                    coverage.iter().any(|c| c.task.region.as_str() == region),
                    found(view.finding(finding).await),
                ]
            }
        };
        as_a_whole(&parts, *fate, change);
    }
    assert_eq!(accounts.len(), 0, "nothing that nobody inserted");
    for end in &worker.ends {
        let parts = [
            view.scan(end.scan.scan)
                .await
                .unwrap()
                .finished_at
                .is_some(),
            view.job(end.scan.job).await.unwrap().status.is_terminal(),
            staged("scan.finished", end.scan.scan.to_string()),
        ];
        as_a_whole(&parts, end.fate, &end.scan);
    }
}

/// Asked again, the end of a scan answers truly whether the call that was cut off had been applied.
pub(super) async fn ends_are_told_truly(worker: &Worker) {
    for end in &worker.ends {
        let applied = worker
            .world
            .job_status(&worker.tenant, end.scan.job)
            .await
            .is_terminal();
        let (outcome, event) = ending(end.scan);
        let again = worker.world.store.finish(&end.lease, outcome, event).await;
        match again.unwrap() {
            Finished::AlreadySettled => assert!(applied, "{end:?}"),
            _ => assert!(!applied, "{end:?}"),
        }
    }
}

fn as_a_whole(parts: &[bool], fate: Fate, change: &impl std::fmt::Debug) {
    let (all, none) = (parts.iter().all(|part| *part), !parts.contains(&true));
    let kept = match fate {
        Fate::Never => none,
        Fate::Either => all || none,
        Fate::Applied => all,
    };
    assert!(kept, "P2: {change:?}, {fate:?}: {parts:?}");
}

fn found<T>(answer: Result<T, Error>) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            false
        }
    }
}
