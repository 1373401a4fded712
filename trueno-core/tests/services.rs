//! The services of `runtime` over the memory store: what each changes, and that it leaves its audit
//! event.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::clock::Clock as _;
use trueno_core::error::ErrorKind;
use trueno_core::id::{IdSource, UserId};
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, CoverageStatus, CronExpression, ExceptionStatus,
    ExternalIdHash, FindingStatus, NewCloudAccount, NewComment, NewException, NewSchedule,
    Provider, Role, ScanKind, ScheduleStatus,
};
use trueno_core::port::{
    ClaimRequest, FinishOutcome, JobOutcome, PageRequest, Probe, ProbeOutcome, TenantStore,
    Verification, claim_leases,
};
use trueno_core::runtime::scan::{JOB_KIND, ScanRequest, request};
use trueno_core::runtime::{accounts, findings, organizations, schedules};
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;
use trueno_core::state::scan::ScanEvent;
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fixtures::{self, Tenant, coverage, finding, finding_id, resource, task};
use trueno_testkit::mock::MockCloudScanner;

struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    ids: IdSource,
    tenant: Tenant,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new("2026-11-02T10:00:00Z".parse().unwrap());
        let ids = IdSource::seeded(3);
        let store = Arc::new(MemoryStore::new(clock.shared(), ids.clone()));
        let id = |nth: u128| uuid::Uuid::from_u128(nth);
        let tenant = fixtures::organization(&*store, id(1).into(), id(2).into());
        Self {
            tenant: tenant.await.unwrap(),
            store,
            clock,
            ids,
        }
    }

    fn id<I: From<uuid::Uuid>>(&self) -> I {
        self.clock.advance(Duration::from_millis(1));
        self.ids.next(self.clock.now())
    }

    async fn scope(&self, user: UserId, action: Action) -> OrgScope {
        let identity = Identity::authenticated(user);
        authorize(&*self.store, &identity, self.tenant.id, action)
            .await
            .unwrap()
    }

    async fn owner(&self, action: Action) -> OrgScope {
        self.scope(self.tenant.owner, action).await
    }

    async fn member(&self, role: Role) -> UserId {
        let user = self.id();
        let scope = self.owner(Action::ManageMembers).await;
        organizations::add_member(&*self.store, &scope, user, role)
            .await
            .unwrap();
        user
    }

    async fn account(&self) -> CloudAccount {
        let scope = self.owner(Action::ManageAccounts).await;
        let number = "123456789012".parse().unwrap();
        let access = AccessMethod::Ambient;
        let new = NewCloudAccount::new(self.id(), Provider::Aws, number, "Production", access);
        accounts::connect(&*self.store, &scope, new.unwrap())
            .await
            .unwrap()
    }

    /// A scan of a connection that was verified, which found a volume.
    async fn scanned(&self) -> CloudAccount {
        let account = self.account().await;
        let mut work = self.store.begin(&self.tenant.accounts).await.unwrap();
        let verified = trueno_core::state::cloud_account::AccountEvent::Verified;
        let account = work
            .apply_account(account.id, account.version, verified)
            .await
            .unwrap();
        let event =
            trueno_core::model::EventDraft::new("test.verified", "cloud_account", account.id);
        work.commit(event).await.unwrap();
        let wanted = ScanRequest::new(account.id);
        let scope = self.owner(Action::Scan).await;
        request(&*self.store, &scope, &wanted, &self.ids, &self.clock)
            .await
            .unwrap();
        let claim = ClaimRequest::new(self.id(), "test", vec![JOB_KIND], 1);
        let lease = claim_leases(&*self.store, &claim)
            .await
            .unwrap()
            .pop()
            .unwrap();
        let mut batch = self.store.ingest(&lease).await.unwrap();
        batch.start_scan(1).await.unwrap();
        let volume = resource("ec2.volume", "eu-west-1", "vol-1");
        batch.put_resources(vec![volume]).await.unwrap();
        let complete = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
        batch.put_coverage(vec![complete]).await.unwrap();
        batch.put_findings(vec![finding("vol-1")]).await.unwrap();
        batch.commit().await.unwrap();
        let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
            coverage_complete: true,
        });
        let job = lease.reference().job;
        let event = trueno_core::model::EventDraft::new("scan.completed", "job", job);
        self.store.finish(&lease, outcome, event).await.unwrap();
        account
    }

    /// The newest audit event's action.
    async fn last_action(&self) -> String {
        let scope = self.owner(Action::ReadAudit).await;
        let mut view = self.store.read(&scope).await.unwrap();
        let page = PageRequest::first(1).unwrap();
        let events = view.audit_events(&page).await.unwrap();
        events.items[0].action.clone()
    }
}

#[tokio::test]
async fn a_connection_is_paused_resumed_and_disconnected_and_each_step_is_on_record() {
    let w = World::new().await;
    let account = w.account().await;
    let scope = w.owner(Action::ManageAccounts).await;
    let store = &*w.store;
    w.id::<uuid::Uuid>();
    let paused = accounts::pause(store, &scope, account.id, account.version)
        .await
        .unwrap();
    assert_eq!(paused.status, AccountStatus::Paused);
    assert_eq!(w.last_action().await, "cloud_account.paused");
    let stale = accounts::resume(store, &scope, account.id, account.version).await;
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
    w.id::<uuid::Uuid>();
    let resumed = accounts::resume(store, &scope, account.id, paused.version)
        .await
        .unwrap();
    assert_eq!(
        resumed.status,
        AccountStatus::Pending,
        "to be verified again"
    );
    assert_eq!(w.last_action().await, "cloud_account.resumed");
    w.id::<uuid::Uuid>();
    let gone = accounts::disconnect(store, &scope, account.id, resumed.version)
        .await
        .unwrap();
    assert_eq!(
        (gone.status, gone.access),
        (AccountStatus::Disconnected, None)
    );
    assert_eq!(w.last_action().await, "cloud_account.disconnected");
    let wrong = w.owner(Action::Scan).await;
    let denied = accounts::pause(store, &wrong, account.id, gone.version).await;
    assert_eq!(
        denied.unwrap_err().kind(),
        ErrorKind::Denied,
        "another action's scope"
    );
}

/// P5: of a connection that was disconnected, neither its row nor an event keeps the way in, whatever a
/// scanner said about it.
#[tokio::test]
async fn nothing_keeps_the_role_of_a_disconnected_account() {
    let w = World::new().await;
    let scope = w.owner(Action::ManageAccounts).await;
    let store = &*w.store;
    let role = "arn:aws:iam::123456789012:role/TruenoReadOnly";
    let access = AccessMethod::AssumeRole {
        role_arn: role.parse().unwrap(),
        external_id_hash: ExternalIdHash::from_bytes([0xa5; 32]),
        key_id: "key-1".to_owned(),
        generation: 1,
    };
    let number = "123456789012".parse().unwrap();
    let new = NewCloudAccount::new(w.id(), Provider::Aws, number, "Production", access).unwrap();
    let account = accounts::connect(store, &scope, new).await.unwrap();
    let mut scanner = MockCloudScanner::new();
    scanner.expect_verify().returning(move |_| {
        Ok(Verification {
            number: None,
            probes: vec![Probe {
                name: "assume".to_owned(),
                outcome: ProbeOutcome::Failed,
                advice: Some(format!("{role} does not trust this principal")),
            }],
        })
    });
    let (account, told) = accounts::verify(store, &scanner, &scope, account.id)
        .await
        .unwrap();
    assert!(told.probes[0].advice.is_some(), "who asks is told");
    accounts::disconnect(store, &scope, account.id, account.version)
        .await
        .unwrap();

    let reads = w.owner(Action::ReadAudit).await;
    let mut view = store.read(&reads).await.unwrap();
    let events = view.audit_events(&PageRequest::largest()).await.unwrap();
    let events = serde_json::to_string(&events.items).unwrap();
    assert!(events.contains("cloud_account.verified"), "{events}");
    assert!(events.contains("assume"), "what was probed: {events}");
    for kept in ["TruenoReadOnly", "a5a5a5a5", "165,165"] {
        assert!(!events.contains(kept), "{kept}: {events}");
    }
}

#[tokio::test]
async fn a_finding_is_worked_on_and_excepted_by_two_people() {
    let w = World::new().await;
    let account = w.scanned().await;
    let (analyst, approver) = (
        w.member(Role::Analyst).await,
        w.member(Role::Approver).await,
    );
    let works = w.scope(analyst, Action::WorkFindings).await;
    let store = &*w.store;
    let id = finding_id(account.id, "vol-1");
    let step = FindingStep::Start;
    let started = findings::step(store, &works, id, 1, step).await.unwrap();
    assert_eq!(started.status, FindingStatus::InProgress);
    let assigned = findings::assign(store, &works, id, started.version, Some(analyst)).await;
    assert_eq!(assigned.unwrap().assignee, Some(analyst));
    let comment = NewComment::new(w.id(), id, "kept on purpose").unwrap();
    findings::comment(store, &works, comment).await.unwrap();

    let now = w.clock.now();
    let until = now + Duration::from_secs(3_600);
    let new = NewException::new(w.id(), id, "kept on purpose", until, now).unwrap();
    let asked = findings::request_exception(store, &works, new)
        .await
        .unwrap();
    let approve = ExceptionDecision::Approve;
    let own = findings::decide_exception(store, &works, asked.id, asked.version, approve).await;
    assert_eq!(own.unwrap_err().kind(), ErrorKind::Denied);
    let decides = w.scope(approver, Action::DecideExceptions).await;
    let approved = findings::decide_exception(store, &decides, asked.id, asked.version, approve);
    let approved = approved.await.unwrap();
    assert_eq!(approved.status, ExceptionStatus::Approved);
    let status = async || {
        let mut view = store.read(&works).await.unwrap();
        view.finding(id).await.unwrap().status
    };
    assert_eq!(status().await, FindingStatus::Suppressed);
    assert_eq!(
        store
            .lapse_exceptions(until - Duration::from_secs(1), 10)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.lapse_exceptions(until, 10).await.unwrap(), 1);
    assert_eq!(status().await, FindingStatus::Reopened);
    let withdraw = ExceptionDecision::Withdraw;
    let late = findings::decide_exception(store, &works, asked.id, 3, withdraw).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::InvalidTransition);
}

#[tokio::test]
async fn a_schedule_is_made_paused_and_removed() {
    let w = World::new().await;
    let account = w.account().await;
    let scope = w.owner(Action::ManageSchedules).await;
    let store = &*w.store;
    let cron = CronExpression::new("0 6 * * mon-fri", "Europe/Berlin").unwrap();
    let new = NewSchedule::new(w.id(), "Mornings", account.id, ScanKind::Inventory, cron);
    let made = schedules::create(store, &scope, new.unwrap())
        .await
        .unwrap();
    w.id::<uuid::Uuid>();
    let paused = ScheduleStatus::Paused;
    let made = schedules::set_status(store, &scope, made.id, made.version, paused)
        .await
        .unwrap();
    assert_eq!(
        (made.status, w.last_action().await.as_str()),
        (paused, "schedule.paused")
    );
    w.id::<uuid::Uuid>();
    schedules::remove(store, &scope, made.id, made.version)
        .await
        .unwrap();
    assert_eq!(w.last_action().await, "schedule.removed");
    for (expression, zone) in [
        ("0 6 * *", "UTC"),
        ("0 0 6 * * *", "UTC"),
        ("0 6 * * *", "Moon/Base"),
    ] {
        let refused = CronExpression::new(expression, zone).unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::InvalidInput,
            "{expression} {zone}"
        );
    }
}

#[tokio::test]
async fn an_export_has_everything_and_says_that_it_is_whole() {
    let w = World::new().await;
    let account = w.scanned().await;
    let analyst = w.member(Role::Analyst).await;
    let works = w.scope(analyst, Action::WorkFindings).await;
    let store = &*w.store;
    let id = finding_id(account.id, "vol-1");
    let comment = NewComment::new(w.id(), id, "line\nbreak").unwrap();
    findings::comment(store, &works, comment).await.unwrap();
    let now = w.clock.now();
    let until = now + Duration::from_secs(3_600);
    let new = NewException::new(w.id(), id, "kept", until, now).unwrap();
    findings::request_exception(store, &works, new)
        .await
        .unwrap();

    let denied = organizations::export(store, &works, &mut Cursor::new(Vec::new())).await;
    assert_eq!(denied.unwrap_err().kind(), ErrorKind::Denied);
    let scope = w.owner(Action::Export).await;
    let mut to = Cursor::new(Vec::new());
    let lines = organizations::export(store, &scope, &mut to).await.unwrap();
    let text = String::from_utf8(to.into_inner()).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len() as u64, lines, "one object per line");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *kinds.entry(row["type"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(rows[0]["type"], "organization");
    assert_eq!(rows[rows.len() - 1]["type"], "end");
    assert_eq!(rows[rows.len() - 1]["lines"], lines - 1);
    let events = kinds.remove("audit_event").unwrap();
    assert!(events >= 6, "{events}");
    assert_eq!(
        kinds,
        BTreeMap::from([
            ("organization", 1),
            ("member", 2),
            ("cloud_account", 1),
            ("scan", 1),
            ("coverage", 1),
            ("resource", 1),
            ("finding", 1),
            ("finding_change", 1),
            ("comment", 1),
            ("exception", 1),
            ("end", 1),
        ])
    );
    assert!(!text.contains("external_id_hash"));
}

#[tokio::test]
async fn a_scope_is_for_the_organization_that_was_asked_for_or_there_is_none() {
    let w = World::new().await;
    let other = fixtures::organization(&*w.store, w.id(), w.id())
        .await
        .unwrap();
    let owner = Identity::authenticated(w.tenant.owner);
    let own = authorize(&*w.store, &owner, w.tenant.id, Action::Scan);
    assert_eq!(own.await.unwrap().organization(), w.tenant.id);
    for elsewhere in [other.id, w.id()] {
        let refused = authorize(&*w.store, &owner, elsewhere, Action::Read).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn an_erased_organization_leaves_its_audit_events_and_nothing_else() {
    let w = World::new().await;
    let account = w.scanned().await;
    let export = w.owner(Action::Export).await;
    let scope = w.owner(Action::EraseOrganization).await;
    let store = &*w.store;
    let admin = w.member(Role::Admin).await;
    let identity = Identity::authenticated(admin);
    let refused = authorize(store, &identity, w.tenant.id, Action::EraseOrganization).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        ErrorKind::Denied,
        "owners only"
    );
    organizations::erase(store, &scope).await.unwrap();
    let owner = Identity::authenticated(w.tenant.owner);
    let nobody = authorize(store, &owner, None, Action::Read).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
    let mut view = store.read(&export).await.unwrap();
    let gone = view.account(account.id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let events = view
        .audit_events(&PageRequest::largest())
        .await
        .unwrap()
        .items;
    assert!(
        events
            .iter()
            .any(|event| event.action == "organization.erased")
    );
    assert!(
        events
            .iter()
            .any(|event| event.action == "cloud_account.connected")
    );
}
