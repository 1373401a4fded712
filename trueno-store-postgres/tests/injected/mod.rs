//! The signed context, from the side of somebody who injects SQL (P1): straight on the server, and
//! through a pooler.
#![allow(
    dead_code,
    reason = "shared by several test programs, none of which uses all of it"
)]

pub(crate) mod cases;
pub(crate) mod oracles;
pub(crate) mod poisoned;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use trueno_core::id::OrganizationId;
use trueno_core::model::{CoverageStatus, NewComment};
use trueno_core::port::{JobOutcome, Settlement};
use trueno_testkit::fixtures::{self, Tenant, World};

use crate::support::way::Way;
use crate::support::{Database, ROLES, keys};

/// Makes a test of every case, over one way to the server.
macro_rules! every_case {
    ($way:expr) => {
        crate::injected::every_case! { $way, oracles =>
            a_wrong_context_is_an_error_where_no_row_is_met,
            a_wrong_context_tells_nothing_of_rows_in_a_list_of_tables,
            a_condition_is_not_asked_of_anothers_rows,
        }
        crate::injected::every_case! { $way, cases =>
            without_a_context_every_access_is_an_error_and_never_empty,
            a_forged_context_is_an_error_at_once,
            a_context_is_worth_nothing_in_another_transaction_or_session,
            a_rollback_takes_the_context_with_it,
            injected_sql_sees_and_becomes_no_other_organization,
            the_processor_enters_with_a_lease_and_with_nothing_else,
            nobody_says_that_somebody_else_acted,
            nothing_of_a_signature_shows_in_the_servers_activity,
        }
    };
    ($way:expr, $of:ident => $($case:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $case() {
            crate::injected::$of::$case($way).await;
        })+
    };
}

pub(crate) use every_case;

pub(crate) const BAD_CONTEXT: &str = "TR001";
pub(crate) const STALE_LEASE: &str = "TR002";
pub(crate) const FORBIDDEN: &str = "42501";

/// Everything that belongs to an organization and that app and processor may read, but for
/// [`IN_PART`].
pub(crate) const READABLE: [&str; 17] = [
    "organization",
    "member",
    "cloud_account",
    "schedule",
    "scan",
    "coverage",
    "inventory",
    "resource",
    "sighting",
    "finding",
    "finding_tag",
    "finding_change",
    "finding_comment",
    "finding_exception",
    "finding_count",
    "job",
    "job_history",
];

/// What the app alone may read, and not every column of it: `tests/attack` asks for those.
const IN_PART: &str = "audit_staged";

/// Two organizations with the same in each: a running scan that has read something, what members do
/// with its finding, a job that waits and one that is done. No table is empty, so that there is
/// something to see.
pub(crate) struct Two {
    pub(crate) world: World,
    pub(crate) one: OrganizationId,
    pub(crate) two: OrganizationId,
    pub(crate) tenant_two: Tenant,
    pub(crate) database: Database,
}

pub(crate) async fn two(way: Way) -> Two {
    let harness = way.harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let (one, two) = (world.organization().await, world.organization().await);
    for tenant in [&one, &two] {
        world.enqueue(tenant, world.job()).await;
        let done = world.claim_one().await.reference();
        let settlement = Settlement {
            lease: done,
            outcome: JobOutcome::Succeeded,
        };
        world.queue.settle(vec![settlement]).await.unwrap();

        let run = world.running_scan(tenant).await;
        let mut ingest = world.store.ingest(&run.lease).await.unwrap();
        let volume = fixtures::resource("ec2.volume", "eu-west-1", "vol-1");
        ingest.put_resources(vec![volume]).await.unwrap();
        let task = fixtures::task("ec2.volume", "eu-west-1");
        let coverage = fixtures::coverage(task, CoverageStatus::Complete);
        ingest.put_coverage(vec![coverage]).await.unwrap();
        // Of a kind that is still being read: the scan's own sighting of it is kept.
        let snapshot = fixtures::resource("ec2.snapshot", "eu-west-1", "snap-1");
        ingest.put_resources(vec![snapshot]).await.unwrap();
        ingest
            .put_findings(vec![fixtures::finding("vol-1")])
            .await
            .unwrap();
        ingest.commit().await.unwrap();

        let finding = fixtures::finding_id(run.account.id, "vol-1");
        let comment = NewComment::new(world.id(), finding, "Kept").unwrap();
        let exception = world.new_exception(finding).await;
        world
            .change(&tenant.findings, async |unit| {
                unit.add_comment(comment).await?;
                unit.request_exception(exception).await
            })
            .await
            .unwrap();
        world.schedule(tenant, run.account.id).await;
    }
    for tenant in [&one, &two] {
        world.enqueue(tenant, world.job()).await;
    }
    every_readable_table_is_listed(&database).await;
    let mut admin = database.admin().await;
    for table in READABLE {
        let rows = format!("select count(distinct organization_id) from trueno.{table}");
        assert_eq!(database.number(&rows).await, 2, "{table} has rows of both");
        // With statistics, so that the planner reads small tables from end to end.
        admin
            .execute(AssertSqlSafe(format!("vacuum analyze trueno.{table}")))
            .await
            .unwrap();
    }
    Two {
        one: one.id,
        two: two.id,
        tenant_two: two,
        database,
        world,
    }
}

/// What may be read, by the catalog: a new table is either listed or found out here.
async fn every_readable_table_is_listed(database: &Database) {
    let readable = format!(
        "select string_agg(c.relname, ' ' order by c.relname)
         from pg_class c join pg_policy p on p.polrelid = c.oid and p.polname = 'tenant'
         where c.relnamespace = 'trueno'::regnamespace and exists (
            select from unnest(array['{ROLES}_app', '{ROLES}_processor']) r
            where has_any_column_privilege(r, c.oid, 'select')
         )"
    );
    let mut listed: Vec<&str> = READABLE.into_iter().chain([IN_PART]).collect();
    listed.sort_unstable();
    assert_eq!(database.text(&readable).await, listed.join(" "));
}

/// Signs as the app does, from what is documented: written down a second time on purpose.
pub(crate) async fn signature(
    way: Way,
    connection: &mut PgConnection,
    key_id: &str,
    organization: OrganizationId,
) -> String {
    let stamp = connection
        .fetch_one("select int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp())")
        .await
        .unwrap();
    let stamp: Vec<u8> = stamp.get(0);
    let key = keys().newest().derive("trueno context key v1", b"trueno");
    let mut mac = Hmac::<Sha256>::new_from_slice(&*key).unwrap();
    for text in [key_id, &way.invoker("app")] {
        mac.update(&u32::try_from(text.len()).unwrap().to_be_bytes());
        mac.update(text.as_bytes());
    }
    mac.update(organization.as_uuid().as_bytes());
    mac.update(&stamp);
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn enter(key_id: &str, organization: OrganizationId, mac: &str) -> String {
    format!("select trueno.enter('{key_id}', '{organization}', '\\x{mac}')")
}

pub(crate) fn set(key_id: &str, organization: OrganizationId, mac: &str) -> String {
    format!("select set_config('trueno.context', '{key_id}:{organization}:{mac}', true)")
}

pub(crate) async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    connection
        .fetch_one(AssertSqlSafe(sql))
        .await
        .unwrap()
        .get(0)
}
