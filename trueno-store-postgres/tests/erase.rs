//! Erasing an organization, and removing a member: what other transactions do meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use support::{Database, Harness, harness, keys};
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{FindingId, OrganizationId};
use trueno_core::model::{ChangeOfFinding, Concurrency, EventDraft, JobStatus, NewComment, Role};
use trueno_core::port::{JobOutcome, SettleOutcome, Settlement, TenantStore};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{Tenant, World, finding_id};

/// What stays: events, those that no sink has yet among them, and the mark that the id was used.
const STAYS: [&str; 3] = ["audit_outbox", "audit_staged", "erased_organization"];

async fn erase(store: &dyn TenantStore, scope: &OrgScope) -> Result<()> {
    let mut unit = store.begin(scope).await?;
    unit.erase_organization().await?;
    let id = scope.organization();
    let event = EventDraft::new("organization.erased", "organization", id);
    unit.commit(event).await.map(drop)
}

/// An organization with something in every table.
async fn full(w: &World) -> (Tenant, OrgScope) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let done = w.running_scan_of(&tenant, account.clone()).await;
    w.find(&done, &["vol-1"]).await;
    w.complete(&done).await;
    let run = w.running_scan_of(&tenant, account.clone()).await;
    w.ingest(&run.lease, async |ingest| {
        use trueno_core::model::CoverageStatus;
        use trueno_testkit::fixtures::{coverage, resource, task};
        let volume = resource("ec2.volume", "eu-west-1", "vol-1");
        ingest.put_resources(vec![volume.clone()]).await?;
        // Seen again by the same scan: what is noted beside the resource.
        ingest.put_resources(vec![volume]).await?;
        let task = task("ec2.volume", "eu-west-1");
        ingest
            .put_coverage(vec![coverage(task, CoverageStatus::Denied)])
            .await
    })
    .await
    .unwrap();
    let id = finding_id(account.id, "vol-1");
    let comment = NewComment::new(w.id(), id, "a comment").unwrap();
    w.change(&tenant.findings, async |unit| {
        unit.add_comment(comment).await
    })
    .await
    .unwrap();
    let exception = w.new_exception(id).await;
    w.request(&tenant.findings, exception).await.unwrap();
    w.schedule(&tenant, account.id).await;
    // A job that runs under a concurrency key.
    let concurrency = Concurrency::new("one at a time", 1).unwrap();
    w.enqueue(&tenant, w.job().with_concurrency(concurrency))
        .await;
    assert!(!w.claim(10).await.is_empty());
    let scope = w
        .scope(&tenant, tenant.owner, Action::EraseOrganization)
        .await;
    (tenant, scope)
}

/// How many rows of the organization each table has, by the catalog.
async fn rows(database: &Database, organization: OrganizationId) -> Vec<(String, i64)> {
    let mut admin = database.admin().await;
    let tables = admin
        .fetch_all(
            "select c.relname::text from pg_class c
             join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
             where c.relnamespace = 'trueno'::regnamespace and c.relkind in ('r', 'p')
                and not c.relispartition
             order by 1",
        )
        .await
        .unwrap();
    let mut counts = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let sql =
            format!("select count(*) from trueno.{table} where organization_id = '{organization}'");
        let row = admin.fetch_one(AssertSqlSafe(sql)).await.unwrap();
        counts.push((table, row.get(0)));
    }
    counts
}

#[tokio::test]
async fn an_erasure_leaves_nothing_in_any_table_but_events_and_its_mark() {
    let harness: Harness = harness().await;
    let database = harness.database.borrowed();
    let w = World::new(harness).await;
    let (tenant, scope) = full(&w).await;
    let (other, _) = full(&w).await;
    // What no claim has been told of.
    for tenant in [&tenant, &other] {
        w.enqueue(tenant, w.job()).await;
    }
    let before = rows(&database, tenant.id).await;
    assert!(before.len() > 15, "{before:?}");
    for (table, rows) in &before {
        assert_eq!(
            *rows > 0,
            *table != "erased_organization",
            "{table}: {rows}"
        );
    }
    let others = rows(&database, other.id).await;
    erase(&*w.store, &scope).await.unwrap();
    for (table, rows) in rows(&database, tenant.id).await {
        assert_eq!(rows > 0, STAYS.contains(&table.as_str()), "{table}: {rows}");
    }
    assert_eq!(rows(&database, other.id).await, others, "P1: the other's");
}

#[tokio::test]
async fn an_erasure_may_take_longer_than_a_statement() {
    let harness: Harness = harness().await;
    let database = harness.database.borrowed();
    let w = World::new(harness).await;
    let (_, scope) = full(&w).await;
    database
        .execute(
            "create function public.slowly() returns trigger language plpgsql as
                $$ begin perform pg_sleep(1); return null; end $$;
             create trigger slowly after delete on trueno.member
                for each statement execute function public.slowly()",
        )
        .await;
    let config = database
        .config()
        .with_statement_timeout(Duration::from_millis(500));
    let hurried = PostgresStore::connect(config, &keys()).await.unwrap();
    erase(&hurried, &scope).await.unwrap();
    // The same limit holds for anything else.
    let tenant = w.organization().await;
    let member = w.member(&tenant, Role::Viewer).await;
    let mut unit = hurried.begin(&tenant.members).await.unwrap();
    let error = unit.remove_member(member, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
}

#[tokio::test]
async fn what_is_assigned_to_a_member_who_is_removed_meanwhile_is_put_back() {
    let w = Arc::new(World::new(harness().await).await);
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let member = w.member(&tenant, Role::Analyst).await;
    let mut assigning = w.store.begin(&tenant.findings).await.unwrap();
    assigning
        .assign_finding(found.id, found.version, Some(member))
        .await
        .unwrap();
    let removing = tokio::spawn({
        let (w, members) = (w.clone(), tenant.members);
        async move {
            let mut unit = w.store.begin(&members).await?;
            unit.remove_member(member, 1).await?;
            let event = EventDraft::new("member.removed", "member", member);
            unit.commit(event).await
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let event = EventDraft::new("finding.assigned", "finding", found.id);
    assigning.commit(event).await.unwrap();
    removing.await.unwrap().unwrap();
    let id: FindingId = found.id;
    let after = w.read_finding(&tenant, id).await;
    assert_eq!((after.assignee, after.version), (None, found.version + 2));
    let wanted = ChangeOfFinding::Assignee {
        from: Some(member),
        to: None,
    };
    assert_eq!(w.history(&tenant, id).await.last().unwrap().what, wanted);
}

/// It lasts as long as a member's transaction, and workers serve everybody.
#[tokio::test]
async fn no_claim_waits_for_an_erasure() {
    let w = World::new(harness().await).await;
    let tenant = w.organization().await;
    for _ in 0..3 {
        w.enqueue(&tenant, w.job()).await;
    }
    // From here on the queue knows that the organization waits.
    assert_eq!(w.claim(1).await.len(), 1);
    let scope = w
        .scope(&tenant, tenant.owner, Action::EraseOrganization)
        .await;
    let mut erasing = w.store.begin(&scope).await.unwrap();
    erasing.erase_organization().await.unwrap();

    assert!(w.claim(10).await.is_empty(), "P1: it is not waited for");
    let other = w.organization().await;
    let job = w.enqueue(&other, w.job()).await;
    assert_eq!(w.claim_one().await.reference().job, job);
    drop(erasing);
}

/// Both lock the same jobs, many at a time: in one order, so that none waits for one that waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_and_what_settles_never_wait_for_each_other() {
    const JOBS: usize = 60;
    let w = Arc::new(World::new(harness().await).await);
    for round in 0..20 {
        let tenant = w.organization().await;
        let mut jobs: Vec<_> = (0..JOBS).map(|_| w.job()).collect();
        // As they lie, they are in no order of ids.
        jobs.reverse();
        jobs.rotate_left(round % JOBS);
        w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
        let leases = w.drain(JOBS).await;
        assert_eq!(leases.len(), JOBS);
        let scope = w
            .scope(&tenant, tenant.owner, Action::EraseOrganization)
            .await;
        let mut settling = Vec::new();
        for nth in 0..4 {
            let (w, mine) = (w.clone(), leases.clone());
            settling.push(tokio::spawn(async move {
                let mine = mine.into_iter().skip(nth).step_by(4);
                let batch = mine.map(|lease| Settlement {
                    lease,
                    outcome: JobOutcome::Succeeded,
                });
                w.queue.settle(batch.collect()).await
            }));
        }
        let erased = erase(&*w.store, &scope).await;
        for settled in settling {
            for outcome in settled.await.unwrap().unwrap() {
                let succeeded = SettleOutcome::Settled(JobStatus::Succeeded);
                assert!([succeeded, SettleOutcome::Stale].contains(&outcome));
            }
        }
        erased.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
}
