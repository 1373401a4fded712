//! Two organizations with something of everything, and how requests are sent.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use secrecy::ExposeSecret;
use serde_json::Value;
use tower::ServiceExt;
use trueno_core::access::{Action, Authenticator, Credentials, Identity, OrgScope, authorize};
use trueno_core::clock::Clock;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{
    CloudAccountId, ExceptionId, FindingId, IdSource, OrganizationId, ScanId, ScheduleId, UserId,
};
use trueno_core::model::{
    AccessMethod, CoverageStatus, CronExpression, EventDraft, NewCloudAccount, NewComment,
    NewException, NewSchedule, Provider, Role, ScanKind,
};
use trueno_core::port::{
    ClaimRequest, FinishOutcome, JobOutcome, Probe, ProbeOutcome, TenantStore, Verification,
    claim_leases,
};
use trueno_core::runtime::scan::{JOB_KIND, ScanRequest, request};
use trueno_core::runtime::{Scheduler, SchedulerConfig, findings, organizations, schedules};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;
use trueno_core::vault::{Key, KeyFile};
use trueno_http::{HttpState, SystemToken, router};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fixtures::{self, coverage, finding, resource, task};
use trueno_testkit::mock::MockCloudScanner;
use uuid::Uuid;

use crate::cases::Case;

/// What a tenant has, by id.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) organization: OrganizationId,
    pub(crate) account: CloudAccountId,
    pub(crate) account_version: u64,
    pub(crate) scan: ScanId,
    pub(crate) finding: FindingId,
    pub(crate) finding_version: u64,
    /// One without an exception.
    pub(crate) other_finding: FindingId,
    pub(crate) exception: ExceptionId,
    pub(crate) schedule: ScheduleId,
    /// A member who is not the owner.
    pub(crate) member: UserId,
    /// A member of a third organization only.
    pub(crate) stranger: UserId,
}

impl Ids {
    /// Ids of nothing, all different for different marks.
    pub(crate) fn marked(mark: u128) -> Self {
        let id = |nth: u128| Uuid::from_u128((0xffff << 64) + (mark << 8) + nth);
        Self {
            organization: id(1).into(),
            account: id(2).into(),
            account_version: 2,
            scan: id(3).into(),
            finding: id(4).into(),
            finding_version: 1,
            other_finding: id(5).into(),
            exception: id(6).into(),
            schedule: id(7).into(),
            member: id(8).into(),
            stranger: id(9).into(),
        }
    }

    fn uuids(&self) -> [String; 9] {
        [
            self.organization.to_string(),
            self.account.to_string(),
            self.scan.to_string(),
            self.finding.to_string(),
            self.other_finding.to_string(),
            self.exception.to_string(),
            self.schedule.to_string(),
            self.member.to_string(),
            self.stranger.to_string(),
        ]
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// Without the ids that the request itself named.
    pub(crate) fn masked(&self, asked: &Ids) -> Self {
        let mut masked = self.clone();
        for id in asked.uuids() {
            masked.body = masked.body.replace(&id, "<asked>");
        }
        masked
    }

    pub(crate) fn is_empty_list(&self) -> bool {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let items = body.get("items").unwrap_or(&body);
        self.status == 200 && items.as_array().is_some_and(Vec::is_empty)
    }
}

/// The bearer token is the user's id: these tests are about what comes after authentication.
#[derive(Debug)]
struct TokenIsUser;

#[async_trait]
impl Authenticator for TokenIsUser {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Identity> {
        match credentials {
            Credentials::Bearer(token) => {
                Ok(Identity::authenticated(token.expose_secret().parse()?))
            }
            _ => Err(Error::new(ErrorKind::Unauthenticated, "sign in")),
        }
    }
}

pub(crate) struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    ids: IdSource,
    app: Router,
    pub(crate) a: Ids,
    pub(crate) b: Ids,
    pub(crate) owner_of_b: UserId,
    members_of_a: Vec<(Role, UserId)>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new("2026-11-02T10:00:00Z".parse().unwrap());
        let ids = IdSource::seeded(11);
        let store = Arc::new(MemoryStore::new(clock.shared(), ids.clone()));
        let keys = KeyFile::single(Key::new("k1", [7; 32]).unwrap());
        let state = HttpState::new(store.clone(), Arc::new(TokenIsUser), clock.shared())
            .with_ids(ids.clone())
            .with_keys(Arc::new(keys))
            .with_scanners(vec![Arc::new(scanner())])
            .with_system_tick(
                Arc::new(
                    Scheduler::new(store.clone(), SchedulerConfig::default(), ids.clone()).unwrap(),
                ),
                SystemToken::new("the token of whoever operates it".replace(' ', "-").into())
                    .unwrap(),
            );
        let maker = Maker {
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let (a, members_of_a) = maker.tenant("canary-of-a").await;
        let (b, members_of_b) = maker.tenant("plain").await;
        Self {
            store,
            clock,
            ids,
            app: router(state),
            a,
            b,
            owner_of_b: members_of_b[0].1,
            members_of_a,
        }
    }

    pub(crate) fn nowhere(&self) -> Ids {
        Ids::marked(9)
    }

    pub(crate) fn member_of_a(&self, role: Role) -> UserId {
        let found = self.members_of_a.iter().find(|(of, _)| *of == role);
        found.unwrap().1
    }

    /// What would show that an answer has something of A's in it.
    pub(crate) fn canaries_of_a(&self) -> Vec<String> {
        let mut canaries = vec!["canary-of-a".to_owned()];
        canaries.extend(self.a.uuids());
        canaries.extend(self.members_of_a.iter().map(|(_, user)| user.to_string()));
        canaries
    }

    /// Everything that A has.
    pub(crate) async fn export_of_a(&self) -> String {
        let owner = Identity::authenticated(self.member_of_a(Role::Owner));
        let scope = authorize(&*self.store, &owner, self.a.organization, Action::Export)
            .await
            .unwrap();
        let mut to = std::io::Cursor::new(Vec::new());
        organizations::export(&*self.store, &scope, &mut to)
            .await
            .unwrap();
        String::from_utf8(to.into_inner()).unwrap()
    }

    pub(crate) async fn ask_as_b(&self, case: &Case, about: &Ids) -> Answer {
        self.ask_in(case, about, Some(self.owner_of_b), None).await
    }

    /// As B's owner, by a browser's cookie.
    pub(crate) async fn ask_by_cookie(&self, case: &Case, about: &Ids) -> Answer {
        let cookie = ("cookie", format!("trueno_token={}", self.owner_of_b));
        self.ask(case, about, &[cookie]).await
    }

    pub(crate) async fn ask_in(
        &self,
        case: &Case,
        about: &Ids,
        user: Option<UserId>,
        organization: Option<OrganizationId>,
    ) -> Answer {
        let user = user.map(|user| ("authorization", format!("Bearer {user}")));
        let organization = organization.map(|id| ("trueno-organization", id.to_string()));
        let headers: Vec<_> = user.into_iter().chain(organization).collect();
        self.ask(case, about, &headers).await
    }

    async fn ask(&self, case: &Case, about: &Ids, headers: &[(&str, String)]) -> Answer {
        self.clock.advance(Duration::from_secs(1));
        // Ids that the server makes are then later than every one there is.
        let _: Uuid = self.ids.next(self.clock.now());
        let query = (case.query)(about);
        let path = case.path.replace("{id}", &(case.id)(about));
        let mut request = Request::builder()
            .method(case.method)
            .uri(format!("{path}?{query}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(version) = (case.version)(about) {
            request = request.header("if-match", format!("\"{version}\""));
        }
        let body = match (case.body)(about) {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let response = self
            .app
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        Answer {
            status,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

/// A scanner whose every verification passes.
fn scanner() -> MockCloudScanner {
    let mut scanner = MockCloudScanner::new();
    scanner.expect_provider().return_const(Provider::Aws);
    scanner.expect_verify().returning(|target| {
        Ok(Verification {
            number: Some(target.account.number.clone()),
            probes: vec![Probe {
                name: "assume the role".to_owned(),
                outcome: ProbeOutcome::Passed,
                advice: None,
            }],
        })
    });
    scanner
}

struct Maker {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    ids: IdSource,
}

impl Maker {
    fn id<I: From<Uuid>>(&self) -> I {
        self.clock.advance(Duration::from_millis(1));
        self.ids.next(self.clock.now())
    }

    /// An organization with something of everything, in whose texts `mark` occurs.
    async fn tenant(&self, mark: &str) -> (Ids, Vec<(Role, UserId)>) {
        let store = &*self.store;
        let tenant = fixtures::organization(store, self.id(), self.id())
            .await
            .unwrap();
        let stranger = self.id();
        fixtures::organization(store, self.id(), stranger)
            .await
            .unwrap();
        let mut members = vec![(Role::Owner, tenant.owner)];
        for role in Role::ALL.iter().filter(|role| **role != Role::Owner) {
            let user = self.id();
            organizations::add_member(store, &tenant.members, user, *role)
                .await
                .unwrap();
            members.push((*role, user));
        }
        let analyst = members
            .iter()
            .find(|(role, _)| *role == Role::Analyst)
            .unwrap()
            .1;
        let worker = authorize(
            store,
            &Identity::authenticated(analyst),
            tenant.id,
            Action::WorkFindings,
        )
        .await
        .unwrap();

        let account = self.account(&tenant.accounts, mark).await;
        let scan = self.scan(&tenant.scan, account, mark).await;
        let volume = format!("{mark}-1");
        let found = fixtures::finding_id(account, &volume);
        let comment = NewComment::new(self.id(), found, &format!("{mark} says so")).unwrap();
        findings::comment(store, &worker, comment).await.unwrap();
        let now = self.clock.now();
        let until = now + Duration::from_secs(86_400 * 30);
        let new = NewException::new(self.id(), found, &format!("{mark} is why"), until, now);
        let exception = findings::request_exception(store, &worker, new.unwrap())
            .await
            .unwrap();
        let cron = CronExpression::new("0 6 * * *", "UTC").unwrap();
        let new = NewSchedule::new(self.id(), mark, account, ScanKind::Inventory, cron).unwrap();
        let schedule = schedules::create(store, &tenant.schedules, new)
            .await
            .unwrap();

        let mut view = store.read(&tenant.read).await.unwrap();
        let ids = Ids {
            organization: tenant.id,
            account,
            account_version: view.account(account).await.unwrap().version,
            scan,
            finding: found,
            finding_version: view.finding(found).await.unwrap().version,
            other_finding: fixtures::finding_id(account, &format!("{mark}-2")),
            exception: exception.id,
            schedule: schedule.id,
            member: analyst,
            stranger,
        };
        (ids, members)
    }

    async fn account(&self, scope: &OrgScope, mark: &str) -> CloudAccountId {
        let number = "123456789012".parse().unwrap();
        let access = AccessMethod::Ambient;
        let new = NewCloudAccount::new(self.id(), Provider::Aws, number, mark, access).unwrap();
        let mut work = self.store.begin(scope).await.unwrap();
        let account = work.insert_account(new).await.unwrap();
        let event = AccountEvent::Verified;
        work.apply_account(account.id, account.version, event)
            .await
            .unwrap();
        let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
        work.commit(event).await.unwrap();
        account.id
    }

    /// A scan that found two volumes.
    async fn scan(&self, scope: &OrgScope, account: CloudAccountId, mark: &str) -> ScanId {
        let store = &*self.store;
        self.clock.advance(Duration::from_secs(1));
        let wanted = ScanRequest::new(account);
        let scan = request(store, scope, &wanted, &self.ids, &self.clock)
            .await
            .unwrap()
            .scan;
        let claim = ClaimRequest::new(self.id(), "test", vec![JOB_KIND], 1);
        let lease = claim_leases(store, &claim).await.unwrap().pop().unwrap();
        let mut batch = store.ingest(&lease).await.unwrap();
        batch.start_scan(1).await.unwrap();
        let volumes = [format!("{mark}-1"), format!("{mark}-2")];
        let resources = volumes
            .iter()
            .map(|id| resource("ec2.volume", "eu-west-1", id));
        batch.put_resources(resources.collect()).await.unwrap();
        let complete = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
        batch.put_coverage(vec![complete]).await.unwrap();
        let found = volumes.iter().map(|id| finding(id));
        batch.put_findings(found.collect()).await.unwrap();
        batch.commit().await.unwrap();
        let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
            coverage_complete: true,
        });
        let event = EventDraft::new("scan.completed", "scan", scan);
        store.finish(&lease, outcome, event).await.unwrap();
        scan
    }
}
