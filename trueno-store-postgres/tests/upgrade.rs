//! A database of version 5 with data in it is upgraded, and nothing of it is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor as _};
use support::{Database, ROLES, keys};
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::id::{
    CloudAccountId, FindingId, IdSource, JobId, OrganizationId, ScanId, UserId, WorkerSessionId,
};
use trueno_core::model::{EventDraft, Finding, FindingStatus, NewOrganization};
use trueno_core::port::tenant_store::TagFilter;
use trueno_core::port::{
    AuditOutbox as _, ClaimRequest, Count, FindingFilter, JobQueue as _, PageRequest,
    ResourceFilter, TenantStore as _,
};
use trueno_store_postgres::{PostgresStore, migrate};

/// The migrations that version 5 had: as what each runs, its name and its text.
const VERSION_5: [(&str, &str, &str); 5] = [
    (
        "owner",
        "0001_tables",
        include_str!("../migrations/0001_tables.sql"),
    ),
    (
        "system",
        "0002_context",
        include_str!("../migrations/0002_context.sql"),
    ),
    (
        "owner",
        "0003_policies",
        include_str!("../migrations/0003_policies.sql"),
    ),
    (
        "owner",
        "0004_enqueue",
        include_str!("../migrations/0004_enqueue.sql"),
    ),
    (
        "system",
        "0005_across",
        include_str!("../migrations/0005_across.sql"),
    ),
];

/// A database as the program of version 5 made it.
async fn of_version_5() -> Database {
    // The roles belong to the server.
    drop(Database::migrated(&keys()).await);
    let database = Database::create().await;
    let mut sql = String::from(
        "create schema trueno authorization @owner@;
         set search_path = trueno, pg_temp;
         set role @owner@;
         grant usage on schema trueno to @system@, @app@, @processor@, @sequencer@;
         create table schema_migration (
            version bigint primary key,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default clock_timestamp()
         );
         create table schema_info (
            only_row boolean primary key default true check (only_row),
            oldest_binary bigint not null
         );
         insert into schema_info (oldest_binary) values (5);",
    );
    for (version, (role, name, text)) in (1..).zip(VERSION_5) {
        let checksum = data_encoding::HEXLOWER.encode(&Sha256::digest(text));
        write!(
            sql,
            "grant create on schema trueno to @system@; set role @{role}@;
             {text}
             ; set role @owner@; revoke create on schema trueno from @system@;
             insert into schema_migration (version, name, checksum)
                values ({version}, '{name}', '{checksum}');"
        )
        .unwrap();
    }
    let mut filled = sql.replace("@schema@", "trueno");
    filled = filled.replace("@setting@", "trueno.context");
    for role in ["owner", "system", "app", "processor", "sequencer"] {
        filled = filled.replace(&format!("@{role}@"), &format!("{ROLES}_{role}"));
    }
    database.execute(&filled).await;
    database
}

struct Old {
    organization: OrganizationId,
    owner: UserId,
    account: CloudAccountId,
    scan: ScanId,
}

/// What a program of version 5 left: a finding for each key, the second one resolved, and resources.
async fn fill(database: &Database, keys: &[String]) -> Old {
    let ids = IdSource::random();
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let old = Old {
        organization: ids.next(now),
        owner: ids.next(now),
        account: ids.next(now),
        scan: ids.next(now),
    };
    let (organization, account, scan) = (old.organization, old.account, old.scan);
    let mut admin = database.admin().await;
    let sql = format!(
        "insert into trueno.organization values ('{organization}', 'Old');
         insert into trueno.member values ('{organization}', '{}', 'owner');
         insert into trueno.cloud_account (
            organization_id, id, provider, number, name, access, regions, status
         ) values (
            '{organization}', '{account}', 'aws', '123456789012', 'Old', 'ambient', '{{}}', 'active'
         );
         insert into trueno.scan (
            organization_id, id, account_id, job_id, kind, status, requested_by_kind, started_at,
            finished_at
         ) values (
            '{organization}', '{scan}', '{account}', '{scan}', 'inventory', 'succeeded', 'system',
            now(), now()
         );
         insert into trueno.resource (
            organization_id, account_id, kind, region, native_id, tags, attributes, last_scan_id
         ) select '{organization}', '{account}', 'ec2.volume', 'eu-west-1', 'vol-' || n,
            '{{\"Owner\": \"x\"}}', '{{}}', '{scan}' from generate_series(1, 3) n;
         insert into trueno.audit_staged (
            organization_id, id, actor_kind, action, targets, details
         ) values (
            '{organization}', gen_random_uuid(), 'system', 'job.dead',
            '[{{\"kind\": \"job\", \"id\": \"x\"}}]', '{{}}'
         )",
        old.owner
    );
    admin
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await
        .unwrap();
    for (nth, key) in keys.iter().enumerate() {
        sqlx::query(
            "insert into trueno.finding (
                organization_id, account_id, key, check_id, check_version, parameters_hash,
                resource_kind, region, native_id, tags, severity, evidence, status, first_scan_id,
                last_scan_id, version
             ) values ($1, $2, $3, 'a.check', 1, 'ff', 'ec2.volume', 'eu-west-1', 'vol-1', $4, 'low',
                '{}', $5, $6, $6, 7)",
        )
        .bind(organization.as_uuid())
        .bind(account.as_uuid())
        .bind(key)
        .bind(serde_json::json!({ "Owner": "x", "long": "ü".repeat(32) }))
        .bind(if nth == 1 { "resolved" } else { "open" })
        .bind(scan.as_uuid())
        .execute(&mut admin)
        .await
        .unwrap();
    }
    old
}

#[tokio::test]
async fn a_database_of_version_5_keeps_all_that_it_has() {
    let database = of_version_5().await;
    let finding_keys = ["plain/key", "", "ünïcödé/\u{1f30d}", &"k".repeat(512)].map(str::to_owned);
    let old = fill(&database, &finding_keys).await;
    let report = migrate(&database.config(), &keys()).await.unwrap();
    assert_eq!(report.applied.first(), Some(&"0006_inventory"));
    assert_eq!(report.applied.last(), Some(&"functions"));

    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let owner = Identity::authenticated(old.owner);
    let scope: OrgScope = authorize(&store, &owner, old.organization, Action::Read)
        .await
        .unwrap();
    let mut view = store.read(&scope).await.unwrap();
    let page = PageRequest::largest();
    for (nth, key) in finding_keys.iter().enumerate() {
        let id = FindingId::of(old.account, key);
        let finding: Finding = view.finding(id).await.unwrap();
        assert_eq!(
            finding.draft.key, *key,
            "the id is the one that Rust derives"
        );
        assert_eq!((finding.version, finding.assignee), (7, None));
        let status = if nth == 1 {
            FindingStatus::Resolved
        } else {
            FindingStatus::Open
        };
        assert_eq!(finding.status, status);
        let history = view.finding_history(id, &page).await.unwrap();
        assert_eq!(history.items, [], "what was not kept is not made up");
    }
    for (tag, value, wanted) in [
        ("Owner", None, 4),
        ("Owner", Some("x"), 4),
        ("Owner", Some("y"), 0),
        ("long", Some("ü".repeat(32).as_str()), 4),
        ("long", Some("ü".repeat(31).as_str()), 0),
    ] {
        let filter = FindingFilter::default().with_tag(TagFilter {
            key: tag.to_owned(),
            value: value.map(str::to_owned),
        });
        let found = view.findings(&filter, &page).await.unwrap().items.len();
        assert_eq!(found, wanted, "{tag} {value:?}");
    }
    let standing = FindingFilter::default().standing();
    let counted = view.count_findings(&standing).await.unwrap();
    assert_eq!(counted, Count::Exactly(3));
    let recommended = view.recommendations(None, &page).await.unwrap();
    assert_eq!(recommended.items.len(), 3);
    let filter = ResourceFilter::default().with_scan(old.scan);
    assert_eq!(view.resources(&filter, &page).await.unwrap().items.len(), 3);
    assert_eq!(view.audit_events(&page).await.unwrap().items.len(), 1);
    assert_eq!(
        store.staged(10).await.unwrap().len(),
        1,
        "still in the outbox"
    );
}

#[tokio::test]
async fn a_program_of_version_5_is_told_to_be_upgraded() {
    let database = of_version_5().await;
    migrate(&database.config(), &keys()).await.unwrap();
    // It would write findings without ids and history: the schema says that it no longer serves it.
    let oldest = database
        .number("select oldest_binary from trueno.schema_info")
        .await;
    assert!(oldest > 5, "{oldest}");
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let ids = IdSource::random();
    let organization: OrganizationId = ids.next(jiff::Timestamp::MAX);
    let owner = ids.next(jiff::Timestamp::MAX);
    let new = NewOrganization::new(organization, "New", owner).unwrap();
    let event = EventDraft::new("organization.created", "organization", organization);
    store.create_organization(new, event).await.unwrap();
}

#[tokio::test]
async fn jobs_of_version_5_go_on() {
    let database = of_version_5().await;
    let old = fill(&database, &[]).await;
    let ids = IdSource::random();
    let [running, waiting, dead]: [JobId; 3] =
        std::array::from_fn(|_| ids.next(jiff::Timestamp::from_second(1_800_000_000).unwrap()));
    let session: WorkerSessionId = ids.next(jiff::Timestamp::UNIX_EPOCH);
    let organization = old.organization;
    let columns = "organization_id, id, kind, payload_version, payload, priority, run_at,
        max_attempts, failed_attempts, created_at, last_error, status";
    let values = |id: JobId| {
        format!(
            "'{organization}', '{id}', 'work', 1, '{{}}', 0, now() - interval '1 minute', 3, 1, now(),
             'it broke'"
        )
    };
    database
        .execute(&format!(
            "insert into trueno.job ({columns}, token, locked_by, locked_worker)
             values ({}, 'running', gen_random_uuid(), '{session}', 'gone');
             insert into trueno.job ({columns}) values ({}, 'failed');
             insert into trueno.job_history ({columns}, lost_leases, cancel_requested)
             values ({}, 'dead', 0, false);
             insert into trueno.worker_session (
                id, worker, expires_at, held_organizations, held_jobs
             ) values (
                '{session}', 'gone', now() - interval '1 minute', '{{{organization}}}', '{{{running}}}'
             )",
            values(running),
            values(waiting),
            values(dead)
        ))
        .await;
    migrate(&database.config(), &keys()).await.unwrap();
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.running), (1, 1));
    let recovered = store.recover_expired(10).await.unwrap();
    assert_eq!(recovered.requeued, 1, "its worker is gone");
    let kinds = vec!["work".parse().unwrap()];
    let request = ClaimRequest::new(ids.next(jiff::Timestamp::UNIX_EPOCH), "new", kinds, 10);
    let claims = store.claim(&request).await.unwrap();
    let claimed: BTreeSet<JobId> = claims.iter().map(|claim| claim.lease.job).collect();
    assert_eq!(claimed, BTreeSet::from([running, waiting]));
    let owner = Identity::authenticated(old.owner);
    let scope = authorize(&store, &owner, organization, Action::Read)
        .await
        .unwrap();
    let mut view = store.read(&scope).await.unwrap();
    for job in [running, waiting, dead] {
        let job = view.job(job).await.unwrap();
        assert_eq!(job.last_error(), Some("it broke"), "{job:?}");
    }
}
